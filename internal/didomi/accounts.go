package didomi

import (
	"net/http"
	"sync"
)

// Accounts gives one Client for each account, so that all who call an account
// share its session. It is safe for concurrent use.
type Accounts struct {
	http *http.Client

	mu      sync.Mutex
	clients map[account]*Client
}

type account struct{ base, organization, key string }

// NewAccounts makes an empty set whose clients call through hc.
func NewAccounts(hc *http.Client) *Accounts {
	return &Accounts{http: hc, clients: make(map[account]*Client)}
}

// mostAccounts bounds the memory: beyond it the clients are made anew, which
// costs a session each.
const mostAccounts = 10_000

// Client gives the client of an account.
func (a *Accounts) Client(baseURL, organization, key, secret string) *Client {
	name := account{baseURL, organization, Fingerprint(key, secret)}
	a.mu.Lock()
	defer a.mu.Unlock()
	c, known := a.clients[name]
	if !known {
		if len(a.clients) >= mostAccounts {
			clear(a.clients)
		}
		c = NewClient(a.http, baseURL, organization, key, secret)
		a.clients[name] = c
	}
	return c
}
