package auth

import (
	"context"
	"crypto/subtle"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Tokens gives and checks the access tokens with which Didomi calls us. A token
// is bound to one organization and lives for a fixed time.
type Tokens struct {
	key  []byte
	life time.Duration
	now  func() time.Time

	mu    sync.Mutex
	known map[string]claims // tokens that were checked already
}

// NewTokens makes tokens signed with key that live for life.
func NewTokens(key []byte, life time.Duration, now func() time.Time) *Tokens {
	return &Tokens{key: key, life: life, now: now, known: make(map[string]claims)}
}

type claims struct {
	jwt.RegisteredClaims
	Organization string `json:"org"`
}

const audience = "consentsync/webhooks"

// Life is how long a token lives.
func (t *Tokens) Life() time.Duration { return t.life }

// Issue gives a token for a client.
func (t *Tokens) Issue(c *store.WebhookClient) (string, error) {
	now := t.now()
	// Dates in tokens are whole seconds: the end is rounded up, so that no
	// token lives shorter than it was said to.
	end := now.Add(t.life + time.Second - 1)
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Subject: c.ClientID, Audience: jwt.ClaimStrings{audience}, ID: NewSecret()[:16],
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(end),
		},
		Organization: c.Organization,
	})
	return token.SignedString(t.key)
}

// mostKnown bounds the memory of checked tokens.
const mostKnown = 1024

var errUnauthorized = consent.Errorf(consent.Unauthorized, "auth", "the bearer token is missing, wrong or expired")

// Organization gives the organization that a token is for. The error is
// Unauthorized whatever is wrong with it.
func (t *Tokens) Organization(token string) (string, error) {
	c, err := t.check(token)
	return c.Organization, err
}

func (t *Tokens) check(token string) (claims, error) {
	t.mu.Lock()
	c, known := t.known[token]
	t.mu.Unlock()
	if known && t.now().Before(c.ExpiresAt.Time) {
		return c, nil
	}
	c = claims{}
	_, err := jwt.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return t.key, nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithAudience(audience), jwt.WithExpirationRequired(), jwt.WithTimeFunc(t.now))
	if err != nil || c.Organization == "" {
		return claims{}, errUnauthorized
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.known) >= mostKnown {
		clear(t.known)
	}
	t.known[token] = c
	return c, nil
}

// Bearer gives the bearer token of a request; ok is false if it has none.
func Bearer(r *http.Request) (token string, ok bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != ""
}

// Admin knows the platform administrator's token.
type Admin struct{ hash [32]byte }

// LoadAdmin takes the token given, if any, otherwise the one in the file
// admin-token in dir, which is made with mode 0600 at first start.
func LoadAdmin(token, dir string) (*Admin, error) {
	if token == "" {
		path := filepath.Join(dir, "admin-token")
		saved, err := os.ReadFile(path)
		switch {
		case err == nil && strings.TrimSpace(string(saved)) != "":
			token = strings.TrimSpace(string(saved))
		case err == nil || os.IsNotExist(err):
			token = NewSecret()
			if err := writeSecretFile(path, token); err != nil {
				return nil, err
			}
		default:
			return nil, err
		}
	}
	return &Admin{Hash(token)}, nil
}

// Check tells whether the request comes from the platform administrator.
func (a *Admin) Check(r *http.Request) error {
	token, ok := Bearer(r)
	hash := Hash(token)
	if !ok || subtle.ConstantTimeCompare(hash[:], a.hash[:]) != 1 {
		return errUnauthorized
	}
	return nil
}

// Clients finds webhook clients.
type Clients interface {
	WebhookClient(ctx context.Context, clientID string) (*store.WebhookClient, error)
}

// authenticate checks a client's credentials in the same time whether the
// client exists or not, and whichever of its secrets is given.
func authenticate(ctx context.Context, clients Clients, id, secret string, now time.Time) (*store.WebhookClient, error) {
	c, err := clients.WebhookClient(ctx, id)
	if err != nil && consent.KindOf(err) != consent.NotFound {
		return nil, err
	}
	var expected, previous [32]byte
	overlap := 0
	if err == nil {
		expected, previous = c.SecretHash, c.PreviousHash
		if consent.TimeOf(now) < c.PreviousUntil {
			overlap = 1
		}
	}
	given := Hash(secret)
	same := subtle.ConstantTimeCompare(given[:], expected[:]) | subtle.ConstantTimeCompare(given[:], previous[:])&overlap
	if same != 1 || err != nil {
		return nil, consent.Errorf(consent.Unauthorized, "auth", "client_id or client_secret is wrong")
	}
	return c, nil
}
