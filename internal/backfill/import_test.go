package backfill

import (
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/mail"
	"consentsync/internal/store"
)

// Consent that is new to us, but was fetched or imported, causes no message,
// though one is configured; the same by webhook, just now, does.
func TestR28CatchUpAndImportSendNoMail(t *testing.T) {
	t.Parallel()
	db, h := opened(t)
	i := connect(t, db, "acme")
	e := &store.Email{Organization: "acme", ID: "e", Integration: i.ID, Revision: 1, Settings: mail.Settings{TypeID: "actito", EmailType: mail.ConfirmConsentChanged, Enabled: true}}
	e.Settings.Complete()
	if err := db.CreateEmail(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	d := &truth{events: []fact{{"e1", "ana", "news", noon.Add(-time.Minute), true}}}
	catchUp(t, fetching(db, h, d), i, d)

	m := &Importer{Store: db, Due: func() {}, Changed: func() {}, Now: noon.Std}
	if err := db.SetFeature(t.Context(), "acme", true); err != nil {
		t.Fatal(err)
	}
	v, err := m.Open(t.Context(), "acme", "export")
	if err != nil {
		t.Fatal(err)
	}
	k := store.ImportKey{Organization: "acme", ID: v.ID}
	part, err := m.Take(t.Context(), k, Part{File: "events", Body: fact{"e2", "bob", "news", noon.Add(-time.Minute), true}.json("acme")})
	if err != nil || part.Outcomes[consent.Applied] != 1 {
		t.Fatalf("the import took %+v, %v", part, err)
	}
	if _, err := m.End(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	if n := len(verdicts(t, db, h, "acme", []string{"ana", "bob"}, "news")); n != 2 {
		t.Fatalf("%d people are known", n)
	}
	messages := func() int {
		t.Helper()
		found, err := db.Messages(t.Context(), "acme", "", store.ID{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	if n := messages(); n != 0 {
		t.Errorf("%d messages are sent because of what was fetched or imported", n)
	}
	in, _, err := importable("acme", fact{"e3", "eve", "news", noon.Add(-time.Minute), true}.json("acme"))
	if err != nil {
		t.Fatal(err)
	}
	in.Live, in.Source = true, store.AsTold
	if _, err := db.Accept(t.Context(), []store.Inbound{*in}); err != nil || messages() != 1 {
		t.Errorf("what is told at once causes %d messages, %v", messages(), err)
	}
}
