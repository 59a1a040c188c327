// Package outbound makes every HTTP call that leaves the program.
//
// It guarantees three things. A call reaches a public address only: the
// address is checked when it is dialled, after the name was resolved, so that
// no name, redirect or change of DNS leads into the private network. A request
// that may have left is never sent a second time behind the caller's back.
// And a failed call is known to be either certainly not sent or possibly sent
// (see Classify).
//
// Beside it stands what every client of an API with access tokens needs: Send,
// Tokens, and what a refusal means and what may be told of it.
package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/telemetry"
)

// Options are the settings of a client. The zero value is the strict one.
type Options struct {
	// AllowPrivateNetworks lets calls reach loopback and private addresses.
	// Link-local and cloud metadata addresses stay refused.
	AllowPrivateNetworks bool
	// UserAgent is sent where a request names none.
	UserAgent string
	// DialTimeout limits the making of a TCP connection; zero means 10 s.
	DialTimeout time.Duration
	// HeaderTimeout limits the wait for the head of the answer; zero means
	// 90 s. It is long because an API that throttles by answering slowly, as
	// Actito does, would otherwise turn each throttled call into an unclear one.
	HeaderTimeout time.Duration
	// Timeout limits one whole exchange, counted from the end of the pace's
	// wait to the last byte of the answer; zero means 2 min. What carries a file
	// needs longer: see WithTimeout.
	Timeout time.Duration
	// Network replaces the network, for simulations; nothing is dialled then.
	Network http.RoundTripper
}

// New makes a client. It follows no redirect: a 3xx comes back as an answer.
//
// It takes no proxy from the environment. Through a proxy the guard would see
// the proxy's address only, and the name would be resolved out of its sight; a
// stray HTTPS_PROXY must not be able to switch the guard off.
//
// It speaks HTTP/1.1 only. With HTTP/2 all calls to a host share one
// connection, whose loss makes all of them unclear at once, and net/http
// repeats some requests that the other side has seen.
func New(o Options) *http.Client {
	dialer := &net.Dialer{
		Timeout:   or(o.DialTimeout, 10*time.Second),
		KeepAlive: 30 * time.Second,
		Control:   control(o.AllowPrivateNetworks),
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	base := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  or(o.HeaderTimeout, 90*time.Second),
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConns:           128,
		MaxIdleConnsPerHost:    8,
		// Shorter than the usual 60 s of servers and balancers, so that it is
		// mostly we who close first and no request meets a closing connection.
		IdleConnTimeout: 45 * time.Second,
		Protocols:       protocols,
	}
	var network http.RoundTripper = base
	if o.Network != nil {
		network = o.Network
	}
	return &http.Client{
		Transport: &transport{
			base: network, userAgent: o.UserAgent, timeout: or(o.Timeout, 2*time.Minute),
		},
		CheckRedirect: stay,
	}
}

func or(d, fallback time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return fallback
}

type paceKey struct{}

// WithPace makes every request under the context wait for the pace first. A
// pace that gives an error stops the request, which is then certainly not
// sent. A second pace replaces the first. The wait is limited by the context
// alone: no time-out of the client counts it.
//
// One call is not seen by the pace: the repetition by net/http of a GET whose
// kept connection turned out to be closed.
func WithPace(ctx context.Context, pace func(context.Context) error) context.Context {
	return context.WithValue(ctx, paceKey{}, pace)
}

type timeoutKey struct{}

// WithTimeout gives every request under the context a time-out of its own in the
// place of Options.Timeout. It does not lengthen the wait for the head of the
// answer, which begins when the whole request has been sent.
func WithTimeout(ctx context.Context, timeout time.Duration) context.Context {
	return context.WithValue(ctx, timeoutKey{}, timeout)
}

// Exchange is one request as it went.
type Exchange struct {
	Writes bool          // it was no GET and no HEAD
	Took   time.Duration // from the end of the pace's wait to the head of the answer
	Status int           // 0 when there was no answer
}

type meterKey struct{}

// WithMeter has meter told of every request under the context once its head was
// answered, or it failed. A request that was certainly not sent is not told.
func WithMeter(ctx context.Context, meter func(Exchange)) context.Context {
	return context.WithValue(ctx, meterKey{}, meter)
}

func measure(req *http.Request, began time.Time, resp *http.Response) {
	meter, ok := req.Context().Value(meterKey{}).(func(Exchange))
	if !ok || meter == nil {
		return
	}
	e := Exchange{Writes: req.Method != http.MethodGet && req.Method != http.MethodHead, Took: time.Since(began)}
	if resp != nil {
		e.Status = resp.StatusCode
	}
	meter(e)
}

type transport struct {
	base      http.RoundTripper
	userAgent string
	timeout   time.Duration
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if pace, ok := ctx.Value(paceKey{}).(func(context.Context) error); ok && pace != nil {
		if err := pace(ctx); err != nil {
			if req.Body != nil {
				req.Body.Close()
			}
			return nil, &exchangeError{err: err}
		}
		telemetry.Happened(ctx, "the budget allows it")
	}
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	timeout, ok := ctx.Value(timeoutKey{}).(time.Duration)
	if !ok {
		timeout = t.timeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	out := req.WithContext(ctx)
	if t.userAgent != "" && req.Header.Get("User-Agent") == "" {
		out.Header = req.Header.Clone()
		out.Header.Set("User-Agent", t.userAgent)
	}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		// net/http repeats a request on a new connection when a kept one fails
		// and it thinks that harmless. It can repeat a body only through
		// GetBody, so without it nothing that changes data is ever sent twice:
		// the caller learns of the failure and reads back instead. GET and
		// HEAD change nothing and may be repeated.
		out.GetBody = nil
	}
	began := time.Now()
	resp, err := t.base.RoundTrip(out)
	if err == nil || connected.Load() {
		measure(req, began, resp)
	}
	if err != nil {
		cancel()
		return nil, &exchangeError{err: err, connected: connected.Load()}
	}
	resp.Body = &answer{ReadCloser: resp.Body, cancel: cancel}
	show(req, began, resp)
	return resp, nil
}

// CloseIdleConnections is called by http.Client's method of the same name.
func (t *transport) CloseIdleConnections() {
	if base, ok := t.base.(*http.Transport); ok {
		base.CloseIdleConnections()
	}
}

// answer ends the exchange's time-out when its body is closed.
type answer struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (a *answer) Close() error {
	defer a.cancel()
	return a.ReadCloser.Close()
}

// ReadBrief reads an answer as far as it is short, which keeps the connection
// for the next call. What cannot be read is missing.
func ReadBrief(resp *http.Response) []byte {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return body
}

// ReadBody reads the whole answer and closes it. An answer of more than limit
// bytes, after decompression, is an error of kind TooLarge.
func ReadBody(resp *http.Response, limit int64) ([]byte, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, withoutURL(err)
	}
	if int64(len(body)) > limit {
		return nil, consent.Errorf(consent.TooLarge, "outbound.ReadBody",
			"the answer is larger than %d bytes", limit)
	}
	return body, nil
}

// exchangeError says how far an exchange came before it failed.
type exchangeError struct {
	err       error
	connected bool // a connection was obtained, so bytes may have left
}

func (e *exchangeError) Error() string { return e.err.Error() }
func (e *exchangeError) Unwrap() error { return e.err }

// Timeout is asked by url.Error.
func (e *exchangeError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.err, &t) && t.Timeout()
}
