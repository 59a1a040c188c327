package auth

import (
	"maps"
	"slices"
	"sync"
	"time"

	"consentsync/internal/consent"
)

// Attempts slows down whoever guesses. Each node counts for itself. It is safe
// for concurrent use; the zero value is ready.
type Attempts struct {
	mu    sync.Mutex
	fails map[[32]byte]*failures
}

type failures struct {
	n     int
	last  time.Time // when the latest was
	until time.Time // when the wait that it cost is over
}

// Limit says what failures are counted by, and what they cost.
type Limit struct {
	// By is what they have in common, such as an address and where they come
	// from.
	By string
	// Free failures cost no wait; each further one doubles it, up to Longest.
	Free    int
	Longest time.Duration
}

// forgetAfter is how long after its wait a failure is remembered.
const forgetAfter = 15 * time.Minute

// mostTracked bounds the memory; when it is full, the half goes whose waits end
// first.
const mostTracked = 10_000

// Blocked gives how long nothing may be tried; 0 if it may be now.
func (a *Attempts) Blocked(now time.Time, limits ...Limit) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.blocked(now, limits)
}

func (a *Attempts) blocked(now time.Time, limits []Limit) (wait time.Duration) {
	for _, l := range limits {
		if f := a.fails[Hash(l.By)]; f != nil && now.Before(f.until) {
			wait = max(wait, f.until.Sub(now).Truncate(time.Second)+time.Second)
		}
	}
	return wait
}

// TooMany is the error of an attempt that may not be made for a while.
func TooMany(wait time.Duration) error {
	return &consent.Error{Kind: consent.RateLimited, Op: "auth", RetryAfter: wait, Message: "too many attempts: try again in " + wait.String()}
}

// Try counts an attempt as failed, ahead of knowing, so that many at once are
// no way around; RateLimited if it may not be made now.
func (a *Attempts) Try(now time.Time, limits ...Limit) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if wait := a.blocked(now, limits); wait > 0 {
		return TooMany(wait)
	}
	a.failed(now, limits)
	return nil
}

// wait gives what the n-th failure costs.
func (l Limit) wait(n int) time.Duration {
	if n < l.Free {
		return 0
	}
	return min(l.Longest, time.Second<<min(n-l.Free, 20))
}

// Failed counts an attempt as failed.
func (a *Attempts) Failed(now time.Time, limits ...Limit) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed(now, limits)
}

func (a *Attempts) failed(now time.Time, limits []Limit) {
	a.makeRoom(now)
	for _, l := range limits {
		key := Hash(l.By)
		f := a.fails[key]
		if f == nil || now.After(f.until.Add(forgetAfter)) {
			f = &failures{}
			a.fails[key] = f
		}
		f.n++
		f.last, f.until = now, now.Add(l.wait(f.n))
	}
}

func (a *Attempts) makeRoom(now time.Time) {
	if a.fails == nil {
		a.fails = map[[32]byte]*failures{}
	}
	if len(a.fails) < mostTracked {
		return
	}
	maps.DeleteFunc(a.fails, func(_ [32]byte, f *failures) bool { return now.After(f.until.Add(forgetAfter)) })
	ends := slices.SortedFunc(maps.Keys(a.fails), func(x, y [32]byte) int {
		return a.fails[x].until.Compare(a.fails[y].until)
	})
	for _, key := range ends[:max(0, len(ends)-mostTracked/2)] {
		delete(a.fails, key)
	}
}

// Forget forgets the failures of a limit.
func (a *Attempts) Forget(l Limit) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.fails, Hash(l.By))
}

// TakeBack takes back that the attempt of a time was counted ahead, and the wait
// that it cost: whatever wait there was before was over, or it had not been made.
func (a *Attempts) TakeBack(at time.Time, l Limit) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.fails[Hash(l.By)]
	if f == nil {
		return
	}
	if f.n--; f.n <= 0 {
		delete(a.fails, Hash(l.By))
		return
	}
	f.until = f.last
	if !f.last.Equal(at) { // others have failed since
		f.until = f.last.Add(l.wait(f.n))
	}
}
