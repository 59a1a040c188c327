package postgres

import (
	"math"
	"testing"

	"consentsync/internal/consent"
)

// A node that ended without saying so is remembered by when it was last there; one
// that said so is not.
func TestGoneNodesAreRemembered(t *testing.T) {
	t.Parallel()
	e := ready(t, migrated(t))
	for _, node := range []string{"dead", "stopped", "alive"} {
		if _, err := e.Acquire(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Release(t.Context(), "stopped"); err != nil {
		t.Fatal(err)
	}
	seen, err := e.Gone(t.Context(), 0, math.MaxInt64)
	if err != nil || len(seen) != 2 || seen[0] > seen[1] {
		t.Fatalf("gone at %v, %v", seen, err)
	}
	// The one is gone by then, the other is not; and it is told of once.
	if _, err := e.Acquire(t.Context(), "alive"); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		after, before consent.Time
		n             int
	}{{0, seen[1], 1}, {0, seen[0], 0}, {seen[0], seen[1], 0}} {
		if got, err := e.Gone(t.Context(), x.after, x.before); err != nil || len(got) != x.n || x.n == 1 && got[0] != seen[0] {
			t.Errorf("between %d and %d: %v, %v", x.after, x.before, got, err)
		}
	}
}
