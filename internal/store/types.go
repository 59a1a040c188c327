package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"consentsync/internal/consent"
)

// ID names a row that is kept in order of time: a UUID of version 7.
type ID = uuid.UUID

// NewID makes an id that sorts after all that this process made before.
func NewID() ID { return uuid.Must(uuid.NewV7()) }

// Newest gives the bytes of an id, to list what is older than it; those of the
// zero id are later than all others.
func Newest(before ID) []byte {
	if before == (ID{}) {
		return bytes.Repeat([]byte{0xff}, len(before))
	}
	return before[:]
}

// Event is the header of an accepted message. The payload stands apart, so
// that it can be erased while the header stays (R29).
type Event struct {
	Organization string
	ID           ID
	Type         consent.MessageType
	EntityID     string
	Person       PersonKey // zero when it names nobody
	Regulation   string
	ConsentAt    consent.Time
	ArrivedAt    consent.Time
	Outcome      consent.Outcome
	// Commitment is SHA-256 over the payload's salt and the payload: it binds
	// the header to the payload without telling anything about it once the
	// salt is destroyed.
	Commitment [32]byte
	Salt       [16]byte
	Payload    []byte
	Trace      []byte // see Inbound; not read again with the event
}

// Subject is a row of people: a person or a Didomi user, with all that was
// said about them.
type Subject struct {
	Organization string
	Key          PersonKey
	consent.Subject
	State consent.State
	// DidomiUsers are the Didomi users seen under this person's id, with the
	// first sighting of each.
	DidomiUsers consent.Links
}

// Erased tells whether all about the subject was erased: what is left is a
// tombstone under the keyed hash, which says when.
func (s *Subject) Erased() bool { return s.Subject == (consent.Subject{}) }

// Users writes DidomiUsers as JSON; without any it is empty.
func (s *Subject) Users() (string, error) {
	if len(s.DidomiUsers) == 0 {
		return "", nil
	}
	return ToJSON(s.DidomiUsers)
}

// Target says in which direction a delivery goes.
type Target string

// TargetActito is the profile in Actito.
const TargetActito Target = "actito"

// DeliveryKey names one (integration, target, person).
type DeliveryKey struct {
	Organization string
	Integration  string
	Target       Target
	Person       PersonKey
}

// IntegrationKey names the integration.
func (k DeliveryKey) IntegrationKey() IntegrationKey {
	return IntegrationKey{Organization: k.Organization, ID: k.Integration}
}

// DeliveryState says how far a delivery is.
type DeliveryState string

// The states of a delivery; docs/design.md draws how they follow one another.
const (
	Pending   DeliveryState = "pending"
	InFlight  DeliveryState = "in_flight"
	Sent      DeliveryState = "sent" // in a bulk load, not confirmed yet
	Waiting   DeliveryState = "waiting"
	Synced    DeliveryState = "synced"
	Unmatched DeliveryState = "unmatched"
	Failed    DeliveryState = "failed"
)

// Class orders what is due (R21).
type Class int8

// The classes, the most urgent first.
const (
	LiveWithdrawal Class = iota
	BackfilledRefusal
	Ordinary
)

// Delivery is the row of one (integration, target, person).
type Delivery struct {
	DeliveryKey
	State     DeliveryState
	Class     Class
	ConsentAt consent.Time // of the oldest statement that made it due; when it came, if it came out of a file
	DueAt     consent.Time // since when it is due
	NextAt    consent.Time // when a waiting or unmatched one is tried again
	Version   int64        // grows whenever it is made due
	Attempts  int          // calls without success since the last one
	Calls     int64        // calls ever made
	Epoch     int64        // of the lease under which it is in flight
	Known     consent.Known
	LeftOut   []consent.LeftOut
	LastError string
	// HoldGrants keeps subscriptions from being turned on until somebody says
	// yes (R23).
	HoldGrants bool
	// Readback is how many reads of the profile are still to follow the next
	// write (R16); ReadbackAt is when the next one is due.
	Readback   int
	ReadbackAt consent.Time
	UpdatedAt  consent.Time
	// ProfileID is Actito's own id of the profile, once it is known.
	ProfileID string
}

// Call is one call to the other end, for the trace.
type Call struct {
	Organization  string
	Person        PersonKey
	ID            ID
	Integration   string
	Revision      int64  // of the integration: which mapping it follows; 0 if that is not known
	Operation     string // update, create, read
	Subscriptions map[string]bool
	Attributes    []string // names only
	StartedAt     consent.Time
	AnsweredAt    consent.Time
	Outcome       string // ok, or the kind of the error
	Detail        string
}

