package plan

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"consentsync/internal/consent"
)

const now = consent.Time(1_000_000_000)

func due(waiting time.Duration) Head { return Head{Due: true, Since: now.Add(-waiting)} }

// R21: live withdrawals, then what asks for a confirmation, then refusals of old,
// then the rest, then messages that only tell.
func TestR21HigherClassesFirst(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		heads [Ranks]Head
		want  Rank
		ok    bool
	}{
		"nothing":                  {[Ranks]Head{}, 0, false},
		"a withdrawal":             {[Ranks]Head{due(0), due(time.Hour), due(time.Hour), due(time.Hour)}, Withdrawals, true},
		"a validation":             {[Ranks]Head{{}, due(0), due(time.Hour), due(time.Hour)}, ValidatingMessages, true},
		"a refusal of old":         {[Ranks]Head{{}, {}, due(0), due(time.Hour), due(time.Hour)}, OldRefusals, true},
		"a grant and a message":    {[Ranks]Head{{}, {}, {}, due(0), due(time.Hour)}, OrdinaryDeliveries, true},
		"a message alone":          {[Ranks]Head{TellingMessages: due(0)}, TellingMessages, true},
		"a withdrawal and a grant": {[Ranks]Head{due(0), {}, {}, due(time.Hour)}, Withdrawals, true},
		"refusals and nobody":      {[Ranks]Head{OldRefusals: due(0)}, OldRefusals, true},
	} {
		var tally Tally
		if got, ok := tally.Choose(c.heads, now); got != c.want || ok != c.ok {
			t.Errorf("%s: chose %v, %v", name, got, ok)
		}
	}
}

// R21: lower classes get one call in twenty while a higher one is due, and none
// while a live withdrawal has waited over two seconds.
func TestR21TheFloorOfLowerClasses(t *testing.T) {
	t.Parallel()
	count := func(first Head) (lower int) {
		var tally Tally
		for range 200 {
			if rank, _ := tally.Choose([Ranks]Head{Withdrawals: first, OrdinaryDeliveries: due(time.Hour)}, now); rank != Withdrawals {
				lower++
			}
		}
		return lower
	}
	if n := count(due(time.Second)); n != 10 {
		t.Errorf("of 200 calls %d went to lower classes, want 10", n)
	}
	if n := count(due(2*time.Second + time.Microsecond)); n != 0 {
		t.Errorf("while a withdrawal was late %d calls went to lower classes", n)
	}
}

// R21: the lower classes take turns in what is kept for them, so that none gets
// nothing for as long as the backlogs of two others last.
func TestR21LowerClassesTakeTurns(t *testing.T) {
	t.Parallel()
	var tally Tally
	served := map[Rank]int{}
	for range 20 * oneIn {
		rank, _ := tally.Choose([Ranks]Head{OldRefusals: due(time.Hour), OrdinaryDeliveries: due(time.Hour), TellingMessages: due(0)}, now)
		served[rank]++
	}
	if served[OldRefusals] != 19*20 || served[OrdinaryDeliveries] != 10 || served[TellingMessages] != 10 {
		t.Errorf("of %d calls, by rank: %v; want 380, 10 and 10", 20*oneIn, served)
	}
}

// Whatever is due over time, something due is always served, lower classes
// never get more than their share, and never anything before a late withdrawal.
func TestR21Property(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var tally Tally
		contested, lower := 0, 0
		for range rapid.IntRange(1, 300).Draw(t, "calls") {
			var heads [Ranks]Head
			n := 0
			for r := range heads {
				if rapid.Bool().Draw(t, "due") {
					heads[r] = due(time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond)
					n++
				}
			}
			rank, ok := tally.Choose(heads, now)
			if ok != (n > 0) || ok && !heads[rank].Due {
				t.Fatalf("of %v chose %v, %v", heads, rank, ok)
			}
			higher := false
			for r := range rank {
				higher = higher || heads[r].Due
			}
			if n > 1 {
				contested++
			}
			if higher {
				lower++
				if heads[0].Due && now.Sub(heads[0].Since) > patience {
					t.Fatalf("rank %d went before a late withdrawal", rank)
				}
			}
		}
		if lower*oneIn > contested {
			t.Fatalf("%d of %d contested calls went to lower classes", lower, contested)
		}
	})
}
