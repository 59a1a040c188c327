package outbound

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"consentsync/internal/consent"
	"consentsync/internal/telemetry"
)

// Request is one call to an API that speaks JSON.
type Request struct {
	Op            string // names the call in errors and traces
	Method, URL   string
	Authorization string    // none when empty
	Accept        string    // application/json when empty
	Body          io.Reader // nil for none
	Size          int64     // of the body
	ContentType   string    // of the body; application/json when empty
}

// Send makes a call, in a span of its own within that of ctx, and gives its answer, whatever the status; the caller closes
// it. The error is Unauthorized when the URL cannot be read, Transient when the
// call was not sent or is a GET, which changes nothing, and otherwise Unclear.
func Send(ctx context.Context, hc *http.Client, r Request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, nil)
	if err != nil {
		return nil, consent.Errorf(consent.Unauthorized, r.Op, "the base URL cannot be read")
	}
	if r.Body != nil {
		// A body that is set here has no GetBody, so that net/http cannot repeat
		// the call by itself, whichever transport the client was given.
		req.Body, req.ContentLength = io.NopCloser(r.Body), r.Size
		req.Header.Set("Content-Type", cmp.Or(r.ContentType, jsonType))
	}
	req.Header.Set("Accept", cmp.Or(r.Accept, jsonType))
	if r.Authorization != "" {
		req.Header.Set("Authorization", r.Authorization)
	}
	ctx, span := telemetry.Call(ctx, r.Op, slog.String("http.request.method", r.Method), slog.String("server.address", req.URL.Hostname()))
	defer span.End()
	resp, err := hc.Do(req.WithContext(ctx))
	if err == nil {
		span.Set(slog.Int("http.response.status_code", resp.StatusCode))
		if resp.StatusCode >= http.StatusBadRequest {
			span.Fail(strconv.Itoa(resp.StatusCode))
		}
		return resp, nil
	}
	e := Classify(r.Op, err)
	if e.Kind == consent.Unclear && r.Method == http.MethodGet {
		e.Kind, e.Message = consent.Transient, "the connection failed, or no answer came in time"
	}
	span.Fail(e.Kind.String())
	return nil, e
}

const jsonType = "application/json"

// WithoutRedirects gives a client like hc that follows no redirect, which would
// carry a call, and perhaps its token, to another place. It gives New's strict
// one for nil.
func WithoutRedirects(hc *http.Client) *http.Client {
	if hc == nil {
		return New(Options{})
	}
	plain := *hc
	plain.CheckRedirect = stay
	return &plain
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
