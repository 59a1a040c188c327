// Package reply writes answers. Errors have the envelope that Didomi's API
// uses, {code, name, message, errors}, everywhere and from this one place; an
// answer never holds the cause of an error.
package reply

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"consentsync/internal/consent"
)

// Envelope is the body of every error
// (https://developers.didomi.io/api-and-platform/introduction/errors).
type Envelope struct {
	Code    int               `json:"code"`
	Name    string            `json:"name"`
	Message string            `json:"message"`
	Errors  map[string]string `json:"errors"` // by field
}

var statuses = map[consent.Kind]struct {
	code int
	name string
}{
	consent.Internal:     {http.StatusInternalServerError, "GeneralError"},
	consent.Invalid:      {http.StatusBadRequest, "BadRequest"},
	consent.NotFound:     {http.StatusNotFound, "NotFound"},
	consent.Conflict:     {http.StatusConflict, "Conflict"},
	consent.Unauthorized: {http.StatusUnauthorized, "NotAuthenticated"},
	consent.Forbidden:    {http.StatusForbidden, "Forbidden"},
	consent.TooLarge:     {http.StatusRequestEntityTooLarge, "PayloadTooLarge"},
	consent.RateLimited:  {http.StatusTooManyRequests, "TooManyRequests"},
	consent.Transient:    {http.StatusServiceUnavailable, "Unavailable"},
	consent.Unclear:      {http.StatusServiceUnavailable, "Unavailable"},
}

// JSON writes v with a status.
func JSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		slog.Error("an answer cannot be written as JSON", "error", err) //nolint:sloglint // a fault of ours, far from any logger
		status, body = http.StatusInternalServerError, []byte(`{"code":500,"name":"GeneralError","message":"internal error","errors":{}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// Describe gives the envelope of an error. Only what a consent.Error says
// openly gets out.
func Describe(err error) Envelope {
	s := statuses[consent.KindOf(err)]
	e := Envelope{Code: s.code, Name: s.name, Message: consent.MessageOf(err), Errors: map[string]string{}}
	if e.Message == "" {
		e.Message = http.StatusText(s.code)
	}
	var known *consent.Error
	if errors.As(err, &known) && known.Fields != nil {
		e.Errors = known.Fields
	}
	return e
}

// Error writes err with its envelope. What may work later says when.
func Error(w http.ResponseWriter, err error) {
	e := Describe(err)
	switch e.Code {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="consentsync"`)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		w.Header().Set("Retry-After", strconv.Itoa(RetrySeconds(consent.RetryAfter(err))))
	}
	JSON(w, e.Code, e)
}

// RetrySeconds rounds a wait up to whole seconds; 5 where none is known.
func RetrySeconds(d time.Duration) int {
	if d <= 0 {
		return 5
	}
	return int(math.Ceil(d.Seconds()))
}
