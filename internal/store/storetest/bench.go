package storetest

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// noon is when the story of a test begins; at counts minutes from it.
const noon = consent.Time(1_767_268_800_000_000)

func at(minutes int) consent.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

// The organizations of the tests.
const (
	acme   = "acme"
	globex = "globex"
)

// licence is whose budget the tests' integrations spend, unless they say else.
const licence = "https://actito.example key"

// bench is a test with an engine of its own and a clock that it moves.
type bench struct {
	*testing.T
	Engine
	clock  *clock
	hasher *store.Hasher
}

func newBench(t *testing.T, open func(*testing.T, func() time.Time) Engine) *bench {
	t.Helper()
	b := &bench{T: t, clock: &clock{now: noon}, hasher: store.NewHasher([]byte("a key for tests"))}
	b.Engine = open(t, b.clock.read)
	b.UseHasher(b.hasher)
	return b
}

// clock is the database's clock.
type clock struct {
	mu  sync.Mutex
	now consent.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now.Std()
}

func (c *clock) set(t consent.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// now reads the database's clock.
func (b *bench) now() consent.Time {
	b.Helper()
	now, err := b.Now(b.Context())
	b.must(err)
	return now
}

// must ends the test at an error.
func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// kind expects an error of a kind.
func (b *bench) kind(err error, want consent.Kind) {
	b.Helper()
	if err == nil || consent.KindOf(err) != want {
		b.Errorf("got error %v, want one of kind %v", err, want)
	}
}

// same compares what is got with what is wanted.
func (b *bench) same(what string, got, want any) {
	b.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		b.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func purpose(id string) consent.Choice { return consent.Choice{Kind: consent.OfPurpose, Purpose: id} }

func yes(id string) consent.Said { return consent.Said{Choice: purpose(id), Enabled: true} }

func no(id string) consent.Said { return consent.Said{Choice: purpose(id)} }

// event is an event.created of the person ana.
func event(id string, created consent.Time, said ...consent.Said) *consent.Message {
	return &consent.Message{
		Type: consent.EventCreated, EntityID: id, OrganizationUserID: "ana", Regulation: consent.DefaultRegulation,
		CreatedAt: created, Choices: said,
	}
}

// change gives a copy of the message, changed by f.
func change(m *consent.Message, f func(*consent.Message)) *consent.Message {
	c := *m
	f(&c)
	return &c
}

// as gives the message as one of a Didomi user, who is the person; either may
// be empty.
func as(m *consent.Message, person, user string) *consent.Message {
	return change(m, func(m *consent.Message) { m.OrganizationUserID, m.DidomiUserID = person, user })
}

// typed gives the message as one of another type.
func typed(m *consent.Message, t consent.MessageType, updated consent.Time) *consent.Message {
	return change(m, func(m *consent.Message) { m.Type, m.UpdatedAt = t, updated })
}

// deletion is an event.deleted.
func deletion(id string) *consent.Message {
	return &consent.Message{Type: consent.EventDeleted, EntityID: id, Regulation: consent.DefaultRegulation}
}

// inbound is the webhook that says m. What tells messages apart is their
// content alone.
func inbound(organization string, m *consent.Message) store.Inbound {
	content, err := json.Marshal(m)
	if err != nil {
		panic(err) // a message of this package
	}
	return store.Inbound{Organization: organization, Message: m, Canonical: content, Payload: append([]byte("payload "), content...)}
}

// accept takes messages of an organization in one batch.
func (b *bench) accept(organization string, messages ...*consent.Message) []store.Receipt {
	b.Helper()
	batch := make([]store.Inbound, len(messages))
	for i, m := range messages {
		batch[i] = inbound(organization, m)
	}
	receipts, err := b.Accept(b.Context(), batch)
	b.must(err)
	if len(receipts) != len(batch) {
		b.Fatalf("%d receipts for %d messages", len(receipts), len(batch))
	}
	return receipts
}

// acme takes messages of acme, each in a batch of its own, and gives their
// outcomes.
func (b *bench) acme(messages ...*consent.Message) []consent.Outcome {
	b.Helper()
	var all []consent.Outcome
	for _, m := range messages {
		all = append(all, b.accept(acme, m)[0].Outcome)
	}
	return all
}

// person is the key of an identified person.
func (b *bench) person(organization, id string) store.PersonKey {
	return b.hasher.Person(organization, consent.Subject{OrganizationUserID: id})
}

// user is the key of a Didomi user.
func (b *bench) user(organization, id string) store.PersonKey {
	return b.hasher.Person(organization, consent.Subject{DidomiUserID: id})
}

// view is what follows from all that was said of a person.
func (b *bench) view(organization, id string) consent.View {
	b.Helper()
	p, err := b.Person(b.Context(), organization, b.person(organization, id))
	if consent.KindOf(err) == consent.NotFound {
		return consent.View{}
	}
	b.must(err)
	return p.View()
}

// says gives what the view of a person says of purposes: "p" where on, "-p"
// where off, in the order of their ids.
func (b *bench) says(organization, id string) []string {
	b.Helper()
	var all []string
	for _, h := range b.view(organization, id).Choices {
		if h.Enabled {
			all = append(all, h.Purpose)
		} else {
			all = append(all, "-"+h.Purpose)
		}
	}
	return all
}

// trace gives the events and calls of a person.
func (b *bench) trace(organization string, subjects ...store.PersonKey) store.Trace {
	b.Helper()
	t, err := b.Trace(b.Context(), organization, subjects, 1000)
	b.must(err)
	return t
}

// integration is one to be created.
func (b *bench) integration(organization, id string) *store.Integration {
	return &store.Integration{
		Organization: organization, ID: id, Status: store.Active, Revision: 1, Licence: licence, Sealed: []byte("sealed"),
		Settings: store.Settings{
			TypeID:     "actito",
			Properties: store.Properties{BaseURL: "https://actito.example", Regulations: []string{"gdpr"}, CallsPerMinute: 100, Concurrency: 5},
			Mappings:   []consent.Mapping{{ID: "News", Value: purpose("p").Path()}},
			UpsertMode: true,
		},
		Snapshot:  consent.Snapshot{TakenAt: noon, TableID: "16", Subscriptions: []consent.Subscription{{Name: "News", Since: noon}}},
		CreatedAt: b.now(), UpdatedAt: b.now(),
	}
}

// integrate creates an integration whose first re-projection is over.
func (b *bench) integrate(organization, id string) store.IntegrationKey {
	b.Helper()
	i := b.integration(organization, id)
	b.must(b.CreateIntegration(b.Context(), i))
	k := store.IntegrationKey{Organization: organization, ID: id}
	r, ok, err := b.Reprojection(b.Context(), k)
	if err != nil || !ok {
		b.Fatalf("a new integration has no re-projection: %v", err)
	}
	r.State = store.ReprojectionDone
	b.must(b.AdvanceReprojection(b.Context(), r, nil))
	return k
}
