package didomi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

const maxAnswer = 8 << 20

// Client talks to Didomi's API for one organization, with one API key. It is
// safe for concurrent use.
type Client struct {
	hc           *http.Client
	base         string
	organization string
	key, secret  string
	now          func() time.Time // time.Now but in tests
	tokens       *outbound.Tokens
}

// NewClient makes a client. The base URL, like https://api.didomi.io/v1, is one
// that outbound.ValidateBaseURL gave. A nil hc means outbound.New with its
// defaults.
func NewClient(hc *http.Client, baseURL, organization, key, secret string) *Client {
	c := &Client{
		hc: outbound.WithoutRedirects(hc), base: strings.TrimRight(baseURL, "/"), organization: strings.TrimSpace(organization),
		key: strings.TrimSpace(key), secret: strings.TrimSpace(secret), now: time.Now,
	}
	c.tokens = outbound.NewTokens(sessionOp, func() time.Time { return c.now() }, c.fetchSession)
	return c
}

// String names the client without its secrets.
func (c *Client) String() string {
	host := "?"
	if u, err := url.Parse(c.base); err == nil {
		host = u.Host
	}
	return fmt.Sprintf("didomi.Client(%s, organization %s, key %s)", host, c.organization, Fingerprint(c.key, c.secret))
}

// GoString is what %#v prints.
func (c *Client) GoString() string { return c.String() }

// call is one call: a post of JSON, or without a body a read.
type call struct {
	op   string
	path string // with the query, begins with a slash
	body []byte
	// private holds the values sent, which must not come back in an error.
	private []string
}

func (r call) method() string {
	if r.body != nil {
		return http.MethodPost
	}
	return http.MethodGet
}

// do makes a call, without a token where that is empty, and gives the answer if
// that is a success; the caller closes it.
func (c *Client) do(ctx context.Context, req call, token string) (*http.Response, error) {
	out := outbound.Request{Op: req.op, Method: req.method(), URL: c.base + req.path}
	if token != "" {
		out.Authorization = "Bearer " + token
	}
	if req.body != nil {
		out.Body, out.Size = bytes.NewReader(req.body), int64(len(req.body))
	}
	resp, err := outbound.Send(ctx, c.hc, out)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, c.refusal(req, resp, token)
	}
	return resp, nil
}

// refusal turns an answer that is not a success into an error, and closes it.
func (c *Client) refusal(req call, resp *http.Response, token string) *consent.Error {
	defer resp.Body.Close()
	body := outbound.ReadBrief(resp)
	e := &consent.Error{Op: req.op, Err: outbound.Status(resp.StatusCode)}
	e.Kind, e.Message = meaning(resp.StatusCode, req.body != nil)
	switch e.Kind {
	case consent.RateLimited, consent.Transient, consent.Unclear:
		e.RetryAfter = retryAfter(resp, c.now())
		return e
	case consent.Unauthorized:
		return e
	case consent.Invalid:
		if saysExists(body) {
			e.Kind = consent.Conflict
		}
	}
	if said := outbound.Excerpt(string(body), append([]string{c.key, c.secret, token}, req.private...)); said != "" {
		e.Message += "; Didomi says: " + said
	}
	return e
}

// meaning says what a status that is not 2xx tells about a call.
func meaning(status int, write bool) (consent.Kind, string) {
	switch status {
	case http.StatusForbidden:
		return consent.Forbidden, "the API key lacks the right for this, or belongs to another organization (403)"
	case http.StatusNotFound:
		return consent.Forbidden, "Didomi does not take this kind of request; check the base URL (404)"
	}
	return outbound.Meaning("Didomi", status, write)
}

// retryAfter gives the wait that an answer asks for: its Retry-After, or when
// the window of its rate limit begins anew.
func retryAfter(resp *http.Response, now time.Time) time.Duration {
	wait := outbound.RetryAfter(resp.Header.Get("Retry-After"), now)
	if wait > 0 || resp.StatusCode != http.StatusTooManyRequests {
		return wait
	}
	for part := range strings.FieldsFuncSeq(resp.Header.Get("RateLimit"), func(r rune) bool { return r == ',' || r == ';' }) {
		if reset, ok := strings.CutPrefix(strings.TrimSpace(part), "reset="); ok {
			return outbound.RetryAfter(reset, now)
		}
	}
	return 0
}

// existing is narrow on purpose: a refusal of another sort that is taken for
// this one would lose an event.
var existing = regexp.MustCompile(`(?i)\bevents?\b[^.]*\balready (exists?|been (created|imported))\b`)

// saysExists tells whether a refusal says that the event is there already.
func saysExists(body []byte) bool {
	var answer struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &answer) == nil && answer.Message != "" {
		return existing.MatchString(answer.Message)
	}
	return existing.MatchString(outbound.Readable(string(body)))
}
