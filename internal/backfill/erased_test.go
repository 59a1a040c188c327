package backfill

import (
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
	"consentsync/internal/store/sqlite"
)

// A consent that somebody gave after they were erased, of which no webhook told, is
// taken from its event; what was erased is not brought back, nor does the record alone
// grant.
func TestCatchUpAfterAnErasure(t *testing.T) {
	t.Parallel()
	now := noon
	db, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{Now: func() time.Time { return now.Std() }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	h := store.NewHasher([]byte("a key for tests"))
	db.UseHasher(h)
	i := connect(t, db, "acme")
	settleReprojection(t, db, i)
	d := &truth{events: []fact{{"e1", "ana", "news", noon.Add(-time.Hour), true}, {"e2", "ana", "other", noon.Add(-time.Hour), true}, {"e3", "bob", "news", noon.Add(-time.Hour), true}}}
	catchUp := func() {
		t.Helper()
		c := fetching(db, h, d)
		c.Every = 24 * time.Hour
		now = now.Add(25 * time.Hour)
		if err := c.tend(t.Context(), i, d); err != nil {
			t.Fatal(err)
		}
	}
	catchUp()
	key := func(id string) store.PersonKey { return h.Person("acme", consent.Subject{OrganizationUserID: id}) }
	for _, id := range []string{"ana", "bob"} {
		x := store.Erasure{SubjectKey: store.SubjectKey{Organization: "acme", Person: key(id)}, Force: true}
		if _, err := db.Erase(t.Context(), x, func([]store.PersonKey) store.Change {
			return store.Change{Organization: "acme", ID: store.NewID(), At: now, By: "me", Action: store.PersonErased}
		}); err != nil {
			t.Fatal(err)
		}
	}
	d.events = append(d.events, fact{"e4", "ana", "news", now.Add(time.Hour), true}, fact{"e5", "bob", "news", now.Add(time.Minute), true})
	catchUp()
	ana, err := db.Person(t.Context(), "acme", key("ana"))
	if err != nil {
		t.Fatal(err)
	}
	view := ana.View()
	if len(view.Choices) != 1 || view.Choices[0].Purpose != "news" || !view.Choices[0].Enabled || view.Choices[0].EventID != "e4" {
		t.Errorf("ana chose %+v", view.Choices)
	}
	if _, err := db.Person(t.Context(), "acme", key("bob")); consent.KindOf(err) != consent.NotFound {
		t.Errorf("bob is back, by an event that a clock which is ahead may have dated: %v", err)
	}
}
