package store

import (
	"errors"

	"consentsync/internal/consent"
)

// What engines say to people who ask for something that cannot be: one sentence,
// whichever engine it is. op names the engine's method.

// ErrNoInvitation is the error of an invitation that cannot be used.
func ErrNoInvitation(op string) error {
	return consent.Errorf(consent.NotFound, op, "this invitation is not there: it has been used, has expired or was taken back")
}

// ErrNoSetup is the error of a set-up that nobody can go on with.
func ErrNoSetup(op string) error {
	return consent.Errorf(consent.NotFound, op, "this set-up is not there: it was finished, given up, or has expired")
}

// ErrLastAdministrator refuses to leave the platform to nobody.
func ErrLastAdministrator(op string) error {
	return consent.Errorf(consent.Conflict, op, "nobody would be left who administers the platform: make somebody else a platform administrator first")
}

// ErrIntegrationChanged refuses a change of an integration that is based on an old
// reading.
func ErrIntegrationChanged(op string) error {
	return consent.Errorf(consent.Conflict, op, "the integration was changed at the same time: read it again")
}

// ErrComparing refuses a retry while a re-projection goes on, of everybody or of some.
func ErrComparing(op string) error {
	return consent.Errorf(consent.Conflict, op, "others are being compared or tried again, or everybody waits for a yes: try again when that is done")
}

// ErrNothingSent refuses to read the profile of somebody of whom an integration
// knows nothing.
func ErrNothingSent(op string) error {
	return consent.Errorf(consent.NotFound, op, "nothing was sent for this person yet")
}

// Why an e-mail's settings cannot be stored.
const (
	EmailThere   = "there is one for this type: change it"
	EmailChanged = "it was changed at the same time: read it again"
)

// ErrUnfinishedCopy says why no server starts on a database.
var ErrUnfinishedCopy = errors.New("it holds an unfinished copy: run the same consentsync copy again, which goes on where it was, or empty it")
