package simulator

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The rights of an API key that matter here.
const (
	RightReadProfiles  = "read_profiles"
	RightWriteProfiles = "write_profiles"
	RightReadTables    = "read_profile_table_structure"
	RightReadImports   = "read_imports"
	RightWriteImports  = "write_imports"
	RightReadWebhooks  = "read_webhooks"
	RightWriteWebhooks = "write_webhooks"
	RightReadCampaigns = "read_mail_campaigns"
	RightSendMessages  = "write_transactional_sendings"
)

// access keeps API keys and the tokens made from them
// (https://developers.actito.com/docs/integration-framework/apis/authentication/api-key).
type access struct {
	mu     sync.Mutex
	life   time.Duration
	keys   map[string]apiKey
	tokens map[string]token
}

type apiKey struct {
	licence string
	rights  []string // empty means all
}

type token struct {
	key     string
	expires time.Time
}

func newAccess(life time.Duration) *access {
	return &access{life: life, keys: map[string]apiKey{}, tokens: map[string]token{}}
}

// AddKey makes an API key of the one licence that most simulations have. With
// no rights named it has them all.
func (a *Actito) AddKey(key string, rights ...string) { a.AddLicenceKey("", key, rights...) }

// AddLicenceKey makes an API key of a licence of its own: each licence has its
// own limits, shared by its keys.
func (a *Actito) AddLicenceKey(licence, key string, rights ...string) {
	a.access.mu.Lock()
	defer a.access.mu.Unlock()
	a.access.keys[key] = apiKey{licence, slices.Clone(rights)}
}

// RevokeKey ends an API key and its tokens.
func (a *Actito) RevokeKey(key string) {
	a.access.mu.Lock()
	defer a.access.mu.Unlock()
	delete(a.access.keys, key)
}

// ExpireTokens ends every token given out so far.
func (a *Actito) ExpireTokens() {
	a.access.mu.Lock()
	defer a.access.mu.Unlock()
	clear(a.access.tokens)
}

// issue answers a request for a token. The key comes as it is, without a
// scheme; the token goes out with percent signs that belong to it.
func (c *access) issue(q *request, now time.Time) outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !q.acceptsJSON() {
		return refused(refuse(http.StatusNotAcceptable, "only application/json is served"))
	}
	if _, ok := c.keys[q.authorization]; !ok {
		return refused(refuse(http.StatusUnauthorized, "the API key is wrong"))
	}
	for t, is := range c.tokens {
		if !now.Before(is.expires) {
			delete(c.tokens, t)
		}
	}
	t := rand.Text() + "%2B" + rand.Text() + "%3D"
	c.tokens[t] = token{key: q.authorization, expires: now.Add(c.life)}
	return answer(http.StatusOK, map[string]any{
		"accessToken": t,
		"tokenType":   "bearer",
		"expiresIn":   fmt.Sprintf("%ds", int(c.life/time.Second)),
		"scope":       "read write",
		"jti":         newUUID(),
	})
}

// admit checks a call's token, its Accept header and its right, and gives the
// licence that it is made for.
func (c *access) admit(q *request, now time.Time) (licence string, no *refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, isBearer := strings.CutPrefix(q.authorization, "Bearer ")
	is, known := c.tokens[t]
	key, valid := c.keys[is.key]
	right := q.kind.right()
	switch {
	case !isBearer || !known || !valid:
		return "", refuse(http.StatusUnauthorized, "the access token is missing or wrong")
	case !now.Before(is.expires):
		return "", refuse(http.StatusUnauthorized, "the access token has expired")
	case !q.acceptsJSON():
		return "", refuse(http.StatusNotAcceptable, "only application/json is served")
	case right != "" && len(key.rights) > 0 && !slices.Contains(key.rights, right):
		return "", refuse(http.StatusForbidden, "this needs the right %s", right)
	}
	return key.licence, nil
}

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return formatUUID(b)
}

func formatUUID(b [16]byte) string {
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
