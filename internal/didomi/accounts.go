package didomi

import (
	"net/http"

	"consentsync/internal/outbound"
)

// Accounts gives one Client for each account, so that all who call an account
// share its session. It is safe for concurrent use.
type Accounts struct {
	http   *http.Client
	shared outbound.Shared[account, *Client]
}

type account struct{ base, organization, key string }

// NewAccounts makes an empty set whose clients call through hc.
func NewAccounts(hc *http.Client) *Accounts { return &Accounts{http: hc} }

// Client gives the client of an account.
func (a *Accounts) Client(baseURL, organization, key, secret string) *Client {
	return a.shared.Get(account{baseURL, organization, Fingerprint(key, secret)}, func() *Client {
		return NewClient(a.http, baseURL, organization, key, secret)
	})
}

// Fresh gives a client of an account that shares nothing with the others: it
// fetches a token of its own, which shows whether one can be had now.
func (a *Accounts) Fresh(baseURL, organization, key, secret string) *Client {
	return NewClient(a.http, baseURL, organization, key, secret)
}
