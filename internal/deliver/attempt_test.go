package deliver

import (
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Where a person's withdrawals go one by one, the next is as urgent as the first,
// and they are in effect with the last; what follows is not urgent.
func TestR21WhatFollowsAWithdrawal(t *testing.T) {
	t.Parallel()
	off := func(names ...string) consent.Difference {
		d := consent.Difference{Subscriptions: map[string]bool{}}
		for _, name := range names {
			d.Subscriptions[name] = false
		}
		return d
	}
	whole := off("A", "B")
	whole.Subscriptions["C"] = true
	m := newMetrics(nil, "node", time.Now)
	for name, x := range map[string]struct {
		whole, send consent.Difference
		follows     store.Class
		inEffect    bool
	}{
		"the first of two":         {whole, off("A"), store.LiveWithdrawal, false},
		"the last, then a grant":   {whole.Without(off("A")), off("B"), store.Ordinary, true},
		"all withdrawals together": {whole, off("A", "B"), store.Ordinary, true},
		"a grant, then attributes": {
			consent.Difference{Attributes: map[string]any{"a": 1}, Subscriptions: map[string]bool{"C": true}},
			consent.Difference{Subscriptions: map[string]bool{"C": true}},
			store.Ordinary, false,
		},
	} {
		j := &job{Delivery: &store.Delivery{Class: store.LiveWithdrawal}, whole: x.whole, send: x.send}
		if got := j.after(x.send); got != x.follows {
			t.Errorf("%s: what follows is of class %v, want %v", name, got, x.follows)
		}
		if got := m.finished(j, &store.Finish{State: store.Pending}, 1); got != x.inEffect {
			t.Errorf("%s: in effect is %v, want %v", name, got, x.inEffect)
		}
		if m.finished(j, &store.Finish{State: store.Pending, LastError: "no"}, 1) {
			t.Errorf("%s: it is in effect though it failed", name)
		}
	}
}
