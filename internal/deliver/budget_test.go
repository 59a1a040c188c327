package deliver

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// In any minute at most the configured number of calls is let through, bursts
// included, and nearly that many are when there is enough to do.
func TestBudgetKeepsItsMinute(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{1, 2, 17, 90, 120, 3000} {
		synctest.Test(t, func(t *testing.T) {
			b := newBudget(perMinute, 4, time.Now(), time.Hour)
			var calls []time.Time
			start := time.Now()
			for time.Since(start) < 5*time.Minute {
				if err := b.purse(time.Now()).pay(context.Background()); err != nil {
					t.Fatal(err)
				}
				calls = append(calls, time.Now())
			}
			for i := perMinute; i < len(calls); i++ {
				if within := calls[i].Sub(calls[i-perMinute]); within < time.Minute {
					t.Fatalf("%d calls a minute: %d were made within %v", perMinute, perMinute+1, within)
				}
			}
			if got, want := len(calls), perMinute*5*9/10; got < want {
				t.Errorf("%d calls a minute: only %d were made in five, want %d at least", perMinute, got, want)
			}
		})
	}
}

// Looking whether a call may be made spends nothing.
func TestLookingSpendsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(90, 4, time.Now(), time.Hour)
		for range 1000 {
			if d := b.wait(time.Now()); d != 0 {
				t.Fatalf("after looking only, one has to wait %v", d)
			}
		}
		for range burstOf(90) {
			b.purse(time.Now())
		}
		d := b.wait(time.Now())
		if d <= 0 {
			t.Fatal("after a whole burst nothing has to be waited for")
		}
		time.Sleep(d) // in the bubble's time
		if d := b.wait(time.Now()); d != 0 {
			t.Errorf("after the wait that was told, one has to wait %v more", d)
		}
	})
}

// A new owner's budget is as if emptied when the last owner last called (R15).
func TestR15BudgetAfterAChangeOfOwner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		if b := newBudget(90, 4, time.Now(), 0); b.wait(time.Now()) == 0 {
			t.Error("right after the last owner's call one may call at once")
		}
		if b := newBudget(90, 4, time.Now(), time.Minute); b.wait(time.Now()) != 0 {
			t.Error("a minute after the last owner's call one has to wait")
		}
	})
}
