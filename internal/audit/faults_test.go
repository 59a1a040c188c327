package audit

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
	"consentsync/internal/store/sqlite"
)

// failing is a database that cannot be read once, when it is asked for changes.
type failing struct {
	*sqlite.Engine
	failed bool
}

func (f *failing) Unsealed(ctx context.Context, organization string, kind store.AuditKind, after []byte, until consent.Time, limit int) ([]store.NotSealed, error) {
	if kind == store.AuditWalks[1] && organization == "acme" && !f.failed {
		f.failed = true
		return nil, errors.New("the disk cannot be read")
	}
	return f.Engine.Unsealed(ctx, organization, kind, after, until, limit)
}

// What was found when another walk failed is found again, however old it is.
func TestAWalkThatFailsPassesNothing(t *testing.T) {
	t.Parallel()
	ctx, now := t.Context(), time.Now() // ids begin with the time, whatever the clock says
	db, err := sqlite.Open(ctx, t.TempDir(), sqlite.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	hasher := store.NewHasher(make([]byte, 32))
	db.UseHasher(hasher)
	if err := db.SetFeature(ctx, "acme", true); err != nil {
		t.Fatal(err)
	}
	m := &consent.Message{Type: consent.EventCreated, EntityID: "e1", OrganizationUserID: "ana", Regulation: "gdpr", CreatedAt: consent.TimeOf(now)}
	if _, err := db.Accept(ctx, []store.Inbound{{Organization: "acme", Message: m, Canonical: []byte("e1"), Payload: []byte("{}")}}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(3 * time.Hour)
	s := &Sealer{
		Store: &failing{Engine: db}, Hasher: hasher, Signer: NewSigner(make([]byte, 32)), Node: "a", Lag: time.Second,
		Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
	}
	if _, err := s.Pass(ctx); err == nil {
		t.Fatal("no walk failed, so this tests nothing")
	}
	for range 3 {
		now = now.Add(time.Minute)
		if _, err := s.Pass(ctx); err != nil {
			t.Fatal(err)
		}
	}
	head, err := db.AuditHead(ctx, "acme")
	if err != nil || head.Position == 0 {
		t.Errorf("the event was never sealed: the chain ends at %+v, %v", head, err)
	}
}

// blocked is a database in which something is under way for all people but one.
type blocked struct {
	KeepStore
	waiting []store.PersonKey
	erased  int
}

func (b *blocked) Erasures(_ context.Context, _ string, after store.PersonKey, limit int) (page []store.PersonKey, _ error) {
	for _, p := range b.waiting {
		if string(p[:]) > string(after[:]) && len(page) < limit {
			page = append(page, p)
		}
	}
	return page, nil
}

func (b *blocked) Erase(_ context.Context, x store.Erasure, _ func([]store.PersonKey) store.Change) (int, error) {
	if x.Person != b.waiting[len(b.waiting)-1] {
		return 0, consent.Errorf(consent.Conflict, "test", "a call is under way")
	}
	b.erased++
	return 1, nil
}

func (b *blocked) AnyStaged(context.Context, string) (bool, error) { return false, nil }

func (b *blocked) ForgetErasure(context.Context, store.SubjectKey) error { return nil }

// Those who have to wait to be erased hold up nobody.
func TestNobodyWaitsForThoseWhoCannotBeErased(t *testing.T) {
	t.Parallel()
	b := &blocked{}
	for n := range mostErased + 5 {
		b.waiting = append(b.waiting, store.PersonKey{0, byte(n + 1)})
	}
	if err := (&Keeper{Store: b, Now: time.Now}).erase(t.Context(), "acme"); err != nil || b.erased != 1 {
		t.Errorf("%d were erased, want the last one: %v", b.erased, err)
	}
}

// endless is a database in which there is always more to remove, and of which
// the chain says that it may go.
type endless struct {
	KeepStore
	removed int64
}

func (e *endless) Privacy(context.Context, string) (store.Privacy, error) {
	return store.Privacy{RetentionDays: map[store.Kept]int{store.AllKept[0]: 1}}, nil
}

func (e *endless) AuditHead(context.Context, string) (*store.AuditHead, error) {
	return &store.AuditHead{Retention: store.Retention{Horizons: store.Horizons{store.AllKept[0]: 1 << 62}, Change: store.NewID()}}, nil
}

func (e *endless) SealedAt(context.Context, string, store.AuditKind, store.ID, store.PersonKey) (r store.AuditRecord, sealed bool, err error) {
	return r, true, nil
}

func (e *endless) RemoveOld(context.Context, string, store.Kept, int64, int) (int64, error) {
	e.removed++
	return 1, nil
}

func (e *endless) Backlogs(context.Context, string) ([]store.Backlog, error) { return nil, nil }

// However much there is to be removed of one organization, others get their turn.
func TestRemovingEndsForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endless{}
		began := time.Now()
		err := (&Keeper{Store: e, Now: time.Now, Log: slog.New(slog.DiscardHandler)}).keep(t.Context(), "acme")
		if took := time.Since(began); err != nil || e.removed < 100 || took > longestKeep+time.Second {
			t.Errorf("%d steps in %s, %v", e.removed, took, err)
		}
	})
}
