package emailing

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"consentsync/internal/auth"
	"consentsync/internal/mail"
	"consentsync/internal/store"
	"consentsync/internal/store/sqlite"
)

// What a message says that waits to be sent can be opened after the key has
// changed that sealed it, and until it is sealed anew that key is counted as used.
func TestMessagesFollowTheSealingKey(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, err := sqlite.Open(ctx, t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ring := func() *auth.Keyring {
		t.Helper()
		k, err := auth.OpenKeyring(ctx, db, make([]byte, 32))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first := ring()
	hasher := store.NewHasher(first.Hash)
	db.UseHasher(hasher)
	s := &Service{Store: db, Sealer: first.Sealer, Hasher: hasher, Now: time.Now, Changed: func() {}}
	i := &store.Integration{Organization: "acme", ID: "i", Status: store.Active, Revision: 1, Licence: "one"}
	e := &store.Email{Organization: "acme", ID: "e", Integration: "i", Revision: 1, Settings: mail.Settings{TypeID: "actito", EmailType: "request-verify", Enabled: true}}
	if err := db.CreateIntegration(ctx, i); err != nil {
		t.Fatal(err)
	}
	if err := db.CreateEmail(ctx, e); err != nil {
		t.Fatal(err)
	}
	v, _, err := s.Send(ctx, "acme", []byte(`{"email_type":"request-verify","organization_user_id":"ana","parameters":{"link":"a secret"}}`))
	if err != nil {
		t.Fatal(err)
	}
	r := auth.NewRotator(auth.RotatorOptions{Store: db, Ring: first, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err := r.Rotate(ctx); err != nil {
		t.Fatal(err)
	}
	left := func() int {
		t.Helper()
		view, err := r.View(ctx)
		if err != nil || len(view.Retired) != 1 {
			t.Fatalf("the keys are %+v, %v", view, err)
		}
		return view.Retired[0].Secrets
	}
	if n := left(); n != 1 {
		t.Errorf("the key before is counted as sealing %d secrets", n)
	}
	keeping, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { r.Keep(keeping) })
	for until := time.Now().Add(5 * time.Second); left() > 0 && time.Now().Before(until); {
		time.Sleep(5 * time.Millisecond) // between two looks
	}
	stop()
	wg.Wait()
	if err := db.DropSecretKey(ctx, "seal"); err != nil {
		t.Fatal(err)
	}
	m, err := db.Message(ctx, "acme", v.ID)
	if err != nil {
		t.Fatal(err)
	}
	s.Sealer = ring().Sealer // that never knew the key before
	if order, err := s.Order(m); err != nil || order.Parameters["link"][0] != "a secret" {
		t.Errorf("without the key before it says %+v, %v", order, err)
	}
}
