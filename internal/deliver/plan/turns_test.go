package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"consentsync/internal/consent"
)

// serve makes so many calls for whoever waits and gives who was served.
func serve(turns *Turns, n int, waiting ...Waiting) string {
	served := ""
	for range n {
		key := waiting[turns.Next(waiting)].Key
		turns.Served(key)
		served += key
	}
	return served
}

func TestTurnsAreTaken(t *testing.T) {
	t.Parallel()
	a, b, c := Waiting{"a", now}, Waiting{"b", now}, Waiting{"c", now}
	older := Waiting{"b", now - 1}
	for name, x := range map[string]struct {
		run  func(turns *Turns) string
		want string
	}{
		"alone":                {func(u *Turns) string { return serve(u, 3, a) }, "aaa"},
		"by the key":           {func(u *Turns) string { return serve(u, 6, c, b, a) }, "abcabc"},
		"older work first":     {func(u *Turns) string { return serve(u, 4, a, older) }, "baba"},
		"who comes is level":   {func(u *Turns) string { return serve(u, 9, a) + serve(u, 4, a, b) }, "aaaaaaaaababa"},
		"who comes back too":   {func(u *Turns) string { serve(u, 2, a, b); serve(u, 9, a); return serve(u, 4, a, b) }, "baba"},
		"nobody stayed":        {func(u *Turns) string { serve(u, 9, a); serve(u, 3, b); return serve(u, 4, a, b) }, "abab"},
		"all new but one":      {func(u *Turns) string { serve(u, 9, a); return serve(u, 6, c, b) }, "bcbcbc"},
		"a look costs nothing": {func(u *Turns) string { u.Next([]Waiting{a, b}); u.Next([]Waiting{a, b}); return serve(u, 2, a, b) }, "ab"},
		"none waiting":         {func(u *Turns) string { serve(u, 1, a, b); u.Next(nil); return serve(u, 2, a, b) }, "ba"},
		"one out of turn":      {func(u *Turns) string { u.Served("a"); u.Served("b"); u.Served("a"); return serve(u, 4, a, b) }, "baba"},
	} {
		var turns Turns
		if got := x.run(&turns); got != x.want {
			t.Errorf("%s: served %s, want %s", name, got, x.want)
		}
	}
	var turns Turns
	if got := turns.Next(nil); got != -1 {
		t.Errorf("of nobody, %d is next", got)
	}
}

func TestTurnsForgetWhoIsGone(t *testing.T) {
	t.Parallel()
	var turns Turns
	serve(&turns, 3, Waiting{"a", now}, Waiting{"b", now}, Waiting{"c", now})
	turns.Forget(map[string]bool{"b": true, "never seen": true})
	var left []string
	for key := range turns.last {
		left = append(left, key)
	}
	if diff := cmp.Diff([]string{"b"}, left); diff != "" {
		t.Errorf("what is left differs (-want +got):\n%s", diff)
	}
}

// A turnHistory tells who waited at each call, and who was served.
type turnHistory struct {
	waiting []map[string]bool
	served  []string
}

// drawTurns lets keys come and go, and serves whoever is next.
func drawTurns(t *rapid.T, always int) turnHistory {
	var turns Turns
	var h turnHistory
	keys := rapid.IntRange(max(1, always), 6).Draw(t, "keys")
	for range rapid.IntRange(1, 200).Draw(t, "calls") {
		var waiting []Waiting
		who := make(map[string]bool)
		for k := range keys {
			if k < always || rapid.IntRange(0, 3).Draw(t, "waits") > 0 {
				w := Waiting{fmt.Sprint("key ", k), now.Add(-time.Duration(rapid.IntRange(0, 5).Draw(t, "since")) * time.Second)}
				waiting = append(waiting, w)
				who[w.Key] = true
			}
		}
		waiting = rapid.Permutation(waiting).Draw(t, "order")
		i := turns.Next(waiting)
		if (i < 0) != (len(waiting) == 0) {
			t.Fatalf("of %v, %d is next", waiting, i)
		}
		if i < 0 {
			continue
		}
		turns.Served(waiting[i].Key)
		h.waiting = append(h.waiting, who)
		h.served = append(h.served, waiting[i].Key)
	}
	return h
}

// Two keys that both wait are served in turn: over any time their calls differ
// by at most one, whoever else comes and goes.
func TestTurnsOfTwoWhoWaitDifferByAtMostOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := drawTurns(t, 2)
		for from := range h.served {
			difference := 0
			for _, key := range h.served[from:] {
				switch key {
				case "key 0":
					difference++
				case "key 1":
					difference--
				}
				if max(difference, -difference) > 1 {
					t.Fatalf("from call %d on the two differ by %d: %v", from, difference, h.served)
				}
			}
		}
	})
}

// Of n keys one that waits gets every n-th call, less one at the ends: nobody
// starves, however the others come and go.
func TestTurnsLetNobodyStarve(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := drawTurns(t, 1)
		keys := make(map[string]bool)
		for _, who := range h.waiting {
			for key := range who {
				keys[key] = true
			}
		}
		n := len(keys)
		for from := range h.served {
			got := 0
			for i, key := range h.served[from:] {
				if key == "key 0" {
					got++
				}
				if calls := i + 1; got < calls/n-1 {
					t.Fatalf("of %d calls from %d on, %d keys, key 0 got %d: %v", calls, from, n, got, h.served)
				}
			}
		}
	})
}

// A key that had no work for a while gets no more than one that waited: it
// cannot claim what it did not use.
func TestTurnsCannotBeSavedUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var turns Turns
		a, b := Waiting{"a", now}, Waiting{"b", now - consent.Time(rapid.IntRange(0, 1).Draw(t, "older"))}
		serve(&turns, rapid.IntRange(0, 9).Draw(t, "together")+1, a, b)
		serve(&turns, rapid.IntRange(1, 500).Draw(t, "alone"), a)
		got := map[rune]int{}
		for _, key := range serve(&turns, 20, a, b) {
			got[key]++
		}
		if got['a'] < 9 || got['b'] < 9 {
			t.Fatalf("of 20 calls a got %d and b, who was idle, %d", got['a'], got['b'])
		}
	})
}
