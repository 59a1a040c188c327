package didomi

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"consentsync/internal/consent"
	"consentsync/internal/outbound/outboundtest"
)

const (
	apiKey    = "KEY-9f3c"
	apiSecret = "SECRET-77aa"
	oneEvent  = "POST /v1/consents/events?organization_id=acme&$disable_integrations=true"
)

var (
	always    = outboundtest.Always
	steps     = outboundtest.Steps
	abort     = outboundtest.Abort
	direct    = outboundtest.Client
	wantKind  = outboundtest.WantKind
	wantEqual = outboundtest.WantEqual
)

// newFake starts a host. The handler answers the calls that are not for a
// session; answerSession, if not nil, those that are.
func newFake(t *testing.T, answerSession, handler http.HandlerFunc) (*outboundtest.Host, *Client) {
	t.Helper()
	f := outboundtest.NewHost(t, "/v1/sessions", func(w http.ResponseWriter, r *http.Request, n int) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case answerSession != nil:
			answerSession(w, r)
		case r.Method != http.MethodPost || string(body) != `{"key":"`+apiKey+`","secret":"`+apiSecret+`","type":"api-key"}`:
			w.WriteHeader(http.StatusBadRequest)
		default:
			_, _ = fmt.Fprintf(w, `{"access_token":"TOKEN-%d"}`, n)
		}
	}, handler)
	return f, NewClient(direct(t), f.URL+"/v1/", " acme", apiKey+"\n", apiSecret+" ")
}

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
