package store

import "consentsync/internal/consent"

// Reconciliation compares what Actito holds, as an export of the table or reads of
// its profiles say, with what it should hold. What has no column of its own is kept
// as JSON.
type Reconciliation struct {
	IntegrationKey `json:"-"`
	RunID          ID `json:"-"`
	// Version grows with every change, so that whoever is behind changes nothing.
	Version int64               `json:"-"`
	State   ReconciliationState `json:"-"`

	Policy Policy       `json:"policy"`
	AsOf   consent.Time `json:"as_of"` // when the export was made, or the last profile read
	Source string       `json:"source,omitempty"`
	// Columns are the subscriptions whose cells the rows have, in this order.
	Columns     []string `json:"columns"`
	Rows        int64    `json:"rows,omitempty"` // taken so far, or profiles read
	Fingerprint string   `json:"fingerprint,omitempty"`
	// Cursor is the last key compared. By reads it is kept at the end, for the next
	// to go on from; without it everybody was looked at.
	Cursor    []byte       `json:"cursor,omitempty"`
	StartedAt consent.Time `json:"started_at"`
	EndedAt   consent.Time `json:"ended_at,omitempty"`
	Report    DriftReport  `json:"report"`
}

// ReconciliationState says how far one is.
type ReconciliationState string

// The states of a reconciliation.
const (
	ReconciliationLoading   ReconciliationState = "loading" // rows come in
	ReconciliationComparing ReconciliationState = "comparing"
	ReconciliationReading   ReconciliationState = "reading" // profile by profile
	ReconciliationDone      ReconciliationState = "done"
	ReconciliationReplaced  ReconciliationState = "replaced" // by another, before it was done
)

// SourceReads is the source of a reconciliation by reads. It stands beside one by an
// export, and neither replaces the other.
const SourceReads = "reads"

// ByReads tells whether profiles are read, instead of an export.
func (r *Reconciliation) ByReads() bool { return r.Source == SourceReads }

// Policy says what is done about what differs.
type Policy string

// The policies.
const (
	PolicyReport      Policy = "report"
	PolicyWithdrawals Policy = "withdrawals-only"
	PolicyAll         Policy = "all"
)

// DriftReport is what a reconciliation has found. Cells are subscriptions of
// people.
type DriftReport struct {
	People          int64 `json:"people"`           // who were compared
	Profiles        int64 `json:"profiles"`         // rows of them
	UnknownProfiles int64 `json:"unknown_profiles"` // rows of which nobody is known here
	MissingProfiles int64 `json:"missing_profiles"` // people who had a profile, and no row
	FoundProfiles   int64 `json:"found_profiles"`   // people taken to have none, with a row
	Agree           int64 `json:"agree"`            // cells
	Unsaid          int64 `json:"unsaid"`           // cells of which nobody chose
	ChangedSince    int64 `json:"changed_since"`    // cells written, or about to be, after the export
	// ShouldBeOff and ShouldBeOn are cells that differ and were not known to be as
	// they should; TurnedOn and TurnedOff those that were, so that somebody else
	// has changed them.
	ShouldBeOff int64 `json:"should_be_off"`
	ShouldBeOn  int64 `json:"should_be_on"`
	TurnedOn    int64 `json:"turned_on"`
	TurnedOff   int64 `json:"turned_off"`
	// UnknownSubscriptions are columns that the snapshot does not have,
	// MissingColumns mapped subscriptions that have none.
	UnknownSubscriptions []string `json:"unknown_subscriptions"`
	MissingColumns       []string `json:"missing_columns"`
	Unreadable           int64    `json:"unreadable"` // rows, or people, that could not be read
	// Learnt is how many people there are of whom more is known now; Off who are
	// sent a refusal again; Read whose profile is read; On whose grants wait to be
	// counted.
	Learnt   int64          `json:"learnt"`
	Off      int64          `json:"off"`
	Read     int64          `json:"read"`
	On       int64          `json:"on"`
	Examples []DriftExample `json:"examples"`
}

// DriftExample is one person of whom something differs.
type DriftExample struct {
	Kind               string `json:"kind"`
	OrganizationUserID string `json:"organization_user_id"`
	Subscription       string `json:"subscription,omitempty"`
}

// Learnt is what an export tells of a person's profile.
type Learnt struct {
	Person        PersonKey
	Subscriptions map[string]bool
	At            consent.Time
}

// Learn adds to what is known, given and returned as JSON, what an export tells,
// unless more is known since, or a call is under way.
func (l *Learnt) Learn(stored string) (string, error) {
	var known consent.Known
	if err := FromJSON(stored, &known); err != nil {
		return "", err
	}
	d := consent.Difference{Subscriptions: map[string]bool{}}
	for name, on := range l.Subscriptions {
		if f := known.Subscriptions[name]; !f.Unknown && f.ConfirmedAt <= l.At {
			d.Subscriptions[name] = on
		}
	}
	return ToJSON(known.Confirm(d, l.At))
}

// ReconciliationStep is what a page of a reconciliation changes beside its place.
type ReconciliationStep struct {
	Learnt []Learnt
	Due    []Due
	Read   []PersonKey // whose profile is to be read
}

// MostReconciliations is how many of an integration are kept.
const MostReconciliations = 100

// ReconciliationColumns are those that ScanReconciliation reads.
const ReconciliationColumns = `organization, integration, id, version, state, body`

// ScanReconciliation reads ReconciliationColumns.
func ScanReconciliation(row Row) (*Reconciliation, error) {
	var r Reconciliation
	var id []byte
	var body string
	if err := row.Scan(&r.Organization, &r.ID, &id, &r.Version, &r.State, &body); err != nil {
		return nil, err
	}
	r.RunID = ID(id)
	return &r, FromJSON(body, &r)
}

// Superseded is the error of a change to what another has changed meanwhile.
func (r *Reconciliation) Superseded() error {
	return consent.Errorf(consent.Conflict, "store.SaveReconciliation", "the reconciliation was replaced, or goes on elsewhere: start again")
}
