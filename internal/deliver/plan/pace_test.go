package plan

import (
	stdcmp "cmp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"consentsync/internal/consent"
)

const (
	fast = 300 * time.Millisecond
	slow = 3 * time.Second
)

var most = Ceiling{PerMinute: 100, Width: 5}

// answers tells p of so many answers, a second apart, and gives the time after.
func answers(p *Pace, n int, took time.Duration, at consent.Time) consent.Time {
	for range n {
		at = at.Add(time.Second)
		p.Answered(took, at)
	}
	return at
}

func TestPaceSaysWhyItIsLower(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after  func(p *Pace) consent.Time
		want   Ceiling
		reason string
	}{
		"nothing":            {func(*Pace) consent.Time { return now }, most, ""},
		"fast answers":       {func(p *Pace) consent.Time { return answers(p, 50, fast, now) }, most, ""},
		"two slow of five":   {func(p *Pace) consent.Time { return answers(p, 2, slow, answers(p, 3, fast, now)) }, most, ""},
		"three slow of five": {func(p *Pace) consent.Time { return answers(p, 3, slow, answers(p, 3, fast, now)) }, Ceiling{80, 5}, reasonSlow},
		"slow for 9 s":       {func(p *Pace) consent.Time { return answers(p, 12, slow, answers(p, 3, fast, now)) }, Ceiling{80, 5}, reasonSlow},
		"slow for 10 s":      {func(p *Pace) consent.Time { return answers(p, 13, slow, answers(p, 3, fast, now)) }, Ceiling{64, 5}, reasonSlow},
		"slow for 3 minutes": {func(p *Pace) consent.Time { return answers(p, 180, slow, answers(p, 3, fast, now)) }, Ceiling{10, 5}, reasonSlow},
		"very slow for 20 s": {func(p *Pace) consent.Time { return answers(p, 22, 10*slow, answers(p, 3, fast, now)) }, Ceiling{80, 5}, reasonSlow},
		"and then 20 s":      {func(p *Pace) consent.Time { return answers(p, 22, 10*slow, answers(p, 3, fast, now)).Add(2 * quiet) }, Ceiling{80, 5}, reasonSlow},
		"and then 30 s":      {func(p *Pace) consent.Time { return answers(p, 22, 10*slow, answers(p, 3, fast, now)).Add(3 * quiet) }, Ceiling{85, 5}, reasonSlow},
		"two slow of four":   {func(p *Pace) consent.Time { return answers(p, 2, slow, answers(p, 2, fast, now)) }, most, ""},
		"slow now and then": {func(p *Pace) consent.Time {
			return answers(p, 1, slow, answers(p, 2, slow, answers(p, 3, fast, now)).Add(3*time.Minute))
		}, most, ""},
		"less than no time":     {func(p *Pace) consent.Time { return answers(p, 9, 200*time.Millisecond, answers(p, 3, -slow, now)) }, most, ""},
		"just not slow":         {func(p *Pace) consent.Time { return answers(p, 9, 3*fast+slowPlus, answers(p, 3, fast, now)) }, most, ""},
		"one answer at once":    {func(p *Pace) consent.Time { return answers(p, 9, fast, answers(p, 1, 0, now)) }, most, ""},
		"slow from the start":   {func(p *Pace) consent.Time { return answers(p, 50, slow, now) }, most, ""},
		"slow, then an hour":    {func(p *Pace) consent.Time { return answers(p, 9, slow, answers(p, 3, fast, now)).Add(time.Hour) }, most, ""},
		"one after a slow hour": {func(p *Pace) consent.Time { return answers(p, 1, fast, answers(p, 9, slow, now).Add(time.Hour)) }, most, ""},
		"a 429":                 {func(p *Pace) consent.Time { p.Limited(now); return now }, Ceiling{100, 4}, reasonRefused},
		"two 429s at once":      {func(p *Pace) consent.Time { p.Limited(now); p.Limited(now.Add(time.Second - 1)); return now }, Ceiling{100, 4}, reasonRefused},
		"429s for 5 s":          {func(p *Pace) consent.Time { return limited(p, 5) }, Ceiling{70, 1}, reasonRefused},
		"429s for a minute":     {func(p *Pace) consent.Time { return limited(p, 60) }, Ceiling{10, 1}, reasonRefused},
		"and then 10 s":         {func(p *Pace) consent.Time { return limited(p, 60).Add(quiet) }, Ceiling{15, 1}, reasonRefused},
		"no answers":            {func(p *Pace) consent.Time { p.Failed(now); p.Failed(now.Add(time.Second)); return now.Add(time.Second) }, most, ""},
		"an outage":             {func(p *Pace) consent.Time { p.Restart(now); p.Restart(now); return now }, Ceiling{25, 1}, reasonRestart},
		"an outage, 10 s later": {func(p *Pace) consent.Time { p.Restart(now); return now.Add(quiet) }, Ceiling{30, 1}, reasonRestart},
		"an outage, 40 s later": {func(p *Pace) consent.Time { // a step at a time: 25 + 4 × 5 is 45
			p.Restart(now)
			for i := range 4 {
				p.Now(now.Add(time.Duration(i) * quiet))
			}
			return now.Add(4 * quiet)
		}, Ceiling{45, 2}, reasonRestart},
		"an outage, 30 s later": {func(p *Pace) consent.Time { p.Restart(now); return now.Add(wideQuiet) }, Ceiling{40, 2}, reasonRestart},
		"an outage at the floor": {
			func(p *Pace) consent.Time {
				limited(p, 60)
				p.Restart(now.Add(time.Minute))
				return now.Add(time.Minute)
			},
			Ceiling{10, 1},
			reasonRestart,
		},
		"slow before it and after": {
			func(p *Pace) consent.Time {
				at := answers(p, 2, slow, answers(p, 3, fast, now))
				p.Restart(at)
				return answers(p, 1, slow, at)
			},
			Ceiling{25, 1},
			reasonRestart,
		},
		"a 429 before it and one after": {
			func(p *Pace) consent.Time { p.Limited(now); p.Restart(now); p.Limited(now); return now },
			Ceiling{17, 1},
			reasonRefused,
		},
		"a caller was overtaken": {
			func(p *Pace) consent.Time { p.Restart(now); p.Limited(now.Add(-quiet / 2)); return now.Add(quiet / 2) },
			Ceiling{17, 1},
			reasonRefused,
		},
		"a failure stops growth": {
			func(p *Pace) consent.Time { p.Restart(now); p.Failed(now); return now.Add(time.Hour) },
			Ceiling{25, 1},
			reasonRestart,
		},
		"an answer lets it grow": {
			func(p *Pace) consent.Time {
				p.Restart(now)
				p.Failed(now)
				return answers(p, 1, fast, now.Add(-time.Second)).Add(quiet)
			},
			Ceiling{30, 1},
			reasonRestart,
		},
	} {
		p := NewPace(most)
		at := c.after(p)
		if diff := cmp.Diff(c.want, p.Now(at)); diff != "" {
			t.Errorf("%s: the pace differs (-want +got):\n%s", name, diff)
		}
		if got := p.Reason(); got != c.reason {
			t.Errorf("%s: reason %q, want %q", name, got, c.reason)
		}
	}
}

