package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"

	"consentsync/internal/consent"
)

// Classify turns the error of http.Client.Do into the project's error. The
// kind is Transient when the request was certainly not sent: no connection was
// ever obtained for it, because of the pace, the guard, the name, the network,
// TLS or the context. It is Unclear for everything else. The URL, in which
// people's identifiers may stand, is left out.
func Classify(op string, err error) *consent.Error {
	e := &consent.Error{
		Kind: consent.Unclear, Op: op, Err: withoutURL(err), RetryAfter: consent.RetryAfter(err),
		Message: "the connection failed, or no answer came in time, after the request may have been sent",
	}
	if notSent(err) {
		e.Kind = consent.Transient
		e.Message = reason(err)
	}
	return e
}

// notSent trusts our own transport's record. For an error of another transport
// it goes by the errors that can only arise while connecting.
func notSent(err error) bool {
	if exchange, ok := errors.AsType[*exchangeError](err); ok {
		return !exchange.connected
	}
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var op *net.OpError
	return errors.Is(err, ErrRefused) || errors.As(err, &dns) || errors.As(err, &cert) ||
		errors.As(err, &op) && op.Op == "dial"
}

// reason says in a few words what stopped a request that was not sent. The
// address behind a name is kept for the logs: told to whoever typed the name,
// it would map the private network.
func reason(err error) string {
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, ErrRefused):
		return "the host has a private or reserved address, which this server is set up not to call; nothing was sent"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "the call was given up before a connection was made; nothing was sent"
	case errors.As(err, &dns):
		return "the host name cannot be resolved; nothing was sent"
	case errors.As(err, &cert):
		return "the host's TLS certificate is not valid; nothing was sent"
	case errors.As(err, &alert), errors.As(err, &record):
		return "no TLS connection could be agreed on with the host; nothing was sent"
	}
	return "no connection to the host could be made; nothing was sent"
}

// withoutURL takes off net/http's wrapping, whose text shows the whole URL.
func withoutURL(err error) error {
	var wrapped *url.Error
	for errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return err
}
