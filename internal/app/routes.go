package app

import (
	"log/slog"
	"net/http"

	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/reply"
	"consentsync/internal/routes"
)

// guard serves the routes of mux. It keeps one request's panic from the
// others, gives unknown addresses and methods the envelope that all errors
// have, and tells clients not to guess content types.
func guard(mux *routes.Mux, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { //nolint:contextcheck // a panic is answered under the request's own context
			if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a panic value, not an error chain
				log.ErrorContext(r.Context(), "a request panicked", "pattern", r.Pattern, "panic", p)
				reply.Error(w, nil)
			}
		}()
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if h, pattern := mux.Handler(r); pattern == "" {
			unknown(w, r, h)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// unknown answers a request that no route takes. What the mux would answer
// tells whether it is the address or the method that is wrong.
func unknown(w http.ResponseWriter, r *http.Request, mux http.Handler) {
	answer := &statusOnly{header: w.Header(), status: http.StatusOK}
	mux.ServeHTTP(answer, r)
	e := reply.Envelope{Code: answer.status, Errors: map[string]string{}}
	switch answer.status {
	case http.StatusMethodNotAllowed:
		e.Name, e.Message = "MethodNotAllowed", r.Method+" is not possible here; possible: "+w.Header().Get("Allow")
	default:
		e.Code, e.Name, e.Message = http.StatusNotFound, "NotFound", "there is nothing at this address"
	}
	reply.JSON(w, e.Code, e)
}

// statusOnly is a ResponseWriter that keeps the status and the headers.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }
func (s *statusOnly) Write(p []byte) (int, error) { return len(p), nil }

// addresses are those of proxies whose word is taken, and those from which Didomi
// may call.
func (c *Config) addresses() (proxies, didomi incoming.Addresses, err error) {
	if proxies, err = incoming.ParseAddresses(c.TrustedProxies); err != nil {
		return nil, nil, err
	}
	didomi, err = incoming.ParseAddresses(c.DidomiAddresses)
	return proxies, didomi, err
}

// refuseSource answers calls of Didomi's that do not come from it.
func (a *App) refuseSource(w http.ResponseWriter, r *http.Request) {
	source := incoming.Source(r)
	a.log.WarnContext(r.Context(), "a call came from an address that is not among --didomi-addresses", "pattern", r.Pattern, "source", source)
	reply.Error(w, consent.Errorf(consent.Forbidden, "app", "calls from %s are not taken here", source))
}
