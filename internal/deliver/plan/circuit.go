package plan

import (
	"time"

	"consentsync/internal/consent"
)

const (
	// manyFailed is after how many different profiles in a row the other end
	// is believed to be in trouble, not the profiles.
	manyFailed = 5
	// firstWait and mostWait bound the wait before a probe. The last is short:
	// it is what a withdrawal waits at most once the other end is back.
	firstWait = time.Second
	mostWait  = 10 * time.Second
)

// Circuit keeps an outage from becoming a storm: it opens when five different
// profiles in a row failed, and then only probes are made, after about 1, 2, 4
// and 8 s and then every 10 s at the latest. It guarantees that one profile
// that fails again and again never opens it, and that it closes within 10 s
// after the other end is back, not counting the time of the probe that met the
// return and of the one that finds it. The zero value is closed.
type Circuit struct {
	failed  map[string]bool // profiles that failed since the last success; at most manyFailed
	open    bool
	probeAt consent.Time
	waits   int // since the last success
}

// Failed notes a call that failed for no fault of the profile: no answer, a
// 5xx, a refused connection. Random is at least 0 and below 1.
func (c *Circuit) Failed(profile string, now consent.Time, random float64) {
	if c.open {
		return // it was under way when the circuit opened, and tells nothing new
	}
	if c.failed == nil {
		c.failed = make(map[string]bool, manyFailed)
	}
	c.failed[profile] = true
	if len(c.failed) < manyFailed {
		return
	}
	c.open = true
	c.probeAt = now.Add(jittered(c.nextWait(), random))
}

// Succeeded notes a definite answer of the other end about a profile, be it to
// a call that was under way when the circuit opened.
func (c *Circuit) Succeeded() {
	c.close()
	c.waits = 0
}

// Open tells that no profile may be called now.
func (c *Circuit) Open() bool { return c.open }

// ProbeDue tells that a harmless probe may be made now.
func (c *Circuit) ProbeDue(now consent.Time) bool { return c.open && now >= c.probeAt }

// Probing notes that a probe was started. The next is due after the next wait,
// though this one should never end.
func (c *Circuit) Probing(now consent.Time) {
	c.probeAt = now.Add(c.nextWait())
}

// Probed notes how a probe ended; one that went well closes the circuit. The
// waits go on from where they were when profiles fail again before one
// succeeds: the other end may answer probes and nothing else.
func (c *Circuit) Probed(ok bool, now consent.Time, random float64) {
	switch {
	case !c.open:
	case ok:
		c.close()
	default:
		c.probeAt = now.Add(jittered(c.lastWait(), random))
	}
}

func (c *Circuit) close() {
	c.open = false
	clear(c.failed)
}

func (c *Circuit) nextWait() time.Duration {
	c.waits++
	return c.lastWait()
}

func (c *Circuit) lastWait() time.Duration {
	return min(mostWait, firstWait<<min(c.waits-1, 10))
}

// jittered spreads a wait over its second half, so that licences that failed
// together do not come back together.
func jittered(wait time.Duration, random float64) time.Duration {
	return wait/2 + time.Duration(random*float64(wait/2))
}
