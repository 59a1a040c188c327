package plan

import (
	"slices"
	"time"

	"consentsync/internal/consent"
)

// Ceiling is how often and how widely a licence may be called.
type Ceiling struct {
	PerMinute int // calls a minute, at least 1
	Width     int // calls under way at once, at least 1
}

// floor is the least calls a minute: a tenth, so that a fall is noticed to be
// over within a few calls, and never none.
func (c Ceiling) floor() int { return max(1, c.PerMinute/10) }

const (
	// A sign of slowing is a smoothed latency above so many times the usual
	// one and a little: Actito does not refuse what exceeds its calls a
	// minute, it answers later.
	slowTimes = 3
	slowPlus  = 250 * time.Millisecond

	slowdown  = 0.8              // of the rate, on a sign of slowing
	refusal   = 0.7              // of the rate, on a 429 at width 1
	restart   = 0.25             // of the ceiling, after an outage
	growth    = 0.05             // of the ceiling, for each quiet
	quiet     = 10 * time.Second // without a sign before the rate grows, and between falls
	wideQuiet = 30 * time.Second // without a sign before the width grows by one
	oneStep   = time.Second      // the 429s of one moment are one step

	// smoothOver is how many answers are smoothed, by their median: two slow
	// ones among them count for nothing.
	smoothOver  = 5
	smoothLeast = 3
	// smoothAge is how old a smoothed answer may be. Yesterday's slowness
	// says nothing of today.
	smoothAge = 2 * time.Minute
	// usualOver is how many minutes the usual latency looks back.
	usualOver = 10
	// setBack is from when on a time that lies before the last one is a clock
	// that was set back, not a caller that was overtaken.
	setBack = time.Minute
)

// The reasons that Pace gives.
const (
	reasonSlow    = "Actito answers slowly"
	reasonRefused = "Actito refused calls (429)"
	reasonRestart = "Actito was out of reach"
)

// Pace is how fast a licence is called. It guarantees that the pace is never
// above the ceiling nor below a tenth of its calls a minute; that it falls
// within seconds when Actito slows down or refuses, but not for two slow
// answers in five; and that it grows by at most 5 % of the ceiling in 10 s and
// by one of the width in 30 s. Without a sign of trouble, and with answers
// within 10 s, the rate is at the ceiling again after 200 s. Slowness that stays
// the same for ten minutes, whatever our rate, is taken for Actito's own.
type Pace struct {
	ceiling Ceiling
	rate    float64 // share of the ceiling's calls a minute
	width   float64 // share of the ceiling's width
	cause   string  // of the last fall

	smoothed time.Duration // when the last call was answered; 0 while unknown
	recent   []answer
	usual    usual

	seen     consent.Time // the latest time told
	slowed   consent.Time // when the rate last fell for slowness
	narrowed consent.Time // when it last fell for a 429
	grown    consent.Time // from when quiet counts for the rate
	widened  consent.Time // from when quiet counts for the width
	failing  bool         // the last call had no answer
}

type answer struct {
	took time.Duration
	at   consent.Time
}

// NewPace starts at the ceiling.
func NewPace(c Ceiling) *Pace { return &Pace{ceiling: c, rate: 1, width: 1} }

// SetCeiling changes the ceiling and keeps what was learnt, as shares of it.
func (p *Pace) SetCeiling(c Ceiling) { p.ceiling = c }

// Answered notes that a call was answered in this time, whatever the answer.
// The calls told of should be of one sort, writes of a profile, for they are
// compared with one another; a 429, which costs Actito no time, is told to
// Limited alone.
func (p *Pace) Answered(took time.Duration, now consent.Time) {
	now = p.advance(now)
	p.failing = false
	p.recent = append(p.recent, answer{max(0, took), now})
	p.recent = p.recent[max(0, len(p.recent)-smoothOver):]
	var known bool
	if p.smoothed, known = p.smooth(now); !known {
		return
	}
	p.usual.add(p.smoothed, now)
	if p.smoothed > slowTimes*p.usual.latency(now)+slowPlus {
		p.slow(now)
	}
}

// slow lowers the rate, not before the effect of the last fall could be seen.
func (p *Pace) slow(now consent.Time) {
	p.sign(now, reasonSlow)
	if p.slowed != 0 && now.Sub(p.slowed) < max(quiet, p.smoothed) {
		return
	}
	p.slowed = now
	p.fall(slowdown)
}

// Limited notes a 429: the width falls by one, and the rate where there is no
// width to take.
func (p *Pace) Limited(now consent.Time) {
	now = p.advance(now)
	p.sign(now, reasonRefused)
	if p.narrowed != 0 && now.Sub(p.narrowed) < oneStep {
		return
	}
	p.narrowed = now
	width := p.inForce().Width
	if width == 1 {
		p.fall(refusal)
		return
	}
	p.width = float64(width-1) / float64(p.ceiling.Width)
}

