package didomi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

const (
	maxAnswer  = 8 << 20
	maxRefusal = 16 << 10 // of the body of a refusal
)

// Client talks to Didomi's API for one organization, with one API key. It is
// safe for concurrent use.
type Client struct {
	hc           *http.Client
	base         string
	organization string
	key, secret  string
	now          func() time.Time
	tokens       *outbound.Tokens
}

// Option changes a client at its making.
type Option func(*Client)

// WithClock makes the client take the time from now.
func WithClock(now func() time.Time) Option {
	return func(c *Client) { c.now = now }
}

// NewClient makes a client. The base URL, like https://api.didomi.io/v1, is one
// that outbound.ValidateBaseURL gave. A nil hc means outbound.New with its
// defaults.
func NewClient(hc *http.Client, baseURL, organization, key, secret string, opts ...Option) *Client {
	if hc == nil {
		hc = outbound.New(outbound.Options{})
	}
	plain := *hc
	// A redirect would carry the secret, or people's choices, to another place.
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := &Client{
		hc: &plain, base: strings.TrimRight(baseURL, "/"), organization: strings.TrimSpace(organization),
		key: strings.TrimSpace(key), secret: strings.TrimSpace(secret), now: time.Now,
	}
	for _, opt := range opts {
		opt(c)
	}
	c.tokens = outbound.NewTokens(sessionOp, c.now, c.fetchSession)
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

// do sends a call and gives the answer if that is a success; the caller closes
// it. The error says whether the call may have been applied.
func (c *Client) do(ctx context.Context, req call, token string) (*http.Response, *consent.Error) {
	method := http.MethodGet
	if req.body != nil {
		method = http.MethodPost
	}
	hr, err := http.NewRequestWithContext(ctx, method, c.base+req.path, nil)
	if err != nil {
		return nil, consent.Errorf(consent.Unauthorized, req.op, "the base URL of Didomi cannot be read")
	}
	if req.body != nil {
		// The body is set without GetBody, so that net/http cannot repeat the
		// call by itself, whichever transport the client was given.
		hr.Body = io.NopCloser(bytes.NewReader(req.body))
		hr.ContentLength = int64(len(req.body))
		hr.Header.Set("Content-Type", "application/json")
	}
	hr.Header.Set("Accept", "application/json")
	if token != "" {
		hr.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.hc.Do(hr)
	if err != nil {
		return nil, outbound.Classify(req.op, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, c.refusal(req, resp, token)
	}
	return resp, nil
}

// refusal turns an answer that is not a success into an error, and closes it.
func (c *Client) refusal(req call, resp *http.Response, token string) *consent.Error {
	// What cannot be read of the body is only missing from the message.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	resp.Body.Close()
	e := &consent.Error{Op: req.op, Err: outbound.Status(resp.StatusCode)}
	e.Kind, e.Message = meaning(resp.StatusCode)
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

// meaning says what a status that is not 2xx tells about a call. Of a 5xx it is
// never certain that nothing was applied: which part of Didomi gives it is not
// documented.
func meaning(status int) (consent.Kind, string) {
	code := " (" + strconv.Itoa(status) + ")"
	switch {
	case status == http.StatusUnauthorized:
		return consent.Unauthorized, "Didomi refuses the access token, even a fresh one" + code
	case status == http.StatusForbidden:
		return consent.Forbidden, "the API key lacks the right for this, or belongs to another organization" + code
	case status == http.StatusConflict:
		return consent.Conflict, "it contradicts something that Didomi holds" + code
	case status == http.StatusTooManyRequests:
		return consent.RateLimited, "too many calls" + code
	case status >= 500 || status == http.StatusRequestTimeout:
		return consent.Unclear, "Didomi failed, perhaps after it applied the call" + code
	case status == http.StatusLocked || status == http.StatusTooEarly || status == http.StatusFailedDependency:
		return consent.Transient, "Didomi cannot do it now" + code
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity || status == http.StatusRequestEntityTooLarge:
		return consent.Invalid, "Didomi refuses the request" + code
	case status >= 400:
		return consent.Forbidden, "Didomi does not take this kind of request; check the base URL" + code
	}
	return consent.Forbidden, "Didomi answers with a redirect, which is not followed; check the base URL" + code
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
