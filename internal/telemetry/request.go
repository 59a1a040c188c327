package telemetry

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// RequestHeader is where an answer tells the id of its request.
const RequestHeader = "X-Request-Id"

// request is what is told of a request once it is answered.
type request struct {
	id    string
	notes []slog.Attr
}

// Requests writes one line for each request when it was answered, and gives it
// an id. What asks how the program is, and files of the console, are told at the
// level debug. traces may be nil.
func Requests(log *slog.Logger, traces *Traces, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		told := &request{id: rand.Text()[:16]}
		ctx, span := traces.request(context.WithValue(r.Context(), contextKey{}, told), r)
		r = r.WithContext(ctx)
		w.Header().Set(RequestHeader, told.id)
		answer := &answered{ResponseWriter: w}
		defer func() { //nolint:contextcheck // told under the request's own context; also after a panic that ends the connection
			span.answered(r, answer.code(), told)
			level := slog.LevelInfo
			if quiet(r.Pattern) {
				level = slog.LevelDebug
			}
			if !log.Enabled(r.Context(), level) {
				return
			}
			log.LogAttrs(r.Context(), level, "request", append([]slog.Attr{
				slog.String("pattern", pattern(r)), slog.Int("status", answer.code()), slog.Int64("milliseconds", time.Since(start).Milliseconds()),
			}, told.notes...)...)
		}()
		next.ServeHTTP(answer, r)
	})
}

// pattern names the route, never the address, in which people's ids may stand.
func pattern(r *http.Request) string {
	if r.Pattern == "" {
		return "none"
	}
	return r.Pattern
}

func quiet(pattern string) bool {
	_, path, found := strings.Cut(pattern, " ")
	if !found {
		path = pattern
	}
	switch path {
	case "/healthz", "/readyz", "/metrics":
		return true
	}
	return strings.HasPrefix(path, "/static/")
}

// answered keeps the status of an answer.
type answered struct {
	http.ResponseWriter
	status int
}

func (a *answered) code() int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}

func (a *answered) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK { // what is informational is no answer
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answered) Write(p []byte) (int, error) {
	a.status = a.code()
	return a.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach what is underneath.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }
