package actito

import (
	"fmt"
	"net/http"
	"testing"

	"consentsync/internal/outbound/outboundtest"
)

const apiKey = "KEY-9f3c-secret"

var (
	always    = outboundtest.Always
	steps     = outboundtest.Steps
	abort     = outboundtest.Abort
	wantKind  = outboundtest.WantKind
	wantEqual = outboundtest.WantEqual
)

// newFake starts a host. The handler answers the calls that are not for a
// token; answerToken, if not nil, those that are.
func newFake(t *testing.T, answerToken, handler http.HandlerFunc) (*outboundtest.Host, *Client) {
	t.Helper()
	f := outboundtest.NewHost(t, "/auth/token", func(w http.ResponseWriter, r *http.Request, n int) {
		switch {
		case answerToken != nil:
			answerToken(w, r)
		case r.Method != http.MethodGet || r.Header.Get("Authorization") != apiKey:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			_, _ = fmt.Fprintf(w, `{"accessToken":"TOKEN-%d%%2Bx","tokenType":"bearer","expiresIn":"900s"}`, n)
		}
	}, handler)
	return f, NewClient(outboundtest.Client(t), f.URL+"/", apiKey+"\n")
}

var jane = Ref{Entity: "acme", TableID: "16", KeyAttribute: "emailAddress", Key: "jane@example.com"}

var optOut = Change{Subscriptions: map[string]bool{"Newsletter": false}}
