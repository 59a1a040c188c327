package didomi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consentsync/internal/consent"
)

func TestPurposes(t *testing.T) {
	t.Parallel()
	_, c := newFake(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/metadata/purposes" || r.URL.Query().Get("organization_id") != "acme" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		if r.URL.Query().Get("$skip") == "0" {
			full := strings.Join(slices.Repeat([]string{`{"id":"a","description":{"en":"A"},"namespaces":{"custom":"sdk-a"}}`}, 100), ",")
			_, _ = fmt.Fprintf(w, `{"total":103,"data":[%s]}`, full)
			return
		}
		_, _ = w.Write([]byte(`{"total":103,"data":[{"id":"b","type":"special","description":{"fr":"B"},"namespaces":{"didomi":"sdk-b","iab":"1"}},{"id":"c"},{"id":"d","description":{}}]}`))
	})
	got, err := c.Purposes(t.Context())
	if err != nil || len(got) != 103 {
		t.Fatalf("%d purposes, %v", len(got), err)
	}
	want := []Purpose{{"sdk-a", "A", "purpose"}, {"sdk-b", "B", "special"}, {"c", "", "purpose"}, {"d", "", "purpose"}}
	if diff := cmp.Diff(want, got[99:]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPurposesRefused(t *testing.T) {
	t.Parallel()
	for status, kind := range map[int]consent.Kind{
		http.StatusForbidden: consent.Forbidden, http.StatusTooManyRequests: consent.RateLimited, http.StatusOK: consent.Transient,
	} {
		_, c := newFake(t, nil, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`["no list"]`))
		})
		if _, err := c.Purposes(t.Context()); err == nil || consent.KindOf(err) != kind {
			t.Errorf("%d: %v", status, err)
		}
	}
}
