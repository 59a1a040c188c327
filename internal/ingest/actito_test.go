package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// registry holds one integration and counts how often it was read.
type registry struct {
	is    store.Integration
	reads int
}

func (r *registry) OrganizationOf(_ context.Context, id string) (string, error) {
	if id != r.is.ID {
		return "", consent.Errorf(consent.NotFound, "test", "no such integration")
	}
	return r.is.Organization, nil
}

func (r *registry) Integration(context.Context, store.IntegrationKey) (*store.Integration, error) {
	r.reads++
	i := r.is
	return &i, nil
}

// A flood of webhooks does not read their integration again for each; a change of
// it counts at once where it is told, a moment later elsewhere, and a new secret
// in any case.
func TestAnIntegrationThatIsCalledAgainAndAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const header = "X-Secret"
		g := newGate(func([]store.Inbound) error { return nil })
		close(g.open)
		c := NewCommitter(g, func() {}, time.Now, slog.New(slog.DiscardHandler), nil)
		defer c.Close()
		r := &registry{is: store.Integration{Organization: "a", ID: "i", Sealed: []byte("first"), Settings: store.Settings{EnableWebhooks: true}}}
		secret := func(i *store.Integration, secret string) (bool, error) { return secret == string(i.Sealed), nil }
		handler := NewActito(c, r, header, secret, slog.New(slog.DiscardHandler), nil)
		mux := http.NewServeMux()
		mux.Handle("POST /{integration_id}", handler)
		calls := 0
		call := func(id, secret string, want int) {
			t.Helper()
			calls++
			in := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/"+id, strings.NewReader(fmt.Sprintf(`{"id":"x-%d","data":{"profileId":1}}`, calls)))
			in.Header.Set(header, secret)
			answer := httptest.NewRecorder()
			if mux.ServeHTTP(answer, in); answer.Code != want {
				t.Errorf("%s with %q: answered %d, want %d", id, secret, answer.Code, want)
			}
		}
		reads := func(want int) {
			t.Helper()
			if r.reads != want {
				t.Errorf("it was read %d times, want %d", r.reads, want)
			}
		}
		for range 50 {
			call("i", "first", http.StatusOK)
		}
		reads(1)
		call("i", "wrong", http.StatusUnauthorized)
		call("j", "first", http.StatusUnauthorized)

		r.is.Sealed = []byte("second")
		call("i", "second", http.StatusOK)
		call("i", "first", http.StatusUnauthorized)

		r.is.Settings.EnableWebhooks = false
		call("i", "second", http.StatusOK) // nobody told
		handler.Forget()
		call("i", "second", http.StatusForbidden)
		call("i", "first", http.StatusUnauthorized)

		r.is.Settings.EnableWebhooks = true
		call("i", "second", http.StatusOK) // that it is off is never kept
		r.is.Settings.EnableWebhooks = false
		time.Sleep(familiarFor)
		call("i", "second", http.StatusForbidden)
	})
}

// What was read before a change is not kept after it.
func TestAnIntegrationThatChangesWhileItIsRead(t *testing.T) {
	t.Parallel()
	var f familiar
	i := &store.Integration{ID: "i"}
	read := f.begin()
	f.forget()
	if f.put(i, read); f.get("i") != nil {
		t.Error("an integration as it was before a change is kept")
	}
	if f.put(i, f.begin()); f.get("i") != i {
		t.Error("what was read after it is not")
	}
}
