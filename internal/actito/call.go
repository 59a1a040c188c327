package actito

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"strconv"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

const (
	maxAnswer  = 8 << 20
	maxRefusal = 16 << 10 // of the body of a refusal
)

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
	if req.writes() {
		// The status alone is the answer. The body is read, as far as it is
		// short, to keep the connection, and for the profile's id.
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		resp.Body.Close()
		return body, nil
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

// do sends a request and gives the answer if that is a success; the caller
// closes it.
func (c *Client) do(ctx context.Context, req call, token string) (*http.Response, error) {
	hr, err := http.NewRequestWithContext(ctx, req.method, c.base+req.path, nil)
	if err != nil {
		return nil, errBaseURL(req.op)
	}
	hr.Header.Set("Authorization", "Bearer "+token)
	hr.Header.Set("Accept", cmp.Or(req.accept, "application/json"))
	// Bodies are set without GetBody, so that net/http cannot repeat a write by
	// itself, whichever transport the client was given.
	switch {
	case req.upload != nil:
		hr.Body = io.NopCloser(req.upload.open())
		hr.ContentLength = req.upload.size
		hr.Header.Set("Content-Type", req.upload.contentType)
	case req.body != nil:
		hr.Body = io.NopCloser(bytes.NewReader(req.body))
		hr.ContentLength = int64(len(req.body))
		hr.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.hc.Do(hr)
	if err != nil {
		e := outbound.Classify(req.op, err)
		if !req.writes() && e.Kind == consent.Unclear {
			e.Kind = consent.Transient
			e.Message = "the connection failed, or no answer came in time"
		}
		return nil, e
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
	e.Kind, e.Message = meaning(resp.StatusCode, req.writes())
	switch e.Kind {
	case consent.RateLimited, consent.Transient:
		e.RetryAfter = outbound.RetryAfter(resp.Header.Get("Retry-After"), c.now())
	case consent.Invalid, consent.Conflict, consent.Forbidden, consent.NotFound:
		secrets := append([]string{c.apiKey, token}, req.private...)
		if req.upload != nil {
			secrets = append(secrets, req.upload.private(string(body))...)
		}
		if said := outbound.Excerpt(string(body), secrets); said != "" {
			e.Message += "; Actito says: " + said
		}
	}
	return e
}

// meaning says what a status that is not 2xx tells about the call. The message
// begins with who has to act where that is clear.
func meaning(status int, write bool) (consent.Kind, string) {
	code := " (" + strconv.Itoa(status) + ")"
	switch {
	case status == http.StatusUnauthorized:
		return consent.Unauthorized, "Actito refuses the access token, even a fresh one" + code
	case status == http.StatusForbidden:
		return consent.Forbidden, "the API key lacks a right for this operation" + code
	case status == http.StatusNotFound:
		return consent.NotFound, "Actito does not find it, or hides it" + code
	case status == http.StatusConflict:
		return consent.Conflict, "it contradicts something that Actito holds" + code
	case status == http.StatusTooManyRequests:
		return consent.RateLimited, "too many calls at once, or too many today" + code
	case status == http.StatusServiceUnavailable:
		return consent.Transient, "Actito is not available" + code
	case status >= 500 || status == http.StatusRequestTimeout:
		if write {
			return consent.Unclear, "Actito failed, perhaps after it applied the change" + code
		}
		return consent.Transient, "Actito failed" + code
	case status == http.StatusLocked || status == http.StatusTooEarly || status == http.StatusFailedDependency:
		return consent.Transient, "Actito cannot do it now" + code
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity || status == http.StatusRequestEntityTooLarge:
		return consent.Invalid, "Actito refuses the request" + code
	case status >= 400:
		// It is not this profile's data that is refused.
		return consent.Forbidden, "Actito does not take this kind of request; check the base URL" + code
	}
	return consent.Forbidden, "Actito answers with a redirect, which is not followed; check the base URL" + code
}

func errBaseURL(op string) *consent.Error {
	return consent.Errorf(consent.Unauthorized, op, "the base URL of Actito cannot be read")
}
