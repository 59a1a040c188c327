package plan

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const now = consent.Time(1_000_000_000)

func due(waiting time.Duration) Head { return Head{Due: true, Since: now.Add(-waiting)} }

// R21: live withdrawals, then refusals of old, then the rest.
func TestR21HigherClassesFirst(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		heads [Classes]Head
		want  store.Class
		ok    bool
	}{
		"nothing":             {[Classes]Head{}, 0, false},
		"a withdrawal":        {[Classes]Head{due(0), due(time.Hour), due(time.Hour)}, store.LiveWithdrawal, true},
		"a refusal of old":    {[Classes]Head{{}, due(0), due(time.Hour)}, store.BackfilledRefusal, true},
		"only ordinary ones":  {[Classes]Head{{}, {}, due(0)}, store.Ordinary, true},
		"all but the middle":  {[Classes]Head{due(0), {}, due(time.Hour)}, store.LiveWithdrawal, true},
		"refusals and nobody": {[Classes]Head{{}, due(0), {}}, store.BackfilledRefusal, true},
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
			if class, _ := tally.Choose([Classes]Head{first, {}, due(time.Hour)}, now); class != store.LiveWithdrawal {
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

// Whatever is due over time, something due is always served, lower classes
// never get more than their share, and never anything before a late withdrawal.
func TestR21Property(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var tally Tally
		contested, lower := 0, 0
		for range rapid.IntRange(1, 300).Draw(t, "calls") {
			var heads [Classes]Head
			n := 0
			for c := range heads {
				if rapid.Bool().Draw(t, "due") {
					heads[c] = due(time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond)
					n++
				}
			}
			class, ok := tally.Choose(heads, now)
			if ok != (n > 0) || ok && !heads[class].Due {
				t.Fatalf("of %v chose %v, %v", heads, class, ok)
			}
			higher := false
			for c := range class {
				higher = higher || heads[c].Due
			}
			if n > 1 {
				contested++
			}
			if higher {
				lower++
				if heads[0].Due && now.Sub(heads[0].Since) > patience {
					t.Fatalf("class %d went before a late withdrawal", class)
				}
			}
		}
		if lower*oneIn > contested {
			t.Fatalf("%d of %d contested calls went to lower classes", lower, contested)
		}
	})
}
