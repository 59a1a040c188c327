package console

import (
	"strconv"
	"testing"

	"consentsync/internal/consent"
)

// A user has some streams and no more, whatever is left for others, and a place
// that is given back is there again.
func TestNobodyTakesAllStreams(t *testing.T) {
	t.Parallel()
	var s streams
	var ends []func()
	open := func(user string, want bool, kind consent.Kind) {
		t.Helper()
		end, err := s.open(user)
		if (err == nil) != want || !want && consent.KindOf(err) != kind {
			t.Fatalf("with %d open it is %v for %s", s.all, err, user)
		}
		if err == nil {
			ends = append(ends, end)
		}
	}
	for n := range mostStreams / mostOwnStreams {
		for range mostOwnStreams {
			open(strconv.Itoa(n), true, 0)
		}
		open(strconv.Itoa(n), false, consent.RateLimited)
	}
	open("late", false, consent.Transient)
	ends[0]()
	open("late", true, 0)
	for _, end := range ends[1:] {
		end()
	}
	if s.all != 0 || len(s.own) != 0 {
		t.Errorf("all have ended, and %d are counted, of %d users", s.all, len(s.own))
	}
}
