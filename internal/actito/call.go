package actito

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

const maxAnswer = 8 << 20

// call is one call as a dialect builds it.
type call struct {
	op     string
	method string
	path   string // encoded, begins with a slash
	body   []byte
	upload *upload // the body, where it is a file
	accept string  // application/json when empty
	// private holds the values sent, which must not come back in an error.
	private []string
}

// upload is a body of known length that is read anew for each attempt.
type upload struct {
	contentType string
	size        int64
	open        func() io.Reader
	// private gives those of the values in the file that a text repeats.
	private func(text string) []string
}

func (r call) writes() bool { return r.method != http.MethodGet }

// call makes a call with a token. It gives the body of a read's answer.
func (c *Client) call(ctx context.Context, req call) (body []byte, err error) {
	err = c.tokens.Try(ctx, func(token string) error {
		body, err = c.send(ctx, req, token)
		return err
	})
	return body, err
}

func (c *Client) send(ctx context.Context, req call, token string) ([]byte, error) {
	resp, err := c.do(ctx, req, token)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if req.writes() {
		// The status alone is the answer; the body may tell the profile's id.
		return outbound.ReadBrief(resp), nil
	}
	body, err := outbound.ReadBody(resp, maxAnswer)
	return body, brokenOff(req.op, err)
}

// brokenOff is the error of a read whose answer could not be had whole.
func brokenOff(op string, err error) error {
	if err == nil || consent.KindOf(err) == consent.TooLarge {
		return err
	}
	return &consent.Error{Kind: consent.Transient, Op: op, Err: err, Message: "Actito's answer broke off"}
}

// do makes a call and gives the answer if that is a success; the caller closes
// it.
func (c *Client) do(ctx context.Context, req call, token string) (*http.Response, error) {
	out := outbound.Request{
		Op: req.op, Method: req.method, URL: c.base + req.path, Authorization: "Bearer " + token, Accept: req.accept,
	}
	switch {
	case req.upload != nil:
		out.Body, out.Size, out.ContentType = req.upload.open(), req.upload.size, req.upload.contentType
	case req.body != nil:
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
	body := string(outbound.ReadBrief(resp))
	e := &consent.Error{Op: req.op, Err: outbound.Status(resp.StatusCode)}
	e.Kind, e.Message = meaning(resp.StatusCode, req.writes())
	switch e.Kind {
	case consent.RateLimited, consent.Transient:
		e.RetryAfter = outbound.RetryAfter(resp.Header.Get("Retry-After"), c.now())
	case consent.Invalid, consent.Conflict, consent.Forbidden, consent.NotFound:
		secrets := append([]string{c.apiKey, token}, req.private...)
		if req.upload != nil {
			secrets = append(secrets, req.upload.private(body)...)
		}
		if said := outbound.Excerpt(body, secrets); said != "" {
			e.Message += "; Actito says: " + said
		}
	}
	return e
}

// meaning says what a status that is not 2xx tells about a call. That a 503
// means that nothing was applied is our reading; Actito documents none.
func meaning(status int, write bool) (consent.Kind, string) {
	switch status {
	case http.StatusTooManyRequests:
		return consent.RateLimited, "too many calls at once, or too many today (429)"
	case http.StatusServiceUnavailable:
		return consent.Transient, "Actito is not available (503)"
	}
	return outbound.Meaning("Actito", status, write)
}
