package auth

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/incoming"
)

// WebhookHeader is the header in which a secret comes along with a webhook, of
// either end.
const WebhookHeader = "X-Consentsync-Secret"

// HeaderValue is what a client of the kind header sends in WebhookHeader.
func HeaderValue(clientID, secret string) string { return clientID + "." + secret }

// Callers tells for which organization Didomi calls: by an access token, or by
// the secret that comes along in a header. A client that was removed is unknown
// within rememberFor, its tokens too.
type Callers struct {
	Clients Clients
	Tokens  *Tokens
	Now     func() time.Time

	attempts Attempts
	mu       sync.Mutex
	known    map[[32]byte]caller // by what they authenticate with
}

type caller struct {
	organization string
	until        time.Time
}

// rememberFor is for how long a client is taken to be there after it was seen,
// so that a flood of webhooks does not ask for it again for each.
const rememberFor = 10 * time.Second

// Organization gives the organization that a webhook of Didomi's is for:
// Unauthorized if it is for none, RateLimited where a header was guessed at too
// often.
func (c *Callers) Organization(r *http.Request) (string, error) {
	if value := r.Header.Get(WebhookHeader); value != "" {
		return c.byHeader(r, value)
	}
	token, _ := Bearer(r)
	t, err := c.Tokens.check(token)
	if err != nil {
		return "", err
	}
	key := Hash("client " + t.Subject)
	if c.remembers(key) != "" {
		return t.Organization, nil
	}
	switch client, err := c.Clients.WebhookClient(r.Context(), t.Subject); {
	case err != nil && consent.KindOf(err) != consent.NotFound:
		return "", err
	case err != nil || client.Organization != t.Organization || client.Header:
		return "", errUnauthorized
	}
	c.remember(key, t.Organization)
	return t.Organization, nil
}

// byHeader checks a secret that comes along. Waits are short: a webhook that is
// refused for long may be lost.
func (c *Callers) byHeader(r *http.Request, value string) (string, error) {
	key := Hash("header " + value)
	if organization := c.remembers(key); organization != "" {
		return organization, nil
	}
	id, secret, _ := strings.Cut(value, ".")
	pair := Limit{By: id + " " + incoming.Source(r), Free: 20, Longest: 5 * time.Second}
	if wait := c.attempts.Blocked(c.Now(), pair); wait > 0 {
		return "", TooMany(wait)
	}
	client, err := authenticate(r.Context(), c.Clients, id, secret, c.Now())
	if err != nil || !client.Header {
		if err == nil || consent.KindOf(err) == consent.Unauthorized {
			c.attempts.Failed(c.Now(), pair)
			err = consent.Errorf(consent.Unauthorized, "auth", "the header %s does not hold what a webhook client of the kind header sends", WebhookHeader)
		}
		return "", err
	}
	c.attempts.Forget(pair)
	c.remember(key, client.Organization)
	return client.Organization, nil
}

func (c *Callers) remembers(key [32]byte) (organization string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, ok := c.known[key]; ok && c.Now().Before(k.until) {
		return k.organization
	}
	return ""
}

func (c *Callers) remember(key [32]byte, organization string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= mostKnown {
		c.known = make(map[[32]byte]caller)
	}
	c.known[key] = caller{organization, c.Now().Add(rememberFor)}
}

// limitOfClient is what failures at the token endpoint are counted by. It is not
// where they come from alone: all clients of Didomi come from one address.
func limitOfClient(r *http.Request, id string) Limit {
	return Limit{By: "client " + id + " " + incoming.Source(r), Free: 10, Longest: time.Minute}
}

// exchange checks the credentials of a client that wants a token.
func (e *Endpoint) exchange(ctx context.Context, r *http.Request, q tokenRequest) (string, error) {
	limit, now := limitOfClient(r, q.clientID), e.Tokens.now()
	if wait := e.attempts.Blocked(now, limit); wait > 0 {
		return "", TooMany(wait)
	}
	client, err := authenticate(ctx, e.Clients, q.clientID, q.clientSecret, now)
	if err == nil && client.Header {
		err = consent.Errorf(consent.Unauthorized, "auth", "this client sends its secret in the header %s, and gets no token", WebhookHeader)
	}
	if err != nil {
		if consent.KindOf(err) == consent.Unauthorized {
			e.attempts.Failed(now, limit)
		}
		return "", err
	}
	e.attempts.Forget(limit)
	return e.Tokens.Issue(client)
}
