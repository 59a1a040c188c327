package outbound

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"consentsync/internal/consent"
)

// Status is the cause in an error made from an answer that was no success.
type Status int

func (s Status) Error() string { return "HTTP " + strconv.Itoa(int(s)) }

// StatusOf gives the status behind an error, zero if there was none.
func StatusOf(err error) int {
	if s, ok := errors.AsType[Status](err); ok {
		return int(s)
	}
	return 0
}

// RetryAfter reads the header of that name: seconds, or a date. It is never
// negative and at most a day; zero when it says nothing.
func RetryAfter(header string, now time.Time) time.Duration {
	const most = 24 * time.Hour
	header = strings.TrimSpace(header)
	wait := time.Duration(0)
	if seconds, err := strconv.ParseUint(header, 10, 63); err == nil {
		wait = most
		if seconds < uint64(most/time.Second) {
			wait = time.Duration(seconds) * time.Second
		}
	} else if date, err := http.ParseTime(header); err == nil {
		wait = date.Sub(now)
	}
	return max(0, min(wait, most))
}

// Meaning gives what a status that is no success tells about a call to a party,
// as far as HTTP itself has a meaning for it (RFC 9110). Only a write can be
// Unclear. The message begins with who has to act where that is clear.
func Meaning(party string, status int, write bool) (consent.Kind, string) {
	say := func(kind consent.Kind, format string, args ...any) (consent.Kind, string) {
		return kind, fmt.Sprintf(format, args...) + " (" + strconv.Itoa(status) + ")"
	}
	switch {
	case status == http.StatusUnauthorized:
		return say(consent.Unauthorized, "%s refuses the access token, even a fresh one", party)
	case status == http.StatusForbidden:
		return say(consent.Forbidden, "the API key lacks a right for this operation")
	case status == http.StatusNotFound:
		return say(consent.NotFound, "%s does not find it, or hides it", party)
	case status == http.StatusConflict:
		return say(consent.Conflict, "it contradicts something that %s holds", party)
	case status == http.StatusTooManyRequests:
		return say(consent.RateLimited, "too many calls")
	case status >= 500 || status == http.StatusRequestTimeout:
		if write {
			return say(consent.Unclear, "%s failed, perhaps after it applied the change", party)
		}
		return say(consent.Transient, "%s failed", party)
	case status == http.StatusLocked || status == http.StatusTooEarly || status == http.StatusFailedDependency:
		return say(consent.Transient, "%s cannot do it now", party)
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity || status == http.StatusRequestEntityTooLarge:
		return say(consent.Invalid, "%s refuses the request", party)
	case status >= 400:
		// It is not the data that is refused.
		return say(consent.Forbidden, "%s does not take this kind of request; check the base URL", party)
	}
	return say(consent.Forbidden, "%s answers with a redirect, which is not followed; check the base URL", party)
}
