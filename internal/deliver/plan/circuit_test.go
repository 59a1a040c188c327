package plan

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"consentsync/internal/consent"
)

// fail lets so many different profiles fail at once.
func fail(c *Circuit, n int, at consent.Time, random float64) {
	for i := range n {
		c.Failed(fmt.Sprint("profile ", i), at, random)
	}
}

func TestCircuitOpensAfterFiveProfilesInARow(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		after func(c *Circuit)
		open  bool
	}{
		"nothing":                    {func(*Circuit) {}, false},
		"four":                       {func(c *Circuit) { fail(c, 4, now, 0) }, false},
		"five":                       {func(c *Circuit) { fail(c, 5, now, 0) }, true},
		"four twice":                 {func(c *Circuit) { fail(c, 4, now, 0); fail(c, 4, now, 0) }, false},
		"four, a success, four":      {func(c *Circuit) { fail(c, 4, now, 0); c.Succeeded(); fail(c, 4, now, 0) }, false},
		"five, a late success":       {func(c *Circuit) { fail(c, 5, now, 0); c.Succeeded() }, false},
		"five, a success, four":      {func(c *Circuit) { fail(c, 5, now, 0); c.Succeeded(); fail(c, 4, now, 0) }, false},
		"five, a probe":              {func(c *Circuit) { fail(c, 5, now, 0); c.Probing(now); c.Probed(true, now, 0) }, false},
		"five, a probe, four":        {func(c *Circuit) { fail(c, 5, now, 0); c.Probed(true, now, 0); fail(c, 4, now, 0) }, false},
		"five, a failed probe":       {func(c *Circuit) { fail(c, 5, now, 0); c.Probing(now); c.Probed(false, now, 0) }, true},
		"a probe of a closed one":    {func(c *Circuit) { c.Probed(false, now, 0) }, false},
		"a failed probe comes late":  {func(c *Circuit) { fail(c, 5, now, 0); c.Probing(now); c.Succeeded(); c.Probed(false, now, 0) }, false},
		"five, and more that failed": {func(c *Circuit) { fail(c, 50, now, 0) }, true},
	} {
		var c Circuit
		x.after(&c)
		if c.Open() != x.open {
			t.Errorf("%s: open %v, want %v", name, c.Open(), x.open)
		}
		if !x.open && c.ProbeDue(now.Add(time.Hour)) {
			t.Errorf("%s: a probe is due of a closed circuit", name)
		}
	}
}

func TestCircuitProbesAfterOneTwoFourEightTenSeconds(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ random, share float64 }{{0, 0.5}, {0.5, 0.75}, {0.999999, 1}} {
		var c Circuit
		at := now
		fail(&c, 5, at, x.random)
		for i, seconds := range []float64{1, 2, 4, 8, 10, 10, 10} {
			wait := time.Duration(seconds * x.share * float64(time.Second))
			if c.ProbeDue(at.Add(wait - 10*time.Millisecond)) {
				t.Fatalf("random %v: probe %d is due before %v", x.random, i, wait)
			}
			if at = at.Add(wait); !c.ProbeDue(at) {
				t.Fatalf("random %v: probe %d is not due after %v", x.random, i, wait)
			}
			c.Probing(at)
			if c.ProbeDue(at.Add(time.Second)) {
				t.Fatalf("random %v: a second probe is due beside probe %d", x.random, i)
			}
			c.Probed(false, at, x.random)
		}
	}
}

// Calls that were under way when the circuit opened do not put the probe off.
func TestCircuitProbesThoughMoreCallsFail(t *testing.T) {
	t.Parallel()
	var c Circuit
	fail(&c, 5, now, 0.999999)
	fail(&c, 5, now.Add(900*time.Millisecond), 0.999999)
	if !c.ProbeDue(now.Add(time.Second)) {
		t.Error("no probe is due after a second")
	}
}

// A probe that never ends holds up the next by its wait only.
func TestCircuitProbesThoughAProbeIsLost(t *testing.T) {
	t.Parallel()
	var c Circuit
	fail(&c, 5, now, 0)
	at := now.Add(time.Second)
	c.Probing(at)
	if !c.ProbeDue(at.Add(2 * time.Second)) {
		t.Error("no probe is due 2 s after one that was lost")
	}
}

// Where probes are answered and profiles are not, five calls fail for each
// wait, and the waits must not begin anew.
func TestCircuitWaitsGoOnUntilAProfileSucceeds(t *testing.T) {
	t.Parallel()
	var c Circuit
	wait := func() time.Duration {
		fail(&c, 5, now, 0.999999)
		for s := range 20 {
			if c.ProbeDue(now.Add(time.Duration(s) * time.Second)) {
				c.Probing(now)
				c.Probed(true, now, 0)
				return time.Duration(s) * time.Second
			}
		}
		t.Fatal("no probe is due within 20 s")
		return 0
	}
	first, second, third := wait(), wait(), wait()
	if first != time.Second || second <= first || third <= second {
		t.Errorf("the waits are %v, %v, %v", first, second, third)
	}
	c.Succeeded()
	if again := wait(); again != first {
		t.Errorf("after a success the wait is %v", again)
	}
}

func TestCircuitStaysClosedWhateverOneProfileDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var c Circuit
		at := now
		// Others fail too, four at most since the last success.
		others := 0
		for range rapid.IntRange(1, 300).Draw(t, "calls") {
			at = at.Add(time.Duration(rapid.IntRange(0, 60_000).Draw(t, "after ms")) * time.Millisecond)
			switch kind := rapid.SampledFrom([]string{"bad", "bad", "bad", "other", "success"}).Draw(t, "kind"); {
			case kind == "success":
				c.Succeeded()
				others = 0
			case kind == "other" && others < manyFailed-2:
				others++
				c.Failed(fmt.Sprint("other ", others), at, 0)
			default:
				c.Failed("bad", at, 0)
			}
			if c.Open() {
				t.Fatal("the circuit is open")
			}
		}
	})
}

// However long the other end was away and whatever the probes took, profiles
// are called again within 10 s once it is back, not counting two probes.
func TestCircuitClosesWithinTenSeconds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var c Circuit
		random := func() float64 { return rapid.Float64Range(0, 0.999999).Draw(t, "random") }
		at := now
		fail(&c, 5, at, random())
		away := time.Duration(rapid.IntRange(0, 600_000).Draw(t, "away ms")) * time.Millisecond
		longest := time.Duration(rapid.IntRange(0, 60_000).Draw(t, "probe ms")) * time.Millisecond
		back := at.Add(away)
		for c.Open() {
			for !c.ProbeDue(at) {
				at = at.Add(50 * time.Millisecond)
			}
			c.Probing(at)
			started := at
			at = at.Add(time.Duration(rapid.Int64Range(0, int64(longest)).Draw(t, "took")))
			c.Probed(started >= back, at, random())
			if late := at.Sub(back); late > mostWait+2*longest+50*time.Millisecond {
				t.Fatalf("%v after the other end was back the last probe ended", late)
			}
		}
	})
}
