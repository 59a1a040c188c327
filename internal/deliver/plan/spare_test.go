package plan

import (
	"testing"

	"pgregory.net/rapid"
)

func TestSpareCallsAreMadeOfWhatIsLeft(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		spare   Spare
		allowed bool
	}{
		"idle":                      {Spare{Saved: 5, Burst: 5, Width: 4}, true},
		"two places are free":       {Spare{Saved: 5, Burst: 5, Width: 4, UnderWay: 2}, true},
		"one place is free":         {Spare{Saved: 5, Burst: 5, Width: 4, UnderWay: 3}, false},
		"a call was made just now":  {Spare{Saved: 4.9, Burst: 5, Width: 4}, false},
		"Actito is slow":            {Spare{Saved: 5, Burst: 5, Width: 4, Slowed: true}, false},
		"one at a time, idle":       {Spare{Saved: 1, Burst: 1, Width: 1}, true},
		"one at a time, under way":  {Spare{Saved: 1, Burst: 1, Width: 1, UnderWay: 1}, false},
		"two at a time, one is not": {Spare{Saved: 1, Burst: 1, Width: 2, UnderWay: 1}, false},
	} {
		if got := x.spare.Allowed(); got != x.allowed {
			t.Errorf("%s: allowed is %v", name, got)
		}
	}
}

// Whatever the licence, a spare call leaves the next one its call and its place.
func TestSpareCallsLeaveACallAndAPlace(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := Spare{
			Burst: rapid.IntRange(2, 100).Draw(t, "burst"), Width: rapid.IntRange(2, 10).Draw(t, "width"),
			UnderWay: rapid.IntRange(0, 10).Draw(t, "under way"), Slowed: rapid.Bool().Draw(t, "slowed"),
		}
		s.Saved = float64(s.Burst)
		if rapid.Bool().Draw(t, "calls were made") {
			s.Saved = rapid.Float64Range(0, float64(s.Burst)).Draw(t, "saved")
		}
		if s.Allowed() && (s.Saved-1 < 1-1e-6 || s.UnderWay+1 >= s.Width || s.Slowed) {
			t.Fatalf("nothing is left: %+v", s)
		}
	})
}
