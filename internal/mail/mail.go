// Package mail decides which messages an accepted event causes, and what they
// say. It is pure.
//
// It guarantees that only what a person chose, or asked to be confirmed, in a
// consent event causes a message (R28); that a message names its recipient by
// the table's unique key; and that it carries nothing of a person but what the
// configuration maps.
package mail

import (
	"slices"
	"strings"
)

// Type is the id of one of Didomi's templates.
type Type string

// The templates that events cause
// (https://developers.didomi.io/integrations/emailing/templates/templates).
const (
	ConfirmConsentChanged       Type = "confirm-consent-changed"
	ConsentsUserCreated         Type = "consents-user-created"
	ValidationApprovalFile      Type = "validation-approval-file"
	ValidationApprovalSignature Type = "validation-approval-signature"
	ValidationDoubleOptIn       Type = "validation-double-optin"
)

// Caused are the types that events cause, in the order in which they are sent.
var Caused = []Type{ValidationDoubleOptIn, ValidationApprovalFile, ValidationApprovalSignature, ConsentsUserCreated, ConfirmConsentChanged}

// asked is what the ids of the templates begin with that are sent because
// somebody asks for it: those of the authentication, of privacy requests, and
// one's own. Of the first two not every id could be read, so they are taken by
// their beginning.
var asked = []string{"auth-", "authentication-", "request-", "custom-"}

// Known tells whether there is such a type.
func (t Type) Known() bool {
	return slices.Contains(Caused, t) || slices.ContainsFunc(asked, func(prefix string) bool {
		rest, is := strings.CutPrefix(string(t), prefix)
		return is && rest != "" && len(t) <= 100 && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
	})
}

// Approval tells whether somebody of the organization is asked to approve an
// event, and not the person themselves.
func (t Type) Approval() bool { return t == ValidationApprovalFile || t == ValidationApprovalSignature }

// Validates tells whether the event takes effect only once somebody has followed
// the link in the message: such messages go before all other ones.
func (t Type) Validates() bool { return t == ValidationDoubleOptIn || t.Approval() }

// Occasion is what an event did that came from Didomi by webhook and is about a
// person.
type Occasion struct {
	// Pending says that it waits for a confirmation.
	Pending bool
	// Chose says that it changed what events say of the person's choices.
	Chose bool
	// First says that no event had said anything of the person before.
	First bool
}

// Causes lists the types of the messages that follow, as far as they are
// configured.
func (o Occasion) Causes() []Type {
	switch {
	case o.Pending:
		return Caused[:3]
	case o.Chose && o.First:
		return Caused[3:]
	case o.Chose:
		return Caused[4:]
	}
	return nil
}
