package accounts

import (
	"sync"
	"time"

	"consentsync/internal/consent"
)

// attempts slows down whoever guesses passwords. Failures count by address of
// e-mail and by where they come from together, so that nobody locks somebody
// else out from afar; and by address of e-mail alone, more patiently, so that
// guessing from everywhere is slow too. Each node counts for itself.
type attempts struct {
	mu    sync.Mutex
	fails map[string]*failures
}

type failures struct {
	n     int
	until time.Time
}

const (
	// free failures cost no wait; each further one doubles it.
	freePair, freeEmail = 5, 50
	longestWait         = 15 * time.Minute
	// mostTracked bounds the memory; when it is full, the oldest half goes.
	mostTracked = 10_000
)

func newAttempts() *attempts { return &attempts{fails: map[string]*failures{}} }

func keys(email, from string) map[string]int {
	return map[string]int{email + " " + from: freePair, email: freeEmail}
}

// try counts an attempt as failed, ahead of knowing, so that many at once are
// no way around; RateLimited if it may not be made now.
func (a *attempts) try(email, from string, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key := range keys(email, from) {
		if f := a.fails[key]; f != nil && now.Before(f.until) {
			wait := f.until.Sub(now).Truncate(time.Second) + time.Second
			return &consent.Error{
				Kind: consent.RateLimited, Op: "accounts", RetryAfter: wait, Message: "too many attempts: try again in " + wait.String(),
			}
		}
	}
	a.makeRoom(now)
	for key, free := range keys(email, from) {
		f := a.fails[key]
		if f == nil || now.After(f.until.Add(longestWait)) {
			f = &failures{}
			a.fails[key] = f
		}
		f.n++
		f.until = now
		if over := f.n - free; over >= 0 {
			f.until = now.Add(min(longestWait, time.Second<<min(over, 20)))
		}
	}
	return nil
}

func (a *attempts) makeRoom(now time.Time) {
	if len(a.fails) < mostTracked {
		return
	}
	for key, f := range a.fails {
		if now.After(f.until) || len(a.fails) > mostTracked/2 {
			delete(a.fails, key)
		}
	}
}

// succeeded takes back that an attempt was counted, and forgets the failures
// before it from the same place.
func (a *attempts) succeeded(email, from string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.fails, email+" "+from)
	if f := a.fails[email]; f != nil {
		f.n--
	}
}
