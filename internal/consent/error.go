package consent

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what an error means for whoever has to act on it.
type Kind uint8

// The kinds of error. Internal is the zero value, so that an error nobody
// classified is never mistaken for the caller's fault.
const (
	Internal     Kind = iota // a fault of ours
	Invalid                  // this data is refused and will be refused again
	NotFound                 // the thing named does not exist
	Conflict                 // it contradicts something that is there
	Unauthorized             // the credentials are wrong or missing
	Forbidden                // the credentials are right, the right is missing
	TooLarge                 // more bytes than accepted
	RateLimited              // too many calls; nothing was applied
	Transient                // nothing was applied; the same again may work
	Unclear                  // it may or may not have been applied
)

var kindNames = [...]string{
	"internal", "invalid", "not_found", "conflict", "unauthorized", "forbidden",
	"too_large", "rate_limited", "transient", "unclear",
}

// String gives the kind's name as it stands in logs and in stored reasons.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", k)
}

// Error is the one error type that crosses package borders.
type Error struct {
	Kind Kind
	// Op names the operation that failed, for example "actito.Update".
	Op string
	// Message may be shown to a user of the API: it holds no secret, no
	// personal data and no inner cause.
	Message string
	// Fields names each offending field of the input and what to do about it.
	Fields map[string]string
	// RetryAfter is how long the other side asked us to wait; zero if it did not.
	RetryAfter time.Duration
	// Err is the cause. It is for logs only.
	Err error
}

// Errorf makes an error of a kind, with a message fit for users of the API.
func Errorf(kind Kind, op, format string, args ...any) *Error {
	return &Error{Kind: kind, Op: op, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	text := e.Op
	if text == "" {
		text = e.Kind.String()
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// KindOf gives the kind of the outermost Error in err's chain, Internal if
// there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// RetryAfter gives the wait that the other side asked for, zero if none.
func RetryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// MessageOf gives the outward message of an error; empty if it has none.
func MessageOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Message != "" {
		return e.Message
	}
	return ""
}
