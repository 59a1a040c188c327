package actito

import (
	"net/http"
	"sync"
)

// Accounts gives one Client for each account, so that all who call an account
// share its access token. It is safe for concurrent use.
type Accounts struct {
	http *http.Client

	mu      sync.Mutex
	clients map[string]*Client
}

// NewAccounts makes an empty set whose clients call through hc.
func NewAccounts(hc *http.Client) *Accounts {
	return &Accounts{http: hc, clients: make(map[string]*Client)}
}

// mostAccounts bounds the memory: beyond it the clients are made anew, which
// costs a token call each.
const mostAccounts = 10_000

// Client gives the client of an account.
func (a *Accounts) Client(baseURL, apiKey string) *Client {
	name := baseURL + " " + Fingerprint(apiKey)
	a.mu.Lock()
	defer a.mu.Unlock()
	c, known := a.clients[name]
	if !known {
		if len(a.clients) >= mostAccounts {
			clear(a.clients)
		}
		c = NewClient(a.http, baseURL, apiKey)
		a.clients[name] = c
	}
	return c
}
