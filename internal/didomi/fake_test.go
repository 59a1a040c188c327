package didomi

import (
	"bytes"
	"fmt"
	"io"
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

const (
	apiKey    = "KEY-9f3c"
	apiSecret = "SECRET-77aa"
	oneEvent  = "POST /v1/consents/events?organization_id=acme&$disable_integrations=true"
)

// fake is a host that makes sessions and records the other calls.
type fake struct {
	*httptest.Server
	mu       sync.Mutex
	sessions int
	calls    []string // method, path as sent, body
}

// newFake starts a host. The handler answers the calls that are not for a
// session; answerSession, if not nil, those that are.
func newFake(t *testing.T, answerSession, handler http.HandlerFunc, opts ...Option) (*fake, *Client) {
	t.Helper()
	f := &fake{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/v1/sessions" {
			f.mu.Lock()
			f.sessions++
			n := f.sessions
			f.mu.Unlock()
			switch {
			case answerSession != nil:
				answerSession(w, r)
			case r.Method != http.MethodPost || string(body) != `{"key":"`+apiKey+`","secret":"`+apiSecret+`","type":"api-key"}`:
				w.WriteHeader(http.StatusBadRequest)
			default:
				_, _ = fmt.Fprintf(w, `{"access_token":"TOKEN-%d"}`, n)
			}
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		f.mu.Lock()
		f.calls = append(f.calls, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+string(body)))
		f.mu.Unlock()
		if handler != nil {
			handler(w, r)
		}
	}))
	t.Cleanup(f.Close)
	return f, NewClient(direct(t), f.URL+"/v1/", " acme", apiKey+"\n", apiSecret+" ", opts...)
}

// direct is a client that may call this machine.
func direct(t *testing.T) *http.Client {
	t.Helper()
	hc := outbound.New(outbound.Options{AllowPrivateNetworks: true})
	t.Cleanup(hc.CloseIdleConnections)
	return hc
}

func (f *fake) sessionCalls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sessions
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

func abort(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// optOut is an event of its own id by which a person leaves the newsletter.
func optOut(id string) Event {
	return Event{
		ID: id, OrganizationUserID: "jane@example.com", CreatedAt: at("2026-11-02T08:30:00Z"),
		Choices: []consent.Said{said(false, consent.OfPurpose, "newsletter")},
	}
}

func optOuts(ids ...string) []Event {
	var events []Event
	for _, id := range ids {
		events = append(events, optOut(id))
	}
	return events
}

// kinds names the kind of each error, "" for none.
func kinds(each []error) []string {
	names := make([]string, len(each))
	for i, err := range each {
		if err != nil {
			names[i] = consent.KindOf(err).String()
		}
	}
	return names
}

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
