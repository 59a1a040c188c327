package auth

import (
	"strconv"
	"testing"
	"time"
)

// A flood of made-up names does not make a real failure forgotten.
func TestAFloodOfNamesKeepsTheLongestWait(t *testing.T) {
	t.Parallel()
	var a Attempts
	now := time.Unix(1_700_000_000, 0)
	guessed := Limit{By: "guessed", Free: 1, Longest: time.Hour}
	for range 8 {
		now = now.Add(a.Blocked(now, guessed))
		if err := a.Try(now, guessed); err != nil {
			t.Fatal(err)
		}
	}
	if a.Blocked(now, guessed) == 0 {
		t.Fatal("eight failures cost nothing")
	}
	for n := range 3 * mostTracked {
		_ = a.Try(now, Limit{By: strconv.Itoa(n), Free: 5, Longest: time.Second})
	}
	if a.Blocked(now, guessed) == 0 {
		t.Error("the failures were forgotten")
	}
	if len(a.fails) > mostTracked {
		t.Errorf("%d are remembered, want %d at most", len(a.fails), mostTracked)
	}
}
