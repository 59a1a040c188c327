package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// DidomiOptions says where a simulated Didomi sends its webhooks and how.
type DidomiOptions struct {
	// Target is the URL that webhooks are posted to.
	Target string
	// TokenURL of the receiver's authorization server; empty sends no token.
	TokenURL, ClientID, ClientSecret, Scope string
	// Headers are sent along with every webhook.
	Headers map[string]string
	// Flatten sends payloads in their flat form.
	Flatten bool
	// Retries are the waits before each further attempt. By default there are
	// five, of five minutes together; an empty list that is not nil is none.
	Retries []time.Duration

	// HTTP is a client of ten seconds' patience by default.
	HTTP *http.Client
	// Now and Sleep replace the clock.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

// Didomi sends webhooks as Didomi does: by POST, as a client of the receiver's
// authorization server, again while the receiver does not take them
// (https://developers.didomi.io/integrations/generic-integrations/webhooks). It
// is safe for concurrent use and promises no order.
type Didomi struct {
	opts DidomiOptions

	mu      sync.Mutex
	token   string
	expires time.Time
}

// SendError is returned when a webhook was not taken in all attempts.
type SendError struct {
	Attempts int
	// Status is the last one answered, 0 if the last attempt got no answer.
	Status int
	Err    error
}

func (e *SendError) Error() string {
	return fmt.Sprintf("simulator: webhook not taken after %d attempts: %v", e.Attempts, e.Err)
}

// Unwrap gives the failure of the last attempt.
func (e *SendError) Unwrap() error { return e.Err }

// NewDidomi makes a sender of webhooks.
func NewDidomi(opts DidomiOptions) *Didomi {
	if opts.HTTP == nil {
		opts.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Sleep == nil {
		opts.Sleep = sleep
	}
	if opts.Retries == nil {
		opts.Retries = []time.Duration{
			10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 150 * time.Second,
		}
	}
	return &Didomi{opts: opts}
}

// Send posts a payload until it is taken and returns a [*SendError] if it never
// is. After that Didomi would keep it in a store that nobody can reach.
func (d *Didomi) Send(ctx context.Context, payload map[string]any) error {
	if d.opts.Flatten {
		payload = Flatten(payload)
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return fmt.Errorf("simulator: encode webhook: %w", err)
	}
	return d.SendBytes(ctx, body)
}

// SendBytes posts a body as it is, as Send does.
func (d *Didomi) SendBytes(ctx context.Context, body []byte) error {
	for attempt := 1; ; attempt++ {
		status, err := d.attempt(ctx, body)
		if err == nil {
			return nil
		}
		failed := &SendError{Attempts: attempt, Status: status, Err: err}
		if attempt > len(d.opts.Retries) || ctx.Err() != nil {
			return failed
		}
		if d.opts.Sleep(ctx, d.opts.Retries[attempt-1]) != nil {
			return failed
		}
	}
}

// attempt posts once, or twice when the first token is rejected.
func (d *Didomi) attempt(ctx context.Context, body []byte) (int, error) {
	for try := 1; ; try++ {
		token, err := d.bearer(ctx)
		if err != nil {
			return 0, err
		}
		status, err := d.post(ctx, body, token)
		if status != http.StatusUnauthorized || token == "" || try == 2 {
			return status, err
		}
		d.forget(token)
	}
}

func (d *Didomi) post(ctx context.Context, body []byte, token string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.opts.Target, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range d.opts.Headers {
		req.Header.Set(name, value)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := d.opts.HTTP.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	if resp.StatusCode/100 != 2 {
		return resp.StatusCode, fmt.Errorf("the receiver answered %s", resp.Status)
	}
	return resp.StatusCode, nil
}

// bearer gives a token that has not expired, a new one if need be, or none when
// no authorization server is configured.
func (d *Didomi) bearer(ctx context.Context) (string, error) {
	if d.opts.TokenURL == "" {
		return "", nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.token != "" && d.opts.Now().Before(d.expires) {
		return d.token, nil
	}
	token, life, err := d.fetchToken(ctx)
	if err != nil {
		return "", fmt.Errorf("fetch token: %w", err)
	}
	d.token, d.expires = token, d.opts.Now().Add(life)
	return token, nil
}

func (d *Didomi) forget(token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.token == token {
		d.token = ""
	}
}

// fetchToken asks for a token with client credentials in a form (RFC 6749,
// section 4.4).
func (d *Didomi) fetchToken(ctx context.Context) (token string, life time.Duration, err error) {
	form := url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {d.opts.ClientID},
		"client_secret": {d.opts.ClientSecret},
	}
	if d.opts.Scope != "" {
		form.Set("scope", d.opts.Scope)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.opts.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := d.opts.HTTP.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", 0, fmt.Errorf("the authorization server answered %s", resp.Status)
	}
	var out struct {
		AccessToken string  `json:"access_token"`
		TokenType   string  `json:"token_type"`
		ExpiresIn   float64 `json:"expires_in"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&out); err != nil {
		return "", 0, err
	}
	if out.AccessToken == "" || !strings.EqualFold(out.TokenType, "bearer") {
		return "", 0, errors.New("the answer holds no bearer token")
	}
	return out.AccessToken, time.Duration(out.ExpiresIn * float64(time.Second)), nil
}
