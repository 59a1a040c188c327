package actito

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"sync"
	"testing"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

const apiKey = "KEY-9f3c-secret"

// fake is a host that gives tokens and records the other calls.
type fake struct {
	*httptest.Server
	mu     sync.Mutex
	tokens int
	calls  []string // method, path as sent, body
}

// newFake starts a host. The handler answers the calls that are not for a
// token; answerToken, if not nil, those that are.
func newFake(t *testing.T, answerToken, handler http.HandlerFunc, opts ...Option) (*fake, *Client) {
	t.Helper()
	f := &fake{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/auth/token" {
			f.mu.Lock()
			f.tokens++
			n := f.tokens
			f.mu.Unlock()
			switch {
			case answerToken != nil:
				answerToken(w, r)
			case r.Header.Get("Authorization") != apiKey:
				w.WriteHeader(http.StatusUnauthorized)
			default:
				_, _ = fmt.Fprintf(w, `{"accessToken":"TOKEN-%d%%2Bx","tokenType":"bearer","expiresIn":"900s"}`, n)
			}
			return
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		call := r.Method + " " + r.RequestURI
		if len(body) > 0 {
			call += " " + string(body)
		}
		f.mu.Lock()
		f.calls = append(f.calls, call)
		f.mu.Unlock()
		if handler != nil {
			handler(w, r)
		}
	}))
	t.Cleanup(f.Close)
	hc := outbound.New(outbound.Options{AllowPrivateNetworks: true})
	t.Cleanup(hc.CloseIdleConnections)
	return f, NewClient(hc, f.URL+"/", apiKey+"\n", opts...)
}

func (f *fake) tokenCalls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tokens
}

func (f *fake) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// steps answers each call with the next status and body.
func steps(answers ...any) http.HandlerFunc {
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

func always(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

var jane = Ref{Entity: "acme", TableID: "16", KeyAttribute: "emailAddress", Key: "jane@example.com"}

var optOut = Change{Subscriptions: map[string]bool{"Newsletter": false}}

func wantKind(t *testing.T, err error, want consent.Kind) {
	t.Helper()
	if err == nil || consent.KindOf(err) != want {
		t.Errorf("got %v (%v), want kind %v", err, consent.KindOf(err), want)
	}
}

func wantEqual(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
}
