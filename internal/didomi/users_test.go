package didomi

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consentsync/internal/consent"
)

// Lists come in pages, as Didomi's guides have them, or bare, as its OpenAPI has
// them.
func TestUsersAndEvents(t *testing.T) {
	t.Parallel()
	var asked []string
	_, c := newFake(t, nil, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		asked = append(asked, fmt.Sprint(r.Method, " ", r.URL.Path, " ", q.Get("organization_id"), " ", q.Get("regulation"), " ", q.Get("organization_user_id"), " ", q.Get("$cursor")))
		switch {
		case r.URL.Path == "/v1/consents/users" && q.Get("$cursor") == "":
			_, _ = w.Write([]byte(`{"data":[{"id":"a"},{"id":"b"}],"limit":2,"cursor":"a&b"}`))
		case r.URL.Path == "/v1/consents/users":
			_, _ = w.Write([]byte(`{"data":[],"limit":2,"cursor":null}`))
		case q.Get("organization_user_id") == "ana+1" && q.Get("$cursor") == "":
			_, _ = w.Write([]byte(`{"data":[{"id":"e1"}],"cursor":7}`))
		case q.Get("organization_user_id") == "ana+1":
			_, _ = w.Write([]byte(`{"data":[{"id":"e2"}]}`))
		case q.Get("organization_user_id") == "bob":
			_, _ = w.Write([]byte(`[{"id":"e3"}]`))
		default:
			_, _ = w.Write([]byte(`{"message":"hello"}`))
		}
	})
	page, next, err := c.Users(t.Context(), "gdpr", "")
	if err != nil || len(page) != 2 || string(page[1]) != `{"id":"b"}` || next != "a&b" {
		t.Errorf("%s, %q, %v", page, next, err)
	}
	if page, next, err = c.Users(t.Context(), "cpra", next); err != nil || len(page) != 0 || next != "" {
		t.Errorf("%s, %q, %v", page, next, err)
	}
	for person, want := range map[string]string{"ana+1": `[{"id":"e1"} {"id":"e2"}]`, "bob": `[{"id":"e3"}]`} {
		events, err := c.EventsOf(t.Context(), person, "gdpr")
		if got := fmt.Sprintf("%s", events); err != nil || got != want {
			t.Errorf("events of %s: %s, %v", person, got, err)
		}
	}
	if _, err := c.EventsOf(t.Context(), "eve", "gdpr"); consent.KindOf(err) != consent.Transient {
		t.Errorf("no list: %v", err)
	}
	if diff := cmp.Diff([]string{"GET /v1/consents/users acme gdpr  ", "GET /v1/consents/users acme cpra  a&b"}, asked[:2]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
