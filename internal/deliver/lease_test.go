package deliver

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/mail"
	"consentsync/internal/store"
	"consentsync/internal/store/sqlite"
)

// cutOff is a database that this node cannot always reach.
type cutOff struct {
	*sqlite.Engine
	down    atomic.Bool
	slow    bool         // and then takes as long to say so as an engine may
	renewed atomic.Int64 // when leases were last renewed
}

var errCutOff = &consent.Error{Kind: consent.Transient, Message: "the database cannot be reached"}

func (c *cutOff) Acquire(ctx context.Context, node string) ([]store.Lease, error) {
	if c.down.Load() {
		if c.slow {
			time.Sleep(store.LeaseLife / 2)
		}
		return nil, errCutOff
	}
	c.renewed.Store(time.Now().UnixNano())
	return c.Engine.Acquire(ctx, node)
}

func (c *cutOff) Finish(ctx context.Context, l store.Lease, f store.Finish) error {
	if c.down.Load() {
		return errCutOff
	}
	return c.Engine.Finish(ctx, l, f)
}

// mute is an Actito that never answers.
type mute struct {
	begun, cut chan time.Time
}

func (s *mute) Update(ctx context.Context, _ string, _ consent.Difference) (string, error) {
	s.begun <- time.Now()
	<-ctx.Done()
	s.cut <- time.Now()
	return "", &consent.Error{Kind: consent.Unclear, Err: ctx.Err()}
}

func (s *mute) Create(context.Context, string, consent.Difference) (string, error) {
	return "", consent.Errorf(consent.Forbidden, "test", "not for this test")
}

func (s *mute) Read(context.Context, string) (Held, error)   { return Held{}, nil }
func (s *mute) ReadID(context.Context, string) (Held, error) { return Held{}, nil }
func (s *mute) Check(context.Context) (Structure, error)     { return Structure{}, nil }
func (s *mute) Generation() uint64                           { return 0 }
func (s *mute) Bulk() Bulk                                   { return nil }
func (s *mute) Order(*store.Message) (mail.Order, error)     { return mail.Order{}, nil }
func (s *mute) Send(context.Context, mail.Letter) (string, error) {
	return "", consent.Errorf(consent.Forbidden, "test", "not for this test")
}
func (s *mute) Target(*store.Integration) (Target, error)    { return s, nil }
func (s *mute) Didomi(*store.Integration) (Didomi, error)    { return nil, nil }
func (s *mute) PersonKey(string, string) (k store.PersonKey) { return k }
func (s *mute) Paced(ctx context.Context, pace func(context.Context) error, _ func(Exchange)) context.Context {
	_ = pace(ctx) // as for a request that follows at once
	return ctx
}

// withLease runs f beside an engine that has a call under way, in the time of a
// synctest bubble.
func withLease(t *testing.T, f func(t *testing.T, db *cutOff, actito *mute, e *Engine)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		opened, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := opened.Close(); err != nil {
				t.Error(err)
			}
		}()
		opened.UseHasher(store.NewHasher([]byte("a key for tests")))
		db, actito := &cutOff{Engine: opened}, &mute{make(chan time.Time, 9), make(chan time.Time, 9)}
		now := consent.TimeOf(time.Now())
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(opened.CreateIntegration(t.Context(), &store.Integration{
			Organization: "acme", ID: "i", Status: store.Active, Revision: 1, Licence: "one", Sealed: []byte{0},
			Settings: store.Settings{
				TypeID:     "actito",
				Properties: store.Properties{Regulations: []string{consent.DefaultRegulation}, CallsPerMinute: 90, Concurrency: 4},
				Mappings:   []consent.Mapping{{ID: "News", Value: "consents_purposes_news_enabled"}},
			},
			Snapshot: consent.Snapshot{TakenAt: now, Subscriptions: []consent.Subscription{{Name: "News", Since: now}}},
		}))
		_, err = opened.Accept(t.Context(), []store.Inbound{{
			Organization: "acme", Canonical: []byte("e"), Payload: []byte("{}"),
			Message: &consent.Message{
				Type: consent.EventCreated, EntityID: "e", OrganizationUserID: "ana", Regulation: consent.DefaultRegulation, CreatedAt: now,
				Choices: []consent.Said{{Choice: consent.Choice{Kind: consent.OfPurpose, Purpose: "news"}}},
			},
		}})
		must(err)
		e := New(db, actito, Options{Node: "node", Log: slog.New(slog.DiscardHandler), Drain: time.Second})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := e.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		<-actito.begun
		f(t, db, actito, e)
		db.down.Store(false)
		stop()
		running.Wait()
	})
}

// R14: a node that cannot renew its lease cuts its calls before another may
// take the licence and call the same profiles.
func TestR14CallsAreCutBeforeTheLeaseEnds(t *testing.T) {
	t.Parallel()
	withLease(t, func(t *testing.T, db *cutOff, actito *mute, _ *Engine) {
		t.Helper()
		time.Sleep(store.LeaseLife) // a call may last longer than a lease, if that is renewed
		if len(actito.cut) > 0 {
			t.Error("a call was cut though the lease was renewed")
		}
		db.slow = true
		db.down.Store(true)
		after := soon(t, "the call is cut", actito.cut).Sub(time.Unix(0, db.renewed.Load()))
		if after >= store.LeaseLife || after < store.LeaseLife/2 {
			t.Errorf("a call was cut %v after the last renewal", after)
		}
	})
}

// A node whose calls were cut, and which still holds the lease in the end, has
// what was under way delivered again.
func TestALateRenewalBeginsAnew(t *testing.T) {
	t.Parallel()
	withLease(t, func(t *testing.T, db *cutOff, actito *mute, e *Engine) {
		t.Helper()
		db.down.Store(true)
		soon(t, "the call is cut", actito.cut)
		db.down.Store(false)
		e.Rescan() // it still holds the lease, for a moment
		back := time.Now()
		if took := soon(t, "a call is made", actito.begun).Sub(back); took > 5*time.Second {
			t.Errorf("delivery went on after %v", took)
		}
	})
}

// soon waits for something to happen.
func soon(t *testing.T, what string, happened <-chan time.Time) time.Time {
	t.Helper()
	select {
	case at := <-happened:
		return at
	case <-time.After(time.Minute):
		t.Errorf("still not: %s", what)
		return time.Now()
	}
}

// outdated is a database that was changed for newer programs.
type outdated struct{ cutOff }

func (o *outdated) Acquire(context.Context, string) ([]store.Lease, error) {
	return nil, store.ErrOutdated
}

func TestAnOutdatedProgramEnds(t *testing.T) {
	t.Parallel()
	db, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	e := New(&outdated{cutOff{Engine: db}}, &mute{}, Options{Node: "node", Log: slog.New(slog.DiscardHandler)})
	if err := e.Run(t.Context()); !errors.Is(err, store.ErrOutdated) {
		t.Errorf("it ended with %v", err)
	}
}