// IntegrationStatus says whether an integration delivers.
type IntegrationStatus string

// The states of an integration.
const (
	Active    IntegrationStatus = "active"
	Paused    IntegrationStatus = "paused"
	Suspended IntegrationStatus = "suspended"
)

// Integration connects an organization to one Actito profile table.
type Integration struct {
	Organization string
	ID           string
	Status       IntegrationStatus
	StatusReason string
	// Revision grows with every change, so that a change based on an old
	// reading is refused.
	Revision int64
	Licence  string // whose budget it spends; see LicenceOf
	Settings Settings
	Sealed   []byte // secrets, sealed
	Snapshot consent.Snapshot
	Webhook  Webhook
	// Seen is the table as it was looked at last; nothing is taken over from it.
	Seen      consent.Seen
	CreatedAt consent.Time
	UpdatedAt consent.Time
}

// Webhook is how far the webhooks are that Actito has for an integration.
type Webhook struct {
	// IDs are Actito's ids of them, by type of event.
	IDs map[string]string `json:"ids,omitempty"`
	// Reason tells why they are not all there, and what to do; empty if they are.
	Reason    string       `json:"reason,omitempty"`
	CheckedAt consent.Time `json:"checked_at,omitempty"`
}

// Settings is what a user configures, without the secrets. The names are those
// of Didomi's marketplace API, with the additions of this project.
type Settings struct {
	TypeID         string            `json:"type_id"`
	Properties     Properties        `json:"properties"`
	Mappings       []consent.Mapping `json:"mappings"`
	UpsertMode     bool              `json:"upsert_mode"`
	EnableWebhooks bool              `json:"enable_webhooks"`
	EnableEmailing bool              `json:"enable_emailing"`
}

// Dialect is the version of Actito's API in which single profiles are read and
// written. As text it is never empty.
type Dialect string

// The dialects.
const (
	DialectV5 Dialect = "" // the zero value, also of what was stored before there were two
	DialectV4 Dialect = "v4"
)

// Apart tells whether a write carries one subscription or the attributes, and
// never more at once.
func (d Dialect) Apart() bool { return d == DialectV4 }

const textOfV5 = "v5"

// MarshalText writes the dialect.
func (d Dialect) MarshalText() ([]byte, error) {
	if d == DialectV5 {
		return []byte(textOfV5), nil
	}
	return []byte(d), nil
}

// UnmarshalText reads a dialect, also one that does not exist.
func (d *Dialect) UnmarshalText(text []byte) error {
	if *d = Dialect(text); *d == textOfV5 {
		*d = DialectV5
	}
	return nil
}

// Properties are the settings that belong to Actito.
type Properties struct {
	EntityID      string  `json:"entity_id"`
	TableName     string  `json:"table_name"`
	UserUniqueKey string  `json:"user_unique_key"`
	BaseURL       string  `json:"base_url"`
	Dialect       Dialect `json:"dialect"`
	// ProfilesPath is where the addresses of profiles begin; empty for where the
	// dialect has them.
	ProfilesPath   string           `json:"profiles_path,omitempty"`
	Regulations    []string         `json:"regulations"`
	Attributes     []AttributeEntry `json:"attributes,omitzero"` // nil is all metadata, empty is none
	CallsPerMinute int              `json:"calls_per_minute"`
	// ReservedCallsPerMinute of them are left to the customer's other tools.
	ReservedCallsPerMinute int    `json:"reserved_calls_per_minute,omitempty"`
	Concurrency            int    `json:"concurrency"`
	Licence                string `json:"licence,omitempty"`
	ETLID                  string `json:"etl_id,omitempty"`
	// ETLUpdatesOnly says that the ETL never creates profiles. Without it, and
	// without UpsertMode, only profiles that are known to exist go in bulk.
	ETLUpdatesOnly bool `json:"etl_updates_only,omitempty"`
	// A backlog that would take longer than BulkAfterSeconds one by one goes in
	// bulk, withdrawals already when the last would wait longer than
	// BulkWithdrawalsAfterSeconds; 0 means 15 and 10 minutes.
	BulkAfterSeconds            int `json:"bulk_after_seconds,omitempty"`
	BulkWithdrawalsAfterSeconds int `json:"bulk_withdrawals_after_seconds,omitempty"`
	// So many profiles an hour are read and compared with what they should hold; 0
	// for none. What follows is ReconcilePolicy, PolicyWithdrawals if it is empty.
	ReconcileReadsPerHour int    `json:"reconcile_reads_per_hour,omitempty"`
	ReconcilePolicy       Policy `json:"reconcile_policy,omitempty"`
}

