package backfill

import (
	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Simulation is what a new or changed integration would do to the people who
// are known: what would change in Actito, for whom, why, and at what cost.
type Simulation struct {
	Structure Structure `json:"structure"`
	// Complete tells that everybody was looked at. Otherwise the time was over;
	// people come in the order of a keyed hash, so those who were are a fair
	// sample.
	Complete   bool `json:"complete"`
	CatchingUp bool `json:"catching_up"` // webhooks were accepted that are not merged yet
	// Assumptions are what the figures rest on, for a person to read.
	Assumptions   []string           `json:"assumptions"`
	People        SimulatedPeople    `json:"people"`
	Total         SimulatedTotal     `json:"total"`
	Subscriptions []SimulatedField   `json:"subscriptions"` // in the order of the mappings
	Attributes    []SimulatedText    `json:"attributes"`
	LeftOut       []SimulatedLeftOut `json:"left_out"` // the most frequent first
	Examples      []Example          `json:"examples"`
	Cost          Cost               `json:"cost"`
	Approval      Approval           `json:"approval"`
}

// Structure says which structure of the table counted.
type Structure struct {
	Source  StructureSource `json:"source"`
	TakenAt *consent.Time   `json:"taken_at"` // null where it was assumed
}

// StructureSource says where the structure of the table was taken from.
type StructureSource string

// Where the structure of a table can come from.
const (
	FromLive     StructureSource = "live"     // the Actito account, as when an integration is created
	FromSnapshot StructureSource = "snapshot" // the integration's snapshot
	FromMapping  StructureSource = "assumed"  // whatever is mapped is assumed to exist
)

// SimulatedPeople counts people. Looked is the sum of Changed, Unchanged,
// Unmatched, Unsaid and Unreadable.
type SimulatedPeople struct {
	Looked     int64 `json:"looked"`
	Changed    int64 `json:"changed"`   // something would be sent, to a profile that is there, may be there, or is made
	Unchanged  int64 `json:"unchanged"` // Actito holds all that it should
	Unmatched  int64 `json:"unmatched"` // no profile was found last time, and none is made
	Unsaid     int64 `json:"unsaid"`    // nothing is known of them that is mapped
	Unreadable int64 `json:"unreadable"`
	// Of those changed:
	Created        int64 `json:"created"`         // no profile was found last time, so one would be made
	ProfileUnknown int64 `json:"profile_unknown"` // nobody knows yet whether there is a profile
	DueAlready     int64 `json:"due_already"`     // their own newer consent is about to be sent anyway
}

// SimulatedTotal counts fields of profiles: of all subscriptions together.
type SimulatedTotal struct {
	On  int64 `json:"turn_on"`  // would be turned on
	Off int64 `json:"turn_off"` // would be turned off
	// Unknown is how many of these two may be so already: what Actito holds is
	// not known.
	Unknown int64 `json:"unknown"`
	Stay    int64 `json:"stay"` // Actito holds it already
}

// SimulatedField is what would become of one subscription.
type SimulatedField struct {
	Name string `json:"name"`
	Path string `json:"path"`
	SimulatedTotal
	Unsaid int64 `json:"unsaid"` // no choice is known: it is left as it is
	// Missing tells that the table has no such subscription.
	Missing bool `json:"missing,omitempty"`
}

// SimulatedText is what would become of one attribute.
type SimulatedText struct {
	Name    string `json:"name"`
	Written int64  `json:"written"`
	Cleared int64  `json:"cleared"`
	Stay    int64  `json:"stay"`
	// Unfit counts the people whose value the attribute does not take, by its
	// type or its length.
	Unfit int64 `json:"unfit"`
}

// SimulatedLeftOut counts people of whom something is left out for a reason.
type SimulatedLeftOut struct {
	store.LeftOutTotal
	Attribute bool `json:"attribute,omitempty"`
}

// Example is one subscription of one person that would change. It names the
// person by the organization's own id, and holds no other personal data.
type Example struct {
	OrganizationUserID string         `json:"organization_user_id"`
	Subscription       string         `json:"subscription"`
	From               *bool          `json:"from"` // null where it is not known
	To                 bool           `json:"to"`
	Path               string         `json:"path"`
	Regulation         string         `json:"regulation"`
	Reason             consent.Reason `json:"reason"`
	EventID            string         `json:"event_id"` // empty if it rests on no event
	At                 consent.Time   `json:"at"`
}

// Cost is what closing all differences takes.
type Cost struct {
	CallsPerMinute int        `json:"calls_per_minute"`
	Single         SingleCost `json:"single"`
	Bulk           BulkCost   `json:"bulk"`
}

// SingleCost is the lane of one call a profile.
type SingleCost struct {
	// Calls are a range: whether there is a profile, and whether attributes may
	// travel with a withdrawal, shows only then. Calls for tokens and for the
	// table's structure are not in it.
	LeastCalls   int64   `json:"least_calls"`
	MostCalls    int64   `json:"most_calls"`
	LeastSeconds float64 `json:"least_seconds"`
	MostSeconds  float64 `json:"most_seconds"`
}

// BulkCost is the lane of files.
type BulkCost struct {
	Open    bool    `json:"open"`   // an ETL is set
	Chosen  bool    `json:"chosen"` // it would be used
	Reason  string  `json:"reason"` // why, or why not
	Loads   int64   `json:"loads"`
	People  int64   `json:"people"`  // in these loads
	Calls   int64   `json:"calls"`   // one by one beside them, at most
	Seconds float64 `json:"seconds"` // for all of it
}

// Approval tells whether somebody would have to say yes (R23). It counts people
// as a re-projection does: those whose own live consent is about to be sent are
// not among them.
type Approval struct {
	Asks        bool  `json:"asks"`
	Grants      int64 `json:"grants"`
	MostGrants  int64 `json:"most_grants"` // that need no yes
	Withdrawals int64 `json:"withdrawals"`
}