// limited tells p of so many 429s, a second apart.
func limited(p *Pace, n int) consent.Time {
	at := now
	for range n {
		p.Limited(at)
		at = at.Add(time.Second)
	}
	return at.Add(-time.Second)
}

func TestPaceKeepsWhatWasLearntWhenTheCeilingChanges(t *testing.T) {
	t.Parallel()
	p := NewPace(most)
	p.SetCeiling(Ceiling{200, 10})
	if got := p.Now(now); got != (Ceiling{200, 10}) {
		t.Errorf("at the ceiling, the pace is %v after it was raised", got)
	}
	p.SetCeiling(most)
	answers(p, 3, slow, answers(p, 3, fast, now))
	at := now.Add(6 * time.Second)
	p.Limited(at)
	for _, c := range []struct{ ceiling, want Ceiling }{
		{Ceiling{50, 10}, Ceiling{40, 8}},
		{Ceiling{1, 1}, Ceiling{1, 1}},
		{Ceiling{100, 5}, Ceiling{80, 4}},
	} {
		p.SetCeiling(c.ceiling)
		if got := p.Now(at); got != c.want {
			t.Errorf("of %v the pace is %v, want %v", c.ceiling, got, c.want)
		}
	}
}

// A clock that is set back must not stop the pace from growing until it has
// caught up.
func TestPaceGrowsThoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	p := NewPace(most)
	p.Restart(now.Add(time.Hour))
	if got := p.Now(now); got != (Ceiling{25, 1}) {
		t.Errorf("the pace is %v as the clock was set back", got)
	}
	if got := p.Now(now.Add(quiet)); got != (Ceiling{30, 1}) {
		t.Errorf("the pace is %v after 10 s by the new clock", got)
	}
}

