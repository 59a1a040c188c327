package integration

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"consentsync/internal/auth"
	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// kept is a store that notes whose webhooks were looked after.
type kept struct {
	Store
	all     []*store.Integration
	deleted string // since the list was read
	looked  []string
}

func (k *kept) AllIntegrations(_ context.Context, after store.IntegrationKey, _ int) ([]*store.Integration, error) {
	at := slices.IndexFunc(k.all, func(i *store.Integration) bool { return i.ID == after.ID })
	return k.all[at+1:], nil
}

func (k *kept) Integration(_ context.Context, key store.IntegrationKey) (*store.Integration, error) {
	if key.ID == k.deleted {
		return nil, consent.Errorf(consent.NotFound, "test", "it is gone")
	}
	at := slices.IndexFunc(k.all, func(i *store.Integration) bool { return i.ID == key.ID })
	return k.all[at], nil
}

func (k *kept) SetWebhook(_ context.Context, key store.IntegrationKey, _ store.Webhook) error {
	k.looked = append(k.looked, key.ID)
	return nil
}

// Of several nodes only the one that delivers for a licence looks after its
// webhooks, and not after those of an integration that was deleted meanwhile.
func TestWebhooksAreKeptByTheNodeThatDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &kept{deleted: "c"}
		for _, id := range []string{"a", "b", "c", "d"} {
			i := &store.Integration{Organization: "acme", ID: id, Licence: "ours", Settings: store.Settings{EnableWebhooks: true}}
			if id == "b" {
				i.Licence = "theirs"
			}
			s.all = append(s.all, i)
		}
		sealer, err := auth.NewSealer(make([]byte, 32))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		service := &Service{Store: s, Sealer: sealer, Log: slog.New(slog.DiscardHandler), Now: time.Now}
		ended := make(chan error, 1)
		go func() { ended <- service.KeepWebhooks(ctx, func(licence string) bool { return licence == "ours" }) }()
		time.Sleep(checkEvery + time.Second)
		synctest.Wait()
		stop()
		if err := <-ended; err != nil || !slices.Equal(s.looked, []string{"a", "d"}) {
			t.Errorf("looked after %q: %v", s.looked, err)
		}
	})
}

// What was restored and waits for somebody may be a trial beside the real one:
// its webhooks in Actito are left alone.
func TestWebhooksOfWhatWasRestored(t *testing.T) {
	t.Parallel()
	one := func(id string, status store.IntegrationStatus, restored consent.Time) *store.Integration {
		return &store.Integration{
			Organization: "acme", ID: id, Status: status, Settings: store.Settings{EnableWebhooks: true}, Snapshot: consent.Snapshot{RestoredAt: restored},
		}
	}
	s := &kept{all: []*store.Integration{
		one("active", store.Active, 0), one("paused", store.Paused, 0), one("restored", store.Paused, 1), one("resumed", store.Active, 1),
	}}
	sealer, err := auth.NewSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	service := &Service{Store: s, Sealer: sealer, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	err = service.keepAllWebhooks(t.Context(), func(string) bool { return true })
	if want := []string{"active", "paused", "resumed"}; err != nil || !slices.Equal(s.looked, want) {
		t.Errorf("it looks after the webhooks of %v, want %v: %v", s.looked, want, err)
	}
}