// Failed notes a call without an answer, or with a 5xx. Whether it was us who
// were too fast is not known, so nothing falls; but until the next answer
// nothing grows either.
func (p *Pace) Failed(now consent.Time) {
	p.advance(now)
	p.failing = true
}

// Restart starts slowly after an outage: one call at a time, and at most a
// quarter of the ceiling, growing as ever. What was answered before it counts
// no longer, and a 429 after it is a step of its own.
func (p *Pace) Restart(now consent.Time) {
	now = p.advance(now)
	p.sign(now, reasonRestart)
	p.recent, p.smoothed, p.failing, p.narrowed = nil, 0, false, 0
	p.fall(min(1, restart/p.rate))
	p.width = 1 / float64(p.ceiling.Width)
}

// Now gives the pace in force.
func (p *Pace) Now(now consent.Time) Ceiling {
	p.advance(now)
	return p.inForce()
}

// Reason tells why the pace is below the ceiling, in words for people; empty
// when it is not. It holds for the latest time told.
func (p *Pace) Reason() string {
	if p.inForce() == p.ceiling {
		return ""
	}
	return p.cause
}

func (p *Pace) inForce() Ceiling {
	return Ceiling{
		PerMinute: max(p.ceiling.floor(), whole(p.rate*float64(p.ceiling.PerMinute))),
		Width:     max(1, whole(p.width*float64(p.ceiling.Width))),
	}
}

// whole cuts what is beyond the point, but not for want of a rounding error.
func whole(x float64) int { return int(x + 1e-6) }

// sign notes that Actito showed trouble: quiet begins anew.
func (p *Pace) sign(now consent.Time, cause string) {
	p.cause, p.grown, p.widened = cause, now, now
}

func (p *Pace) fall(by float64) {
	p.rate = max(p.rate*by, float64(p.ceiling.floor())/float64(p.ceiling.PerMinute))
}

// advance lets the pace grow up to now, and gives the time to go by: callers
// that overtake each other do not turn it back.
func (p *Pace) advance(now consent.Time) consent.Time {
	if now < p.seen.Add(-setBack) {
		p.forgetTimes(now)
	}
	now = max(now, p.seen)
	p.seen = now
	if p.failing {
		p.grown, p.widened = now, now
		return now
	}
	// Growing before an answer can show the effect would be blind.
	n := steps(&p.grown, now, max(quiet, p.smoothed))
	p.rate = min(1, p.rate+growth*float64(n))
	if n := steps(&p.widened, now, wideQuiet); n > 0 {
		p.width = min(1, float64(p.inForce().Width+n)/float64(p.ceiling.Width))
	}
	return now
}

// steps gives how many whole waits lie between since and now, and moves since
// by them.
func steps(since *consent.Time, now consent.Time, wait time.Duration) int {
	n := max(0, now.Sub(*since)/wait)
	*since = since.Add(n * wait)
	return int(n)
}

// forgetTimes begins anew at a clock that was set back; the pace stays.
func (p *Pace) forgetTimes(now consent.Time) {
	p.seen, p.grown, p.widened, p.slowed, p.narrowed = now, now, now, 0, 0
	p.recent, p.smoothed, p.usual = nil, 0, usual{}
}

// smooth gives the median of the last answers; not known while there are too
// few.
func (p *Pace) smooth(now consent.Time) (median time.Duration, known bool) {
	var took []time.Duration
	for _, a := range p.recent {
		if now.Sub(a.at) <= smoothAge {
			took = append(took, a.took)
		}
	}
	if len(took) < smoothLeast {
		return 0, false
	}
	slices.Sort(took)
	return took[(len(took)-1)/2], true
}

// usual is the latency that is usual: the lowest smoothed one of the last ten
// minutes, by the minute.
type usual [usualOver]struct {
	minute consent.Time
	lowest time.Duration
}

func (u *usual) add(smoothed time.Duration, now consent.Time) {
	minute := minuteOf(now)
	b := &u[minute%usualOver]
	if b.minute != minute {
		b.minute, b.lowest = minute, smoothed
	}
	b.lowest = min(b.lowest, smoothed)
}

// latency gives what is usual; add was called for this minute.
func (u *usual) latency(now consent.Time) time.Duration {
	minute := minuteOf(now)
	lowest := u[minute%usualOver].lowest
	for _, b := range u {
		if b.minute > minute-usualOver {
			lowest = min(lowest, b.lowest)
		}
	}
	return lowest
}

func minuteOf(t consent.Time) consent.Time { return t / consent.Time(time.Minute/time.Microsecond) }