// An event is what may happen to a pace.
type event struct {
	after time.Duration
	kind  int // 0 answered, 1 limited, 2 failed, 3 restart, else a look
	took  time.Duration
}

func (e event) tell(p *Pace, at consent.Time) {
	switch e.kind {
	case 0:
		p.Answered(e.took, at)
	case 1:
		p.Limited(at)
	case 2:
		p.Failed(at)
	case 3:
		p.Restart(at)
	}
}

func drawEvents(t *rapid.T) []event {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event {
		return event{
			after: time.Duration(rapid.OneOf(rapid.IntRange(0, 2000), rapid.IntRange(0, 90_000)).Draw(t, "after ms")) * time.Millisecond,
			kind:  rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2, 3, 4, 4}).Draw(t, "kind"),
			took:  time.Duration(rapid.SampledFrom([]int{0, 200, 300, 3000, 20_000}).Draw(t, "took ms")) * time.Millisecond,
		}
	}), 1, 200).Draw(t, "events")
}

func drawCeiling(t *rapid.T) Ceiling {
	return Ceiling{rapid.IntRange(1, 300).Draw(t, "per minute"), rapid.IntRange(1, 10).Draw(t, "width")}
}

func TestPaceStaysWithinItsBoundsAndGrowsSlowly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := drawCeiling(t)
		p, at := NewPace(c), now
		before, last := p.Now(at), at
		for _, e := range drawEvents(t) {
			at = at.Add(e.after)
			e.tell(p, at)
			got := p.Now(at)
			if got.PerMinute > c.PerMinute || got.PerMinute < max(1, c.PerMinute/10) || got.Width < 1 || got.Width > c.Width {
				t.Fatalf("of %v the pace is %v", c, got)
			}
			if (p.Reason() == "") != (got == c) {
				t.Fatalf("of %v the pace is %v because %q", c, got, p.Reason())
			}
			// The ends of the time may each touch one more step; one more call
			// is rounding.
			tens, thirties := int(at.Sub(last)/quiet)+1, int(at.Sub(last)/wideQuiet)+1
			if rise := float64(got.PerMinute - before.PerMinute); rise > growth*float64(c.PerMinute*tens)+1 {
				t.Fatalf("the rate rose from %v to %v of %v in %v", before, got, c, at.Sub(last))
			}
			if got.Width-before.Width > thirties {
				t.Fatalf("the width rose from %v to %v in %v", before, got, at.Sub(last))
			}
			before, last = got, at
		}
	})
}

func TestPaceIsAtTheCeilingAgainWhenAllIsQuiet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := drawCeiling(t)
		p, at := NewPace(c), now
		for _, e := range drawEvents(t) {
			at = at.Add(e.after)
			e.tell(p, at)
		}
		p.Failed(at)
		at = answers(p, 5, fast, at.Add(usualOver*time.Minute)) // what was slow or fast before is over
		at = at.Add(max(200*time.Second, time.Duration(c.Width)*wideQuiet))
		if got := p.Now(at); got != c || p.Reason() != "" {
			t.Fatalf("the pace is %v of %v, because %q", got, c, p.Reason())
		}
	})
}

