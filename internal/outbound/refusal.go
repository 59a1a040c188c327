package outbound

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
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