// AttributeEntry is one entry of properties.attributes: the key of a piece of
// metadata, or an attribute and the path that feeds it.
type AttributeEntry struct {
	consent.Mapping
	short bool
}

// UnmarshalJSON takes "key" and {"id": ..., "value": ...}.
func (e *AttributeEntry) UnmarshalJSON(b []byte) error {
	var key string
	if json.Unmarshal(b, &key) == nil {
		*e = AttributeEntry{consent.Mapping{ID: key, Value: "user_metadata_" + key}, true}
		return nil
	}
	e.short = false
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields() // as in all that surrounds it
	return dec.Decode(&e.Mapping)
}

// MarshalJSON gives the entry back as it was written.
func (e AttributeEntry) MarshalJSON() ([]byte, error) {
	if e.short {
		return json.Marshal(e.ID)
	}
	return json.Marshal(e.Mapping)
}

// Rules gives what the integration says about projection.
func (i *Integration) Rules() consent.Rules {
	r := consent.Rules{
		Regulations:   i.Settings.Properties.Regulations,
		Subscriptions: i.Settings.Mappings,
		AllMetadata:   i.Settings.Properties.Attributes == nil,
		UniqueKey:     i.Settings.Properties.UserUniqueKey,
		Snapshot:      i.Snapshot,
	}
	for _, a := range i.Settings.Properties.Attributes {
		r.Attributes = append(r.Attributes, a.Mapping)
	}
	return r
}

// GoneFor is for how long a node is remembered that ended without saying so.
const GoneFor = 7 * 24 * time.Hour

// Lease is the right to deliver for a licence, held by one node at a time.
type Lease struct {
	Licence string
	Owner   string
	// Epoch grows with every change of owner; results written under an older
	// one are refused (R15).
	Epoch     int64
	ExpiresAt consent.Time
	// BlockedUntil is when the licence may be called again after the other
	// side asked us to wait; it survives a change of owner.
	BlockedUntil consent.Time
	// IdleSince is when the last owner stopped calling; zero if there never
	// was one. A new owner's budget starts empty at that moment.
	IdleSince consent.Time
	// HeldSince is when the owner took it.
	HeldSince consent.Time
	// Taken is set when the lease changed hands with this acquisition.
	Taken bool
	// Excess asks the owner, which holds more than its share, to let the calls
	// under way end and give the lease back.
	Excess bool
}

// LeaseGone is the error of whatever needs a lease that another has taken.
func LeaseGone(op string) error {
	return consent.Errorf(consent.Conflict, op, "the lease has gone to another owner")
}

// ErrOutdated tells that the schema of the database has been changed so that
// only newer programs can use it.
var ErrOutdated = errors.New("the database was changed for a newer consentsync: run that version")

// Holding tells who holds a licence.
type Holding struct {
	Licence      string
	Node         string       // empty if nobody does
	Since        consent.Time // when Node took it; zero if nobody holds it
	ExpiresAt    consent.Time // unless it is renewed before; zero if nobody holds it
	Integrations int64        // that spend its budget
}

// Share is how many of the licences each of the nodes may hold, so that they
// are spread evenly and all are held.
func Share(licences, nodes int) int {
	nodes = max(nodes, 1)
	return (licences + nodes - 1) / nodes
}

// Spread decides what becomes of leases at an acquisition: node keeps those it
// holds, the last of them as excess if they are more than its share, and takes
// of the expired ones what its share leaves room for. Those it neither keeps
// nor takes are left out. take gives a lease to node.
func Spread(leases []Lease, node string, share int, now consent.Time, take func(*Lease)) []Lease {
	var own, others []Lease
	for _, l := range leases {
		if l.Owner == node && l.ExpiresAt > now {
			own = append(own, l)
		} else {
			others = append(others, l)
		}
	}
	for i := share; i < len(own); i++ {
		own[i].Excess = true
	}
	for i := 0; i < len(others) && len(own) < share; i++ {
		others[i].HeldSince = now
		take(&others[i])
		own = append(own, others[i])
	}
	return own
}

// LeaseLife is how long a lease holds without renewal. It is renewed at a
// third of it.
const LeaseLife = 10 * time.Second
