package didomi

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

const (
	sessionOp = "didomi.Session"
	// sessionLife is what Didomi documents
	// (https://developers.didomi.io/api/introduction/authentication).
	sessionLife = time.Hour
	// maxSessionLife bounds what a token may claim.
	maxSessionLife = 24 * time.Hour
)

// Fingerprint names an API key with its secret without telling either: the
// first 12 hexadecimal digits of a hash. White space around them does not count.
func Fingerprint(key, secret string) string {
	sum := sha256.Sum256([]byte("consentsync/didomi/api-key\x00" + strings.TrimSpace(key) + "\x00" + strings.TrimSpace(secret)))
	return hex.EncodeToString(sum[:])[:12]
}

// CheckSession makes a fresh session, which shows that host, key and secret are
// right. It does not show that the key may act for the organization.
func (c *Client) CheckSession(ctx context.Context) error {
	_, err := c.tokens.Get(ctx, c.tokens.Epoch())
	return err
}

// fetchSession makes a session. No failure of it means that an event is wrong,
// and a session too many does no harm, so its errors are only Unauthorized
// (the API key or its secret is wrong), Forbidden (somebody must correct another
// setting), RateLimited and Transient.
func (c *Client) fetchSession(ctx context.Context) (string, time.Duration, error) {
	body, err := json.Marshal(map[string]string{"type": "api-key", "key": c.key, "secret": c.secret})
	if err != nil {
		return "", 0, consent.Errorf(consent.Unauthorized, sessionOp, "the API key cannot be written as JSON")
	}
	resp, err := c.do(ctx, call{op: sessionOp, path: "/sessions", body: body}, "")
	if err != nil {
		return "", 0, noSession(err)
	}
	defer resp.Body.Close()
	answer, err := outbound.ReadBody(resp, maxAnswer)
	if err != nil {
		return "", 0, noSession(outbound.Classify(sessionOp, err))
	}
	value, life, ok := parseSession(answer, c.now())
	if !ok {
		return "", 0, consent.Errorf(consent.Transient, sessionOp, "Didomi's answer holds no access token")
	}
	return value, life, nil
}

// noSession says why there is no session, given the error of do.
func noSession(err error) error {
	e, ok := errors.AsType[*consent.Error](err)
	if !ok {
		return err
	}
	status := outbound.StatusOf(err)
	switch {
	case e.Kind == consent.RateLimited, e.Kind == consent.Transient:
	case e.Kind == consent.Unclear:
		e.Kind = consent.Transient
		if status == 0 {
			e.Message = "the connection failed, or no answer came in time, while a session was asked for"
		}
	case status == http.StatusBadRequest, status == http.StatusUnauthorized:
		e.Kind = consent.Unauthorized
		e.Message = "the API key or its secret is wrong, or was revoked: " + e.Message
	default:
		e.Kind = consent.Forbidden
		e.Message = "no session can be had, check the base URL and the API key: " + e.Message
	}
	return e
}

// parseSession reads the answer to the making of a session.
func parseSession(body []byte, now time.Time) (token string, life time.Duration, ok bool) {
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.AccessToken == "" {
		return "", 0, false
	}
	return answer.AccessToken, claimedLife(answer.AccessToken, now), true
}

// claimedLife reads how long a JWT says that it is good for, by its own clock
// where it says when it was made. What cannot be read, or has passed, which our
// clock's fault may be, is taken for the documented hour.
func claimedLife(token string, now time.Time) time.Duration {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return sessionLife
	}
	var claims struct {
		Made float64 `json:"iat"`
		Ends float64 `json:"exp"`
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil || json.Unmarshal(raw, &claims) != nil || claims.Ends == 0 {
		return sessionLife
	}
	if claims.Made == 0 {
		claims.Made = float64(now.UnixMicro()) / 1e6
	}
	seconds := min(claims.Ends-claims.Made, maxSessionLife.Seconds())
	if life := time.Duration(seconds * float64(time.Second)); life > 0 {
		return life
	}
	return sessionLife
}
