package simulator

import (
	"sync"
	"time"
)

// How fast calls above the limit of a minute get slower: this much more for
// each of them, up to a ceiling. The documentation says only that they do.
const (
	slowStep = 100 * time.Millisecond
	slowMost = 30 * time.Second
)

// limits are a licence's two: so many requests at once, the rest refused, and so
// many calls a minute, the rest slowed down but served
// (https://developers.actito.com/docs/integration-framework/apis/limitations).
type limits struct {
	mu         sync.Mutex
	concurrent int // none when negative
	perMinute  int // none when negative
	seen       int
	licences   map[string]*usage
}

type usage struct {
	underWay int
	recent   []time.Time // the calls of the last minute, oldest first
}

func newLimits(concurrent, perMinute int) *limits {
	return &limits{concurrent: concurrent, perMinute: perMinute, licences: map[string]*usage{}}
}

// enter counts a call in and says by how much it is slowed down, or that it is
// one too many. Either way leave has to be called at its end.
func (l *limits) enter(licence string, now time.Time) (leave func(), slow time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.licences[licence]
	if u == nil {
		u = &usage{}
		l.licences[licence] = u
	}
	u.underWay++
	l.seen = max(l.seen, u.underWay)
	leave = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		u.underWay--
	}
	if l.concurrent >= 0 && u.underWay > l.concurrent {
		return leave, 0, false
	}
	return leave, l.slowness(u, now), true
}

func (l *limits) slowness(u *usage, now time.Time) time.Duration {
	if l.perMinute < 0 {
		return 0
	}
	for len(u.recent) > 0 && !u.recent[0].After(now.Add(-time.Minute)) {
		u.recent = u.recent[1:]
	}
	u.recent = append(u.recent, now)
	excess := max(0, len(u.recent)-l.perMinute)
	return min(slowMost, time.Duration(excess)*slowStep)
}

func (l *limits) maxSeen() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen
}

func (l *limits) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = 0
	for _, u := range l.licences {
		u.recent = nil
	}
}
