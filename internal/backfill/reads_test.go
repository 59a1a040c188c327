package backfill

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consentsync/internal/consent"
	"consentsync/internal/store"
	"consentsync/internal/store/sqlite"
)

func TestTurnOfReads(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) consent.Time { return noon.Add(-d) }
	run := func(s store.ReconciliationState, started, read time.Duration) *store.Reconciliation {
		return &store.Reconciliation{State: s, StartedAt: ago(started), AsOf: ago(read)}
	}
	const reading, done = store.ReconciliationReading, store.ReconciliationDone
	for name, x := range map[string]struct {
		run     *store.Reconciliation
		perHour int
		turn    readsTurn
	}{
		"never":                      {nil, 60, readsTurn{begin: true}},
		"not wanted":                 {nil, 0, readsTurn{off: true}},
		"no longer wanted":           {run(reading, time.Hour, 0), 0, readsTurn{end: true}},
		"no longer wanted, and done": {run(done, time.Hour, 0), 0, readsTurn{off: true}},
		"the first read":             {&store.Reconciliation{State: reading, StartedAt: noon}, 60, readsTurn{}},
		"a minute has passed":        {run(reading, time.Hour, time.Minute), 60, readsTurn{}},
		"half a minute has":          {run(reading, time.Hour, 30*time.Second), 60, readsTurn{wait: 30 * time.Second}},
		"hours in which none was":    {run(reading, 9*time.Hour, 8*time.Hour), 60, readsTurn{}},
		"a day":                      {run(reading, 24*time.Hour, time.Second), 60, readsTurn{end: true}},
		"everybody was read":         {run(done, 20*time.Hour, 19*time.Hour), 60, readsTurn{wait: 4 * time.Hour}},
		"a day later":                {run(done, 24*time.Hour, 19*time.Hour), 60, readsTurn{begin: true}},
	} {
		if got := turnOfReads(x.run, noon, x.perHour); got != x.turn {
			t.Errorf("%s: %+v, want %+v", name, got, x.turn)
		}
	}
}

// profiles are those of a table, with a clock that goes on as the reader waits.
type profiles struct {
	*testing.T
	db    *sqlite.Engine
	now   consent.Time
	key   store.IntegrationKey
	holds map[string]map[string]bool // subscriptions by user id
	read  []string
	at    []consent.Time
	err   error
}

func (p *profiles) reader(h *store.Hasher) *reader {
	return &reader{key: p.key, Reconciler: &Reconciler{
		Store: p.db, Hasher: h, Holds: func(string) bool { return true }, Due: func() {}, Changed: func() {}, Log: slog.New(slog.DiscardHandler),
		Read: func(_ context.Context, _ *store.Integration, userID string) (map[string]bool, consent.Time, error) {
			if p.err != nil {
				return nil, p.now, p.err
			}
			p.read, p.at = append(p.read, userID), append(p.at, p.now)
			held, there := p.holds[userID]
			if !there {
				return nil, p.now, consent.Errorf(consent.NotFound, "test", "no such profile")
			}
			return held, p.now, nil
		},
	}}
}

// until steps until a time, or until so many profiles were read.
func (p *profiles) until(r *reader, end consent.Time, reads int) {
	p.Helper()
	for len(p.read) < reads && p.now < end {
		wait, more, err := r.step(p.Context())
		if err != nil || !more {
			p.Fatalf("it ends with %v after %d profiles", err, len(p.read))
		}
		p.now = p.now.Add(max(wait, time.Microsecond))
	}
}

func (p *profiles) runs() []*store.Reconciliation {
	p.Helper()
	runs, err := p.db.Reconciliations(p.Context(), p.key, 100)
	if err != nil {
		p.Fatal(err)
	}
	return runs
}

