// Package deliver closes the gap between what the other end should hold and
// what it was last known to hold.
//
// It guarantees, with a store and a target that keep their word: only the
// difference is sent, and no call is made where there is none; at most one
// call is under way for a profile; withdrawals go before grants; a result is
// recorded only under the lease under which the call was made; whatever has no
// definite answer stays unknown, is sent again and read back; one profile's
// refused data holds up nobody else; and a fault of the whole (credentials,
// table) suspends the integration and is probed until it is gone. A message to a
// person is handed over once, or it is said that this is not certain.
package deliver

import (
	"context"
	"iter"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/mail"
	"consentsync/internal/store"
)

// Store is what delivery needs of the database.
type Store interface {
	Now(ctx context.Context) (consent.Time, error)

	Acquire(ctx context.Context, node string) ([]store.Lease, error)
	Vacant(ctx context.Context) (bool, error)
	Yield(ctx context.Context, l store.Lease) error
	Release(ctx context.Context, node string) error
	Block(ctx context.Context, l store.Lease, until consent.Time) error
	ReportPlan(ctx context.Context, l store.Lease, plan []byte) error
	AddEffects(ctx context.Context, l store.Lease, k store.IntegrationKey, effects []store.Effect) error

	IntegrationsOfLicence(ctx context.Context, licence string) ([]*store.Integration, error)
	SetSeen(ctx context.Context, k store.IntegrationKey, seen consent.Seen) error
	SetStatus(ctx context.Context, k store.IntegrationKey, from, to store.IntegrationStatus, reason string) (bool, error)

	Promote(ctx context.Context, k store.IntegrationKey, t store.Target) (int64, error)
	NextDue(ctx context.Context, k store.IntegrationKey, t store.Target, c store.Class, limit int) ([]*store.Delivery, error)
	NextReadback(ctx context.Context, k store.IntegrationKey, t store.Target, limit int) ([]*store.Delivery, error)
	Person(ctx context.Context, organization string, key store.PersonKey) (*store.Person, error)
	Begin(ctx context.Context, l store.Lease, s store.Start) (bool, error)
	Finish(ctx context.Context, l store.Lease, f store.Finish) error
	Settle(ctx context.Context, l store.Lease, settled []store.Settled) error
	Fail(ctx context.Context, l store.Lease, k store.DeliveryKey, version int64, reason string) error
	RecordRead(ctx context.Context, l store.Lease, f store.Finish, due bool) error
	Reopen(ctx context.Context, k store.IntegrationKey, after consent.Time) error

	Loads
	News
	Messages
	Traced
}

// Messages is what sending messages to people needs of the database.
type Messages interface {
	Email(ctx context.Context, organization, id string) (*store.Email, error)
	NextMessages(ctx context.Context, k store.IntegrationKey, rank store.Rank, limit int) ([]*store.Message, error)
	BeginMessage(ctx context.Context, l store.Lease, m *store.Message, call store.Call) (bool, error)
	EndMessage(ctx context.Context, l store.Lease, end store.MessageEnd) error
	DropMessage(ctx context.Context, l store.Lease, m *store.Message, reason string) error
	TendMessages(ctx context.Context, l store.Lease, k store.IntegrationKey) (dropped int64, err error)
}

// News is what two-way needs of the database.
type News interface {
	Hear(ctx context.Context, batch []store.News) error
	NextNews(ctx context.Context, k store.IntegrationKey, limit int) ([]*store.News, error)
	Repeated(ctx context.Context, n *store.News) (bool, error)
	Postpone(ctx context.Context, l store.Lease, n *store.News, until consent.Time) error
	SettleNews(ctx context.Context, l store.Lease, h store.Heard) error
	OwnWrites(ctx context.Context, k store.IntegrationKey, p store.PersonKey, since consent.Time) (map[string][]consent.OwnWrite, error)
	PersonOfProfile(ctx context.Context, k store.IntegrationKey, profileID string) (store.PersonKey, error)
	MailedSince(ctx context.Context, organization string, p store.PersonKey, since consent.Time) (bool, error)
	store.Backlogs
}

// Loads is what the bulk lane needs of the database.
type Loads interface {
	Queue(ctx context.Context, k store.IntegrationKey, t store.Target, c store.Class) (store.Queue, error)
	DuePage(ctx context.Context, k store.IntegrationKey, t store.Target, c store.Class, after store.DueCursor, limit int) ([]*store.Delivery, error)
	Delivery(ctx context.Context, k store.DeliveryKey) (*store.Delivery, error)
	Counts(ctx context.Context, k store.IntegrationKey) (map[string]int64, error)
	OpenLoads(ctx context.Context, k store.IntegrationKey) ([]*store.Load, error)
	LoadsStarted(ctx context.Context, k store.IntegrationKey, after consent.Time) ([]consent.Time, error)
	SaveLoad(ctx context.Context, l store.Lease, load *store.Load) error
	JoinLoad(ctx context.Context, l store.Lease, load *store.Load, joining []store.Joining) ([]bool, error)
	LoadRows(ctx context.Context, load *store.Load, state store.RowState, after, limit int) ([]store.LoadRow, error)
	FileRows(ctx context.Context, load *store.Load, after, limit int) ([]store.LoadRow, error)
	RefuseRows(ctx context.Context, l store.Lease, load *store.Load, refused []store.RowRefusal) (int, error)
	SampleRows(ctx context.Context, l store.Lease, load *store.Load, rows []int) error
	EndRows(ctx context.Context, l store.Lease, load *store.Load, rows []store.LoadRow) (int, error)
	ForgetRows(ctx context.Context, load *store.Load) (more bool, err error)
}

// Target is the other end of one integration. Its errors are consent.Errors
// whose kind says what is certain: NotFound, Invalid, Unauthorized, Forbidden,
// RateLimited and Transient mean that nothing was applied; Unclear means that
// it may have been.
type Target interface {
	// Update writes d to the profile and touches nothing else. It gives Actito's
	// own id of the profile, if the answer tells it.
	Update(ctx context.Context, userID string, d consent.Difference) (profileID string, err error)
	// Create makes the profile with d, and gives the same.
	Create(ctx context.Context, userID string, d consent.Difference) (profileID string, err error)
	// Read tells what the profile holds.
	Read(ctx context.Context, userID string) (Held, error)
	// ReadID is Read by Actito's own id of the profile.
	ReadID(ctx context.Context, profileID string) (Held, error)
	// Check reads the structure of the table: NotFound when it is gone.
	Check(ctx context.Context) (Structure, error)
	// Generation changes whenever the credentials in use do (R18).
	Generation() uint64
	// Bulk is the operation that takes many profiles at once; nil if the
	// integration has none.
	Bulk() Bulk
	// Send has a message sent, and writes the recipient's profile on the way. It
	// gives Actito's own id of it, if the answer tells it. Its errors are those of
	// a write.
	Send(ctx context.Context, l mail.Letter) (interaction string, err error)
}

// Bulk takes many profiles in one call. Its errors are those of a Target.
type Bulk interface {
	// Load hands a file of rows over, with a subscription for each column, and
	// gives the id of the execution that then begins. The rows are read once; an
	// error in them ends it, and nothing is sent.
	Load(ctx context.Context, columns []string, rows iter.Seq2[store.LoadRow, error]) (execution string, err error)
	// Result tells how far an execution is.
	Result(ctx context.Context, execution string) (LoadResult, error)
	// RowBytes bounds what a profile adds to a file; 0 when its key cannot
	// stand in one.
	RowBytes(userID string, columns int) int
	// MostBytes is what a file may hold.
	MostBytes() int
}

// LoadResult is what is told of an execution.
type LoadResult struct {
	Running bool
	// Failed tells that it failed as a whole, after it applied some rows
	// perhaps; Reason tells why.
	Failed bool
	Reason string
	// Told tells that every row which is not among Refused was applied. Where it
	// is false, nobody may be taken for synced.
	Told    bool
	Refused iter.Seq2[store.RowRefusal, error] // nil for none; read once
}

// Held is what a profile holds, as far as the answer tells. Subscriptions is
// nil when the answer says nothing about them; otherwise one that is not in it
// is off.
type Held struct {
	ProfileID     string // Actito's own id; empty if it was not told
	Subscriptions map[string]bool
	Attributes    map[string]any
}

// Structure is what a table has. Subscriptions is empty where the answer did not
// tell them.
type Structure struct {
	Subscriptions []string
	Attributes    []consent.Attribute
}

// Exchange is one request to the other end as it went.
type Exchange struct {
	Writes bool
	Took   time.Duration
	Status int // 0 when there was no answer
}

// Targets opens the target of an integration.
type Targets interface {
	Target(i *store.Integration) (Target, error)
	// Didomi opens the way back; nil where there are no credentials for it.
	Didomi(i *store.Integration) (Didomi, error)
	// Order opens what a message is to say.
	Order(m *store.Message) (mail.Order, error)
	// PersonKey gives the key of a person.
	PersonKey(organization, userID string) store.PersonKey
	// Paced gives a context under which every request to the other end first
	// waits for the pace, and is then told to the meter, if there is one.
	Paced(ctx context.Context, pace func(context.Context) error, meter func(Exchange)) context.Context
}
