package auth

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/reply"
)

// Endpoint is the token endpoint of RFC 6749 for the client credentials grant
// (https://www.rfc-editor.org/rfc/rfc6749#section-4.4). How Didomi sends its
// credentials is not documented, so it takes them as HTTP Basic, in a form or
// in a JSON body. Its errors are both those of the RFC and our envelope.
type Endpoint struct {
	Clients Clients
	Tokens  *Tokens

	attempts Attempts
}

const mostTokenRequest = 16 << 10

func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	q, err := readTokenRequest(w, r)
	if err != nil {
		refuse(w, "invalid_request", err)
		return
	}
	if q.grantType != "client_credentials" {
		code := "unsupported_grant_type"
		if q.grantType == "" {
			code = "invalid_request"
		}
		refuse(w, code, incoming.RefuseField("grant_type", "must be client_credentials"))
		return
	}
	token, err := e.exchange(r.Context(), r, q)
	if err != nil {
		refuse(w, "invalid_client", err)
		return
	}
	reply.JSON(w, http.StatusOK, map[string]any{
		"access_token": token, "token_type": "Bearer", "expires_in": int(e.Tokens.Life().Seconds()),
	})
}

type tokenRequest struct{ grantType, clientID, clientSecret string }

func readTokenRequest(w http.ResponseWriter, r *http.Request) (q tokenRequest, err error) {
	body, err := incoming.Body(w, r, mostTokenRequest)
	if err != nil {
		return q, err
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media == "application/json" || bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) { // whatever the type says: no form begins like that
		var fields struct {
			GrantType    string `json:"grant_type"`
			ClientID     string `json:"client_id"`
			ClientSecret string `json:"client_secret"`
		}
		if err := json.Unmarshal(body, &fields); err != nil {
			return q, consent.Errorf(consent.Invalid, "auth", "the body is not a JSON object of texts")
		}
		q = tokenRequest{fields.GrantType, fields.ClientID, fields.ClientSecret}
	} else {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return q, consent.Errorf(consent.Invalid, "auth", "the body is not a form")
		}
		q = tokenRequest{form.Get("grant_type"), form.Get("client_id"), form.Get("client_secret")}
	}
	if id, secret, ok := r.BasicAuth(); ok {
		// RFC 6749, section 2.3.1: both are form-encoded within Basic.
		q.clientID, q.clientSecret = unescaped(id), unescaped(secret)
	}
	return q, nil
}

func unescaped(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// refuse answers with an error in both forms: error and error_description for
// OAuth clients, and the envelope that all our errors have. code is what the
// error means to OAuth, if it is the caller's fault.
func refuse(w http.ResponseWriter, code string, err error) {
	switch consent.KindOf(err) {
	case consent.Internal:
		code = "server_error"
	case consent.Transient, consent.RateLimited:
		code = "temporarily_unavailable"
		w.Header().Set("Retry-After", strconv.Itoa(reply.RetrySeconds(consent.RetryAfter(err))))
	case consent.Unauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="consentsync"`)
	}
	e := reply.Describe(err)
	reply.JSON(w, e.Code, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		reply.Envelope
	}{code, e.Message, e})
}