func TestPaceIsNeverHigherForOneMore429(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := drawCeiling(t)
		p, q, at := NewPace(c), NewPace(c), now
		events := drawEvents(t)
		extra := rapid.IntRange(0, len(events)-1).Draw(t, "extra")
		for i, e := range events {
			if i == extra {
				q.Limited(at.Add(e.after / 2))
			}
			at = at.Add(e.after)
			e.tell(p, at)
			e.tell(q, at)
			less, more := q.Now(at), p.Now(at)
			if less.PerMinute > more.PerMinute || less.Width > more.Width {
				t.Fatalf("with one more 429 the pace is %v, else %v", less, more)
			}
		}
	})
}

func TestPaceDoesNotFallForAnOutlierNowAndThen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, at := NewPace(most), now
		usually := rapid.IntRange(1, 5000).Draw(t, "usually ms")
		since := 0
		for range rapid.IntRange(1, 300).Draw(t, "answers") {
			at = at.Add(time.Duration(rapid.IntRange(0, 30_000).Draw(t, "after ms")) * time.Millisecond)
			took := time.Duration(usually+rapid.IntRange(0, usually).Draw(t, "more ms")) * time.Millisecond
			if since++; since >= smoothOver && rapid.Bool().Draw(t, "outlier") {
				took, since = time.Duration(rapid.IntRange(0, 120).Draw(t, "outlier s"))*time.Second, 0
			}
			p.Answered(took, at)
			if got := p.Now(at); got != most {
				t.Fatalf("the pace is %v because %q, after %v where %d to %d ms are usual", got, p.Reason(), took, usually, 2*usually)
			}
		}
	})
}

func TestPaceTakesSteadySlownessForUsual(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := NewPace(most)
		at := answers(p, rapid.IntRange(3, 100).Draw(t, "fast"), fast, now)
		steady := time.Duration(rapid.IntRange(1500, 30_000).Draw(t, "steady ms")) * time.Millisecond
		fell := false
		// Ten minutes until the fast ones are forgotten, then twenty steps.
		for end := at.Add(10*time.Minute + 20*max(quiet, steady) + time.Minute); at < end; {
			at = at.Add(time.Duration(rapid.IntRange(300, 6000).Draw(t, "after ms")) * time.Millisecond)
			p.Answered(steady, at)
			fell = fell || p.Now(at) != most
		}
		if got := p.Now(at); !fell || got != most {
			t.Fatalf("steady at %v: fell %v, the pace is %v", steady, fell, got)
		}
	})
}

// An Actito that delays what exceeds its calls a minute, of which others use
// some, must get about what it allows: neither a queue nor a crawl.
func TestPaceSettlesNearWhatActitoAllows(t *testing.T) {
	t.Parallel()
	for _, allows := range []int{30, 60, 90, 150} {
		calls, delayed := converse(allows, time.Hour)
		want := min(allows, most.PerMinute)
		if got := calls / 60; got < want*6/10 || got > allows {
			t.Errorf("where %d a minute are allowed, %d a minute were made", allows, got)
		}
		if delayed > calls*6/10 {
			t.Errorf("where %d a minute are allowed, %d of %d calls were delayed", allows, delayed, calls)
		}
	}
}

// converse calls, as fast as the pace lets it, an Actito that works on so many
// calls a minute and lets the others wait. It gives how many were answered and
// how many of these took over a second.
func converse(allows int, long time.Duration) (calls, delayed int) {
	type call struct{ sent, done consent.Time }
	var under []call
	p, at := NewPace(most), now
	var free consent.Time // when Actito can begin the next
	for at < now.Add(long) {
		pace := p.Now(at)
		next := at.Add(time.Minute / time.Duration(pace.PerMinute))
		for len(under) > 0 && (under[0].done <= next || len(under) >= pace.Width) {
			c := under[0]
			under = under[1:]
			next = max(next, c.done)
			p.Answered(c.done.Sub(c.sent), c.done)
			if calls++; c.done.Sub(c.sent) > time.Second {
				delayed++
			}
		}
		at = next
		start := max(at, free)
		free = start.Add(time.Minute / time.Duration(allows))
		under = append(under, call{at, start.Add(fast)})
		slices.SortFunc(under, func(a, b call) int { return stdcmp.Compare(a.done, b.done) })
	}
	return calls, delayed
}
