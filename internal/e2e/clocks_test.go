package e2e_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// ahead builds the program for a machine whose clock is ten minutes ahead.
var ahead = variant("ahead", func(_, text string) string {
	const now = `(func() time.Time { return time.Now().Add(10 * time.Minute) })`
	return strings.NewReplacer(
		"time.Now", now,
		"time.Since(", `(func(t time.Time) time.Duration { return `+now+`().Sub(t) })(`,
		"time.Until(", `(func(t time.Time) time.Duration { return t.Sub(`+now+`()) })(`,
	).Replace(text)
}, nil)

// Two nodes whose clocks are ten minutes apart do as one: all times are the
// database's.
func TestClocksTenMinutesApart(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	c := setupNodes(t, simulator.ActitoOptions{CallsPerMinute: -1, Latency: 20 * time.Millisecond, Seed: seed}, 1)
	c.flags = []string{"--token-life", "2m"}
	right, fast := c.nodes[0], c.add(ahead, c.nodes[0].database)
	c.restart(right, program)

	for i, n := range c.nodes { // a token of each is good at the other
		one, other := c.at(n), c.at(c.nodes[1-i])
		one.authenticate()
		other.token = one.token
		who := []string{"one@example.com", "two@example.com"}[i]
		other.send(event("of the future "+who, who, time.Now().Add(7*time.Minute), simulator.Choices{"newsletter": yes()}))
		var view struct{ Choices []struct{ At time.Time } }
		other.must(http.MethodGet, "/v1/users/"+who+"?organization_id="+organization, "", http.StatusOK, &view)
		if len(view.Choices) != 1 {
			t.Fatalf("%s has said %+v", who, view)
		}
		soon(t, "R2: a choice dated too far ahead", view.Choices[0].At) // it counts from its arrival
	}

	id := c.at(fast).integrate(nil)
	s := startSoak(t, c.bundle, seed)
	for _, n := range []*node{fast, right, fast} {
		c.letHold(n)
		pause(500 * time.Millisecond)
		c.at(n).refresh(id) // and everybody is compared again
		var list struct {
			Data []struct {
				HeldSince time.Time `json:"held_since"`
				ExpiresAt time.Time `json:"expires_at"`
			}
		}
		c.must(http.MethodGet, "/v1/licences", "", http.StatusOK, &list)
		if len(list.Data) != 1 {
			t.Fatalf("the licences are %+v", list)
		}
		soon(t, "a licence is held since", list.Data[0].HeldSince)
		soon(t, "a licence is held until", list.Data[0].ExpiresAt)
		pause(500 * time.Millisecond)
	}
	s.finish()
	s.checkAcknowledged()
	s.checkEnd()
	if n := c.actito.MaxOverlap(); n > 1 {
		t.Errorf("%d calls were under way for one profile at once", n)
	}

	var view struct {
		CreatedAt time.Time `json:"created_at"`
		UpdatedAt time.Time `json:"updated_at"`
		Snapshot  struct {
			TakenAt time.Time `json:"taken_at"`
		}
	}
	c.must(http.MethodGet, "/v1/marketplace/integrations/"+id, "", http.StatusOK, &view)
	soon(t, "the integration was made at", view.CreatedAt)
	soon(t, "the integration was changed at", view.UpdatedAt)
	soon(t, "the snapshot was taken at", view.Snapshot.TakenAt)
	var trace struct{ Data []struct{ At time.Time } }
	c.must(http.MethodGet, "/v1/users/"+url.PathEscape(s.people[0].email)+"/trace?organization_id="+organization, "", http.StatusOK, &trace)
	for _, entry := range trace.Data {
		soon(t, "a line of a trace is of", entry.At)
	}
}

// soon wants a time that is about now.
func soon(t *testing.T, what string, at time.Time) {
	t.Helper()
	if d := time.Since(at).Abs(); d > 3*time.Minute {
		t.Errorf("%s %v, which is %v away", what, at, d.Round(time.Second))
	}
}
