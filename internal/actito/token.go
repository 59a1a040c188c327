package actito

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

const (
	tokenOp = "actito.token"
	// tokenLife is what Actito documents.
	tokenLife = 15 * time.Minute
)

// Fingerprint names an API key without telling it: the first 12 hexadecimal
// digits of a hash. White space around the key does not count.
func Fingerprint(apiKey string) string {
	sum := sha256.Sum256([]byte("consentsync/actito/api-key\x00" + strings.TrimSpace(apiKey)))
	return hex.EncodeToString(sum[:])[:12]
}

// fetchToken makes the token call. No failure of it means that a profile is
// missing or its data wrong, so its errors are only Unauthorized (somebody must
// correct the settings), RateLimited and Transient.
func (c *Client) fetchToken(ctx context.Context) (string, time.Duration, error) {
	resp, err := outbound.Send(ctx, c.hc, outbound.Request{
		Op: tokenOp, Method: http.MethodGet, URL: c.base + "/auth/token", Authorization: c.apiKey, // raw, without a scheme
	})
	if err != nil {
		return "", 0, err
	}
	if resp.StatusCode/100 != 2 {
		e := c.refusal(call{op: tokenOp, method: http.MethodGet}, resp, "")
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
