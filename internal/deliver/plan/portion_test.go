package plan

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Whatever differs goes, each field once; where a call carries one subscription
// only, no grant goes before a withdrawal and attributes go alone and last.
func TestPortion(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i := &store.Integration{}
		i.Settings.Properties.Dialect = rapid.SampledFrom([]store.Dialect{store.DialectV5, store.DialectV4}).Draw(t, "dialect")
		apart := i.Settings.Properties.Dialect == store.DialectV4
		d := consent.Difference{Subscriptions: map[string]bool{}, Attributes: map[string]any{}}
		proven := map[string]bool{}
		for n := range rapid.IntRange(0, 4).Draw(t, "subscriptions") {
			d.Subscriptions[fmt.Sprint("s", n)] = rapid.Bool().Draw(t, "on")
		}
		for n := range rapid.IntRange(0, 3).Draw(t, "attributes") {
			name := fmt.Sprint("a", n)
			d.Attributes[name], proven[name] = n, rapid.Bool().Draw(t, "proven")
		}
		for rest := !d.Empty(); rest; {
			var now consent.Difference
			now, rest = Portion(i, d, consent.Known{}, nil, proven)
			left := d.Without(now)
			switch fields := len(now.Subscriptions) + len(now.Attributes); {
			case now.Empty(), rest == left.Empty(), fields+len(left.Subscriptions)+len(left.Attributes) != len(d.Subscriptions)+len(d.Attributes):
				t.Fatalf("of %v goes %v, and rest is %v", d, now, rest)
			case !apart:
			case now.Grants() && (d.Withdraws() || fields > 1), now.Withdraws() && fields > 1, len(now.Attributes) > 0 && len(d.Subscriptions) > 0:
				t.Fatalf("of %v goes %v", d, now)
			}
			d = left
		}
	})
}
