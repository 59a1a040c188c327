// Package outboundtest plays the other end of a call: what the tests of every
// client of such an end need.
package outboundtest

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

// Host is an API on a real port that gives access tokens and records the other
// calls.
type Host struct {
	*httptest.Server

	mu     sync.Mutex
	tokens int
	calls  []string
}

// NewHost starts a host, which ends with the test. Token answers the calls on
// its path, told how many there were, and handler all others: with 200 and
// nothing when it is nil. Both may read a call's body.
func NewHost(t *testing.T, tokenPath string, token func(w http.ResponseWriter, r *http.Request, n int), handler http.HandlerFunc) *Host {
	t.Helper()
	h := &Host{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if r.URL.Path == tokenPath {
			token(w, r, h.noteToken())
			return
		}
		h.note(r.Method + " " + r.RequestURI + " " + string(body))
		if handler != nil {
			handler(w, r)
		}
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *Host) noteToken() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tokens++
	return h.tokens
}

func (h *Host) note(call string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, strings.TrimSpace(call))
}

// TokenCalls is how many calls were for a token.
func (h *Host) TokenCalls() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tokens
}

// Seen gives the other calls in their order: method, path as it was sent, body.
func (h *Host) Seen() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

// Client is one that may call this machine.
func Client(t *testing.T) *http.Client {
	t.Helper()
	hc := outbound.New(outbound.Options{AllowPrivateNetworks: true})
	t.Cleanup(hc.CloseIdleConnections)
	return hc
}

// Always answers each call alike.
func Always(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// Steps answers each call with the next status and body, and with 418 when there
// are no more.
func Steps(answers ...any) http.HandlerFunc {
	var mu sync.Mutex
	return func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if len(answers) < 2 {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.WriteHeader(answers[0].(int))
		_, _ = io.WriteString(w, answers[1].(string))
		answers = answers[2:]
	}
}

// Abort breaks the connection.
func Abort(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// GivenUp gives a context that ends when a call arrives at the handler, which
// never answers.
func GivenUp(t *testing.T) (context.Context, http.HandlerFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	return ctx, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done() // which is when the client leaves
	}
}

// WantKind fails the test unless the error is of that kind.
func WantKind(t *testing.T, err error, want consent.Kind) {
	t.Helper()
	if err == nil || consent.KindOf(err) != want {
		t.Errorf("got %v (%v), want kind %v", err, consent.KindOf(err), want)
	}
}

// WantEqual fails the test unless both are the same, all the way down.
func WantEqual(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
}

// Altered serves like next, but for what alter makes of an answer. Its headers
// may be changed in place.
func Altered(t *testing.T, next http.Handler, alter func(r *http.Request, header http.Header, status int, body string) (int, string)) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.Header().Del("Content-Length")
		status, body := alter(r, w.Header(), answer.Code, answer.Body.String())
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}
