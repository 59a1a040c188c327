// Package storetest holds every engine to the same behaviour.
//
// An engine that passes Run keeps the promises that the rest of the program
// builds on: nothing accepted is lost or merged twice, whatever the order and
// the batches; organizations never see each other; the state machine of a
// delivery is the one that docs/design.md draws; results are fenced by the
// lease; and what cannot be written changes nothing. A behaviour that one
// engine has and another could lack belongs here, not in the test of either.
package storetest

import (
	"context"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Engine is all that the consumers ask of an engine, put together.
type Engine interface {
	Accepting
	Delivering
	Loading
	Telling
	Mailing
	People
	Integrations
	Setups
	Accounts
	Users
	Importing
	Auditing

	// UseHasher is called once, before anything else.
	UseHasher(h *store.Hasher)
	Now(ctx context.Context) (consent.Time, error)
	Ping(ctx context.Context) error
}

// Accepting is what ingestion asks.
type Accepting interface {
	Accept(ctx context.Context, batch []store.Inbound) ([]store.Receipt, error)
	Enqueue(ctx context.Context, batch []store.Inbound) error
	Merge(ctx context.Context, k store.InboxKey, limit int, decode store.Decode) (store.Merged, error)
	SetAside(ctx context.Context, k store.InboxKey, seq int64, reason string) error
	RetryAside(ctx context.Context) error
	store.Unmerged
}

// Delivering is what delivery asks.
type Delivering interface {
	Acquire(ctx context.Context, node string) ([]store.Lease, error)
	Vacant(ctx context.Context) (bool, error)
	Holdings(ctx context.Context, after string, limit int) ([]store.Holding, error)
	Yield(ctx context.Context, l store.Lease) error
	Release(ctx context.Context, node string) error
	Block(ctx context.Context, l store.Lease, until consent.Time) error

	Promote(ctx context.Context, k store.IntegrationKey, t store.Target) (int64, error)
	NextDue(ctx context.Context, k store.IntegrationKey, t store.Target, c store.Class, limit int) ([]*store.Delivery, error)
	NextReadback(ctx context.Context, k store.IntegrationKey, t store.Target, limit int) ([]*store.Delivery, error)
	Begin(ctx context.Context, l store.Lease, s store.Start) (bool, error)
	Finish(ctx context.Context, l store.Lease, f store.Finish) error
	Settle(ctx context.Context, l store.Lease, settled []store.Settled) error
	Fail(ctx context.Context, l store.Lease, k store.DeliveryKey, version int64, reason string) error
	RecordRead(ctx context.Context, l store.Lease, f store.Finish, due bool) error
	Reopen(ctx context.Context, k store.IntegrationKey, after consent.Time) error
	TracesOf(ctx context.Context, organization string, p store.PersonKey, since consent.Time) ([][]byte, error)
}

// Loading is what the bulk lane and the plan ask.
type Loading interface {
	Queue(ctx context.Context, k store.IntegrationKey, t store.Target, c store.Class) (store.Queue, error)
	DuePage(ctx context.Context, k store.IntegrationKey, t store.Target, c store.Class, after store.DueCursor, limit int) ([]*store.Delivery, error)
	Counts(ctx context.Context, k store.IntegrationKey) (map[string]int64, error)
	ReportPlan(ctx context.Context, l store.Lease, plan []byte) error
	Plan(ctx context.Context, licence string) ([]byte, error)
	OpenLoads(ctx context.Context, k store.IntegrationKey) ([]*store.Load, error)
	Loads(ctx context.Context, k store.IntegrationKey, limit int) ([]*store.Load, error)
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

// Telling is what telling Actito's changes to Didomi asks.
type Telling interface {
	Hear(ctx context.Context, batch []store.News) error
	Repeated(ctx context.Context, n *store.News) (bool, error)
	NextNews(ctx context.Context, k store.IntegrationKey, limit int) ([]*store.News, error)
	Postpone(ctx context.Context, l store.Lease, n *store.News, until consent.Time) error
	SettleNews(ctx context.Context, l store.Lease, h store.Heard) error
	OwnWrites(ctx context.Context, k store.IntegrationKey, p store.PersonKey, since consent.Time) (map[string][]consent.OwnWrite, error)
	PersonOfProfile(ctx context.Context, k store.IntegrationKey, profileID string) (store.PersonKey, error)
}

// Mailing is what messages to people ask.
type Mailing interface {
	Emails(ctx context.Context, organization string) ([]*store.Email, error)
	Email(ctx context.Context, organization, id string) (*store.Email, error)
	CreateEmail(ctx context.Context, e *store.Email, changes ...store.Change) error
	UpdateEmail(ctx context.Context, e *store.Email, changes ...store.Change) error
	DeleteEmail(ctx context.Context, organization, id string, changes ...store.Change) error
	Request(ctx context.Context, m store.Message, changes ...store.Change) (is *store.Message, fresh bool, err error)
	Message(ctx context.Context, organization string, id store.ID) (*store.Message, error)
	SendAgain(ctx context.Context, organization string, id store.ID, expires consent.Time, changes ...store.Change) error
	store.MessageList
	MailedSince(ctx context.Context, organization string, p store.PersonKey, since consent.Time) (bool, error)
	NextMessages(ctx context.Context, k store.IntegrationKey, rank store.Rank, limit int) ([]*store.Message, error)
	BeginMessage(ctx context.Context, l store.Lease, m *store.Message, call store.Call) (bool, error)
	EndMessage(ctx context.Context, l store.Lease, end store.MessageEnd) error
	DropMessage(ctx context.Context, l store.Lease, m *store.Message, reason string) error
	TendMessages(ctx context.Context, l store.Lease, k store.IntegrationKey) (dropped int64, err error)
}

// People is what explaining and comparing people asks.
type People interface {
	Person(ctx context.Context, organization string, key store.PersonKey) (*store.Person, error)
	ComparePage(ctx context.Context, k store.IntegrationKey, between store.Keys, limit int) ([]*store.Compared, error)
	Delivery(ctx context.Context, k store.DeliveryKey) (*store.Delivery, error)
	DeliveriesOf(ctx context.Context, organization string, p store.PersonKey) ([]*store.Delivery, error)
	Mentions(ctx context.Context, organization string, people []store.PersonKey, userID string, limit int) (store.Mentions, error)
	MessagesOf(ctx context.Context, organization string, p store.PersonKey, limit int) ([]*store.Message, error)
	Trace(ctx context.Context, organization string, subjects []store.PersonKey, limit int) (store.Trace, error)
	Payload(ctx context.Context, organization string, id store.ID) (salt [16]byte, body []byte, err error)
	Events(ctx context.Context, organization string, f store.EventFilter, before store.ID, limit int) ([]store.Event, store.ID, error)
	Event(ctx context.Context, organization string, id store.ID) (*store.Event, error)
	SubjectsOf(ctx context.Context, organization string, keys []store.PersonKey) (map[store.PersonKey]consent.Subject, error)
	Troubles(ctx context.Context, k store.IntegrationKey) ([]store.Trouble, error)
	Troubled(ctx context.Context, k store.IntegrationKey, only store.Only, after store.TroubleCursor, limit int) ([]*store.Delivery, error)
	States(ctx context.Context, k store.IntegrationKey) (store.Standings, error)
	StartRetry(ctx context.Context, k store.IntegrationKey, only store.Only, changes ...store.Change) error
	AddEffects(ctx context.Context, l store.Lease, k store.IntegrationKey, effects []store.Effect) error
	Effects(ctx context.Context, k store.IntegrationKey, since consent.Time) ([]store.Effect, error)
	AskRead(ctx context.Context, k store.DeliveryKey, changes ...store.Change) error
}

// Integrations is what configuring and re-projecting asks.
type Integrations interface {
	Integration(ctx context.Context, k store.IntegrationKey) (*store.Integration, error)
	Integrations(ctx context.Context, organization, after string, limit int) ([]*store.Integration, error)
	IntegrationsOfLicence(ctx context.Context, licence string) ([]*store.Integration, error)
	OrganizationOf(ctx context.Context, id string) (string, error)
	CreateIntegration(ctx context.Context, i *store.Integration, changes ...store.Change) error
	UpdateIntegration(ctx context.Context, i *store.Integration, changes ...store.Change) error
	DeleteIntegration(ctx context.Context, k store.IntegrationKey, changes ...store.Change) error
	Sweep(ctx context.Context) error
	AllIntegrations(ctx context.Context, after store.IntegrationKey, limit int) ([]*store.Integration, error)
	SetSeen(ctx context.Context, k store.IntegrationKey, seen consent.Seen) error
	SetWebhook(ctx context.Context, k store.IntegrationKey, w store.Webhook) error
	SetStatus(ctx context.Context, k store.IntegrationKey, from, to store.IntegrationStatus, reason string) (bool, error)
	Switch(ctx context.Context, k store.IntegrationKey, to store.IntegrationStatus, changes ...store.Change) error
	Totals(ctx context.Context, k store.IntegrationKey) (store.Totals, error)
	Reprojections(ctx context.Context) ([]store.Reprojection, error)
	Reprojection(ctx context.Context, k store.IntegrationKey) (store.Reprojection, bool, error)
	AdvanceReprojection(ctx context.Context, r store.Reprojection, due []store.Due, changes ...store.Change) error
	MakeDue(ctx context.Context, k store.DeliveryKey, class store.Class, consentAt consent.Time, changes ...store.Change) error
	Alone(ctx context.Context, f func(context.Context) error) error
	MarkRestored(ctx context.Context) (paused int, err error)
	RestoredAt(ctx context.Context, organization string) (consent.Time, error)
}

// Setups is what setting up an integration step by step asks.
type Setups interface {
	Setups(ctx context.Context, organization string) ([]store.Setup, error)
	Setup(ctx context.Context, organization, id string) (*store.Setup, error)
	KeepSetup(ctx context.Context, s *store.Setup) error
	DropSetup(ctx context.Context, organization, id string) error
}

// Accounts is what authentication and administration ask.
type Accounts interface {
	SecretKey(ctx context.Context, name string, make func() ([]byte, error)) ([]byte, error)
	SecretKeys(ctx context.Context) ([]store.SecretKey, error)
	AddSealingKey(ctx context.Context, k store.SecretKey, changes ...store.Change) error
	ReplaceSecretKeys(ctx context.Context, was, is []store.SecretKey, changes ...store.Change) error
	DropSecretKey(ctx context.Context, name string, changes ...store.Change) error
	Sealed(ctx context.Context, c store.SealedColumn, after []string, limit int) ([]store.Sealed, error)
	Reseal(ctx context.Context, c store.SealedColumn, s store.Sealed, is []byte) (bool, error)
	SetFeature(ctx context.Context, organization string, actito bool, changes ...store.Change) error
	Feature(ctx context.Context, organization string) (exists, actito bool, err error)
	AddWebhookClient(ctx context.Context, c store.WebhookClient, changes ...store.Change) error
	WebhookClient(ctx context.Context, clientID string) (*store.WebhookClient, error)
	WebhookClients(ctx context.Context, organization string) ([]*store.WebhookClient, error)
	RotateWebhookClient(ctx context.Context, organization, clientID string, secret [32]byte, until consent.Time, changes ...store.Change) error
	RemoveWebhookClient(ctx context.Context, organization, clientID string, changes ...store.Change) error
	AddAPIKey(ctx context.Context, k store.APIKey, changes ...store.Change) error
	APIKey(ctx context.Context, id string) (*store.APIKey, error)
	APIKeys(ctx context.Context, organization, after string, limit int) ([]*store.APIKey, error)
	UseAPIKey(ctx context.Context, organization, id string, at consent.Time) error
	RevokeAPIKey(ctx context.Context, organization, id string, changes ...store.Change) error
	Organizations(ctx context.Context, after string, limit int) ([]store.Organization, error)
	Changes(ctx context.Context, organization, integration string, before store.ID, limit int) ([]store.Change, error)
}

// Users is what signing in to the console asks.
type Users interface {
	AnyUser(ctx context.Context) (bool, error)
	User(ctx context.Context, id string) (*store.User, error)
	UserByEmail(ctx context.Context, email string) (*store.User, error)
	Memberships(ctx context.Context, user string) ([]store.Membership, error)
	Members(ctx context.Context, organization, after string, limit int) ([]store.Member, error)
	SetRole(ctx context.Context, organization, user, role string, changes ...store.Change) error
	RemoveMember(ctx context.Context, organization, user string, changes ...store.Change) error
	SetPassword(ctx context.Context, user, password string, keep [32]byte) error
	StartSession(ctx context.Context, s store.Session) error
	Session(ctx context.Context, hash [32]byte) (*store.Session, *store.User, error)
	KeepSession(ctx context.Context, hash [32]byte, seen, expires consent.Time) error
	EndSession(ctx context.Context, hash [32]byte) error
	Invite(ctx context.Context, i store.Invitation, changes ...store.Change) error
	Invitation(ctx context.Context, hash [32]byte) (*store.Invitation, error)
	Invitations(ctx context.Context, organization string) ([]store.Invitation, error)
	Uninvite(ctx context.Context, organization, id string, changes ...store.Change) error
	Join(ctx context.Context, hash [32]byte, u store.User, change func(*store.Invitation) store.Change) error
}

// Importing is what taking in files, catching up and reconciling ask.
type Importing interface {
	OpenImport(ctx context.Context, organization, name string, changes ...store.Change) (*store.Import, error)
	Import(ctx context.Context, k store.ImportKey) (*store.Import, error)
	Imports(ctx context.Context, organization, before string, limit int) ([]*store.Import, error)
	TakeRows(ctx context.Context, s *store.ImportStep) (*store.Import, error)
	NextStaged(ctx context.Context, k store.ImportKey, after store.StagedPlace) ([]store.StagedBlock, error)
	MergeRows(ctx context.Context, s *store.MergeStep) (*store.Import, []store.Receipt, error)
	StagedImports(ctx context.Context) ([]*store.Import, error)
	ImportRefusals(ctx context.Context, k store.ImportKey, after store.RefusalCursor, limit int) ([]store.ImportRefusal, error)
	EndImport(ctx context.Context, k store.ImportKey, changes ...store.Change) (*store.Import, error)
	CatchUp(ctx context.Context, organization string) (store.CatchUp, error)
	SaveCatchUp(ctx context.Context, c *store.CatchUp, changes ...store.Change) error
	Recompare(ctx context.Context, organization string) error
	StartReconciliation(ctx context.Context, r *store.Reconciliation, changes ...store.Change) error
	Reconciliation(ctx context.Context, k store.IntegrationKey, id store.ID) (*store.Reconciliation, error)
	Reconciliations(ctx context.Context, k store.IntegrationKey, limit int) ([]*store.Reconciliation, error)
	Reconciling(ctx context.Context) ([]*store.Reconciliation, error)
	StageHeld(ctx context.Context, r *store.Reconciliation, rows []store.HeldRow) error
	HeldRows(ctx context.Context, r *store.Reconciliation, slice int) ([]store.HeldRow, error)
	SaveReconciliation(ctx context.Context, r *store.Reconciliation, s store.ReconciliationStep) error
	ForgetHeld(ctx context.Context, k store.IntegrationKey, keep store.ID, limit int) (more bool, err error)
}

// group is the tests of one area by what they show.
type group map[string]func(b *bench)

// Run holds an engine to all of it. open gives an empty database whose clock is
// the one given; it sees to it that the database is closed with the test.
func Run(t *testing.T, open func(t *testing.T, clock func() time.Time) Engine) {
	t.Helper()
	for area, tests := range map[string]group{
		"accept": accepting, "inbox": inbox, "events": events, "deletions": deletions, "links": links, "order": order,
		"due": due, "loads": loads, "ends of loads": loadEnds, "news": news, "messages": mailing, "queues": queues, "compared": compared, "calls": calls, "fence": fence, "reads": reads, "leases": leases,
		"integrations": integrations, "reprojections": reprojections, "accounts": accounts, "credentials": credentials, "sealing": sealing, "users": users, "setups": setups, "changes": recorded,
		"imports": imports, "catch-ups": catchUps, "reconciliations": reconciliations,
		"audit": audited, "erasure": erasing, "personal data": personal, "event lists": eventLists, "troubles": troubles, "concurrency": concurrency,
	} {
		t.Run(area, func(t *testing.T) {
			t.Parallel()
			for name, test := range tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(newBench(t, open))
				})
			}
		})
	}
}
