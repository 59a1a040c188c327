package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"consentsync/internal/reply"
)

// client calls the API of a running server as the platform administrator. Its
// errors are sentences that say what to do; they never hold the token.
type client struct {
	url, token string
	patience   time.Duration // of a call; 0 is answerTime
}

const (
	// answerTime bounds one call; the API makes none that waits for Actito where
	// a client only reads.
	answerTime = 30 * time.Second
	// longAnswer bounds one that waits for Actito, or looks at everybody.
	longAnswer = 2 * time.Minute
)

// mostAnswer bounds what is read of an answer. A page of integrations with large
// tables is some megabytes.
const mostAnswer = 64 << 20

// refused is an answer of the API that says no.
type refused struct {
	status  int
	message string
}

func (r *refused) Error() string { return r.message }

// tooBusy tells whether the same may work in a moment.
func tooBusy(err error) bool {
	r, ok := errors.AsType[*refused](err)
	return ok && r.status == http.StatusServiceUnavailable
}

// notFound tells whether the server knows nothing of what was asked for.
func notFound(err error) bool {
	r, ok := errors.AsType[*refused](err)
	return ok && r.status == http.StatusNotFound
}

// follows no redirect: the token is for the address that was given.
var plainHTTP = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// ask makes one call and reads the answer into out, if there is one. It gives
// the server's time, which all times in the answer are to be compared with.
func (c *client) ask(ctx context.Context, method, path string, in, out any) (time.Time, error) {
	if in == nil {
		return c.send(ctx, method, path, nil, out)
	}
	text, err := json.Marshal(in)
	if err != nil {
		return time.Time{}, err
	}
	return c.send(ctx, method, path, bytes.NewReader(text), out)
}

// send is ask with a body as it is.
func (c *client) send(ctx context.Context, method, path string, body io.Reader, out any) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.patience, answerTime))
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(c.url, "/")+path, body)
	if err != nil {
		return time.Time{}, err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := plainHTTP.Do(r)
	if err != nil {
		return time.Time{}, c.unreachable(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return time.Time{}, c.unreachable(err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return time.Time{}, c.refusal(resp, answer)
	}
	at, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		at = time.Now()
	}
	if out == nil {
		return at, nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return at, c.stranger(resp)
	}
	return at, nil
}

// errNoServer says that nothing answers.
var errNoServer = errors.New("no server can be reached")

func (c *client) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	why := err
	if u, ok := errors.AsType[*url.Error](err); ok {
		why = u.Err // without the address, which stands in the sentence already
	}
	return fmt.Errorf("%w at %s: %w. Is it running? Its address goes into --url or CONSENTSYNC_URL", errNoServer, c.url, why)
}

// stranger is the error of an answer that consentsync would not give.
func (c *client) stranger(resp *http.Response) error {
	return fmt.Errorf("what answers at %s is not a consentsync server of this version (%s %s: %s): check --url or CONSENTSYNC_URL",
		c.url, resp.Request.Method, resp.Request.URL.Path, resp.Status)
}

func (c *client) refusal(resp *http.Response, answer []byte) error {
	var e reply.Envelope
	if json.Unmarshal(answer, &e) != nil || e.Code != resp.StatusCode || e.Message == "" {
		return c.stranger(resp)
	}
	message := fmt.Sprintf("the server at %s answers: %s", c.url, printable(e.Message))
	if len(e.Errors) > 1 {
		message += "\n" + problems("", e.Errors).Error()
	}
	if e.Code == http.StatusUnauthorized {
		message = fmt.Sprintf("the server at %s refuses the administrator's token: set CONSENTSYNC_ADMIN_TOKEN to the one it was started with, "+
			"or unset it and give the server's data directory with --data", c.url)
	}
	return &refused{resp.StatusCode, message}
}
