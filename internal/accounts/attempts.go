package accounts

import (
	"time"

	"consentsync/internal/auth"
)

// attempts slows down whoever guesses passwords. Failures count by address of
// e-mail and by where they come from together, so that nobody locks somebody
// else out from afar; and by address of e-mail alone, more patiently, so that
// guessing from everywhere is slow too.
type attempts struct{ auth.Attempts }

const (
	freePair, freeEmail = 5, 50
	longestWait         = 15 * time.Minute
)

func newAttempts() *attempts { return &attempts{} }

func limits(email, from string) (pair, alone auth.Limit) {
	return auth.Limit{By: "sign-in " + email + " " + from, Free: freePair, Longest: longestWait}, auth.Limit{By: "sign-in " + email, Free: freeEmail, Longest: longestWait}
}

// try counts an attempt as failed, ahead of knowing; RateLimited if it may not
// be made now.
func (a *attempts) try(email, from string, now time.Time) error {
	pair, alone := limits(email, from)
	return a.Try(now, pair, alone)
}

// succeeded takes back that the attempt of a time was counted, and forgets the
// failures before it from the same place.
func (a *attempts) succeeded(email, from string, at time.Time) {
	pair, alone := limits(email, from)
	a.Forget(pair)
	a.TakeBack(at, alone)
}

// untried takes back that the attempt of a time was counted, since it could not
// be made.
func (a *attempts) untried(email, from string, at time.Time) {
	pair, alone := limits(email, from)
	a.TakeBack(at, pair)
	a.TakeBack(at, alone)
}