// tabled gives so many people who refused, all of whom are on in Actito, and an
// integration that wants so many read an hour.
func tabled(t *testing.T, people, perHour int) (*profiles, *store.Hasher) {
	t.Helper()
	p := &profiles{T: t, now: noon, holds: map[string]map[string]bool{}}
	db, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{Now: func() time.Time { return p.now.Std() }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	h := store.NewHasher([]byte("a key for tests"))
	db.UseHasher(h)
	var batch []store.Inbound
	for n := range people {
		in := person("acme", n)
		batch = append(batch, in)
		p.holds[in.Message.OrganizationUserID] = map[string]bool{"News": true, "Stranger": true}
	}
	if _, err := db.Accept(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	p.db = db
	i := connect(t, db, "acme") // after them, so that nothing is due
	p.key = store.IntegrationKey{Organization: i.Organization, ID: i.ID}
	i.Settings.Properties.ReconcileReadsPerHour = perHour
	i.Revision++
	if err := db.UpdateIntegration(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	settleReprojection(t, db, i)
	return p, h
}

// Everybody is read once before anybody is read twice, whatever is interrupted, and
// never faster than the slice allows. A reconciliation is a day's, and the next goes
// on where it ended.
func TestReadsTakeEverybodyInTurn(t *testing.T) {
	t.Parallel()
	const people, day = 30, 24 * time.Hour
	p, h := tabled(t, people, 1)
	p.until(p.reader(h), noon.Add(10*day), 11)
	p.until(p.reader(h), noon.Add(10*day), people) // as after a crash, or on another node
	if got := slices.Compact(slices.Sorted(slices.Values(p.read))); len(got) != people {
		t.Errorf("of %d people %d were read", people, len(got))
	}
	for n := 1; n < len(p.at); n++ {
		if p.at[n].Sub(p.at[n-1]) < time.Hour {
			t.Fatalf("read %d came %v after the one before", n, p.at[n].Sub(p.at[n-1]))
		}
	}
	runs := p.runs()
	if len(runs) != 2 || runs[1].State != store.ReconciliationDone || runs[1].Report.People != 23 || runs[0].Report.People != people-23 {
		t.Fatalf("it came to %d reconciliations: %+v", len(runs), runs)
	}
	p.until(p.reader(h), noon.Add(48*time.Hour).Add(time.Minute), people+1)
	runs = p.runs()
	if ended := runs[1]; ended.State != store.ReconciliationDone || ended.Cursor != nil || ended.EndedAt.Sub(ended.StartedAt) > 8*time.Hour {
		t.Errorf("when everybody was read it came to %+v", ended)
	}
	if apart := runs[0].StartedAt.Sub(runs[1].StartedAt); apart < day || apart > day+time.Second || p.read[people] != p.read[0] {
		t.Errorf("the next began %v after it", apart)
	}
}

// What is read is compared as an export is: refusals are sent again, a profile that
// is gone is counted, grants are not touched.
func TestReadsAreCompared(t *testing.T) {
	t.Parallel()
	p, h := tabled(t, 3, 3600)
	delete(p.holds, "person 1")
	p.holds["person 2"] = nil // the answer says nothing of subscriptions
	r := p.reader(h)
	p.until(r, noon.Add(time.Minute), 3)
	run := p.runs()[0]
	want := store.DriftReport{People: 3, Profiles: 2, ShouldBeOff: 1, Learnt: 1, Off: 1, UnknownSubscriptions: []string{"Stranger"}, Examples: run.Report.Examples}
	if diff := cmp.Diff(want, run.Report); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	d, err := p.db.Delivery(t.Context(), store.DeliveryKey{Organization: "acme", Integration: p.key.ID, Target: store.TargetActito, Person: h.Person("acme", consent.Subject{OrganizationUserID: "person 0"})})
	if err != nil || d.State != store.Pending || d.Class != store.BackfilledRefusal || !d.HoldGrants {
		t.Errorf("the refusal is %+v, %v", d, err)
	}
	if run.Source != store.SourceReads || run.Rows != 2 || !slices.Equal(run.Columns, []string{"News"}) {
		t.Errorf("it is %+v", run)
	}
}

// A profile that cannot be read holds up nobody for long, an API key that may not
// read is not tried all the time, and whoever has lost the licence stops.
func TestReadsThatFail(t *testing.T) {
	t.Parallel()
	p, h := tabled(t, 2, 3600)
	r := p.reader(h)
	for wait := time.Duration(0); wait == 0; p.now = p.now.Add(wait) { // until the first is to be read
		var err error
		if wait, _, err = r.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []struct {
		kind consent.Kind
		wait time.Duration
		left int64 // passed over by then
	}{
		{consent.Transient, readsAgain, 0},
		{consent.Transient, readsAgain, 0},
		{consent.Transient, readsAgain, 1},
		{consent.Forbidden, time.Hour, 1},
		{consent.Conflict, lookForReads, 1},
		{consent.Invalid, readsAgain, 2},
	} {
		p.err = consent.Errorf(x.kind, "test", "no")
		tried := false
		was, refused := r.Read, p.now
		r.Read = func(ctx context.Context, i *store.Integration, userID string) (map[string]bool, consent.Time, error) {
			tried = true
			return was(ctx, i, userID)
		}
		for wait := time.Duration(0); wait == 0; {
			var more bool
			var err error
			if wait, more, err = r.step(t.Context()); err != nil || !more {
				t.Fatal(err)
			}
			if wait > 0 {
				p.now = p.now.Add(wait)
			}
		}
		r.Read = was
		if left := p.runs()[0].Report.Unreadable; !tried || p.now.Sub(refused) != x.wait || left != x.left {
			t.Errorf("%v: tried again after %v, %d passed over", x.kind, p.now.Sub(refused), left)
		}
	}
	r.Holds = func(string) bool { return false }
	if _, more, err := r.step(t.Context()); more || err != nil {
		t.Errorf("it goes on without the licence: %v", err)
	}
}

func TestBeforeAKey(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ key, before store.PersonKey }{
		{store.PersonKey{1, 2}, store.PersonKey{1, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}},
		{store.PersonKey{0: 9, 15: 7}, store.PersonKey{0: 9, 15: 6}},
	} {
		if got := before(x.key); !slices.Equal(got, x.before[:]) {
			t.Errorf("before %x is %x", x.key, got)
		}
	}
	if got := before(store.PersonKey{}); got != nil {
		t.Errorf("before the first is %x", got)
	}
}
