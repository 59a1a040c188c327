package actito

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

const (
	tokenOp = "actito.token"
	// tokenLife is what Actito documents.
	tokenLife = 15 * time.Minute
	// tokenMargin is how long before its end a token is no longer used.
	tokenMargin = time.Minute
	// tokenWait bounds one token call together with its wait for the pace.
	tokenWait = 5 * time.Minute
)

// Fingerprint names an API key without telling it: the first 12 hexadecimal
// digits of a hash. White space around the key does not count.
func Fingerprint(apiKey string) string {
	sum := sha256.Sum256([]byte("consentsync/actito/api-key\x00" + strings.TrimSpace(apiKey)))
	return hex.EncodeToString(sum[:])[:12]
}

// token is an access token. Its epoch counts the tokens of this client.
type token struct {
	value string
	until time.Time
	epoch uint64
}

// tokens keeps the one token of a client, and lets at most one token call run.
type tokens struct {
	fetch func(context.Context) (value string, life time.Duration, err error)
	now   func() time.Time

	mu     sync.Mutex
	held   token
	flight *flight
}

// flight is a token call under way. What it brings may be read once done is closed.
type flight struct {
	done  chan struct{}
	token token
	err   error
}

func (t *tokens) epoch() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held.epoch
}

// get gives a token that is good for a while and newer than the epoch after.
// So a caller whose token was refused passes that token's epoch, and of many
// such callers the first one's call serves all.
func (t *tokens) get(ctx context.Context, after uint64) (token, error) {
	t.mu.Lock()
	if t.held.epoch > after && t.now().Before(t.held.until) {
		defer t.mu.Unlock()
		return t.held, nil
	}
	f := t.flight
	if f == nil {
		f = &flight{done: make(chan struct{})}
		t.flight = f
		// Others may be waiting when this caller gives up, so the call goes on
		// without it.
		go t.run(context.WithoutCancel(ctx), f)
	}
	t.mu.Unlock()
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		return token{}, &consent.Error{
			Kind: consent.Transient, Op: tokenOp, Err: context.Cause(ctx),
			Message: "the call was given up while it waited for an access token; nothing was sent",
		}
	}
}

func (t *tokens) run(ctx context.Context, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, tokenWait)
	defer cancel()
	value, life, err := t.fetch(ctx)
	// The life is counted from the answer. A token that ends earlier than
	// thought costs one 401.
	until := t.now().Add(life - min(tokenMargin, life/2))

	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.held = token{value: value, until: until, epoch: t.held.epoch + 1}
		f.token = t.held
	}
	f.err = err
	t.flight = nil
	close(f.done)
}

// fetchToken makes the token call. No failure of it means that a profile is
// missing or its data wrong, so its errors are only Unauthorized (somebody must
// correct the settings), RateLimited and Transient.
func (c *Client) fetchToken(ctx context.Context) (string, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/auth/token", nil)
	if err != nil {
		return "", 0, errBaseURL(tokenOp)
	}
	req.Header.Set("Authorization", c.apiKey) // raw, without a scheme
	req.Header.Set("Accept", "application/json")
	resp, err := c.hc.Do(req)
	if err != nil {
		e := outbound.Classify(tokenOp, err)
		e.Kind = consent.Transient
		return "", 0, e
	}
	if resp.StatusCode/100 != 2 {
		e := c.refusal(call{op: tokenOp, method: http.MethodGet}, resp, "")
		// The status of this call must not pass for the status of the call
		// that needs the token.
		e.Err = errors.New(e.Err.Error())
		switch e.Kind {
		case consent.RateLimited, consent.Transient:
		case consent.Unauthorized:
			e.Message = "Actito refuses the API key (401): it is wrong or was revoked, or it belongs to another host"
		default:
			e.Kind = consent.Unauthorized
			e.Message = "no access token can be had, check the base URL and the API key: " + e.Message
		}
		return "", 0, e
	}
	body, err := outbound.ReadBody(resp, maxAnswer)
	if err != nil {
		return "", 0, unreadable(tokenOp, err)
	}
	value, life, err := parseToken(body)
	return value, life, unreadable(tokenOp, err)
}

// parseToken reads the answer of the token call. expiresIn is documented as
// "900s"; a number is taken for seconds, anything else for 15 minutes.
func parseToken(body []byte) (string, time.Duration, error) {
	answer, err := decodeObject(body)
	if err != nil {
		return "", 0, err
	}
	value := text(field(answer, "accessToken", "access_token"))
	if value == "" {
		return "", 0, errors.New("no access token in the answer")
	}
	life := tokenLife
	expires := text(field(answer, "expiresIn", "expires_in"))
	if d, err := time.ParseDuration(expires); err == nil && d > 0 {
		life = d
	} else if d, err := time.ParseDuration(expires + "s"); err == nil && d > 0 {
		life = d
	}
	return value, min(life, 24*time.Hour), nil
}
