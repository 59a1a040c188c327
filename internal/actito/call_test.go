package actito

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/outbound/outboundtest"
)

func TestStatuses(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]struct{ read, write consent.Kind }{
		301: {consent.Forbidden, consent.Forbidden},
		302: {consent.Forbidden, consent.Forbidden},
		307: {consent.Forbidden, consent.Forbidden},
		400: {consent.Invalid, consent.Invalid},
		401: {consent.Unauthorized, consent.Unauthorized},
		403: {consent.Forbidden, consent.Forbidden},
		404: {consent.NotFound, consent.NotFound},
		405: {consent.Forbidden, consent.Forbidden},
		406: {consent.Forbidden, consent.Forbidden},
		408: {consent.Transient, consent.Unclear},
		409: {consent.Conflict, consent.Conflict},
		413: {consent.Invalid, consent.Invalid},
		415: {consent.Forbidden, consent.Forbidden},
		422: {consent.Invalid, consent.Invalid},
		423: {consent.Transient, consent.Transient},
		424: {consent.Transient, consent.Transient},
		425: {consent.Transient, consent.Transient},
		429: {consent.RateLimited, consent.RateLimited},
		500: {consent.Transient, consent.Unclear},
		501: {consent.Transient, consent.Unclear},
		502: {consent.Transient, consent.Unclear},
		503: {consent.Transient, consent.Transient},
		504: {consent.Transient, consent.Unclear},
		599: {consent.Transient, consent.Unclear},
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			_, c := newFake(t, nil, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "17")
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
			})
			_, readErr := c.Read(t.Context(), jane)
			wantKind(t, readErr, want.read)
			writeErr := c.Update(t.Context(), jane, optOut)
			wantKind(t, writeErr, want.write)
			wait := time.Duration(0)
			if want.write == consent.RateLimited || want.write == consent.Transient {
				wait = 17 * time.Second
			}
			wantEqual(t, consent.RetryAfter(writeErr), wait)
			var e *consent.Error
			if !errors.As(writeErr, &e) || e.Op != "actito.Update" || !strings.Contains(e.Message, strconv.Itoa(status)) {
				t.Errorf("got %#v", writeErr)
			}
		})
	}
}

func TestAnySuccessOfAWrite(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 202, 204, 207} {
		body := "<html>not JSON"
		if status == 204 {
			body = ""
		}
		_, c := newFake(t, nil, always(status, body))
		if err := c.Update(t.Context(), jane, optOut); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
	_, c := newFake(t, nil, func(w http.ResponseWriter, _ *http.Request) { // breaks off in the body
		w.Header().Set("Content-Length", "1000")
		_, _ = fmt.Fprint(w, "{")
	})
	if err := c.Update(t.Context(), jane, optOut); err != nil {
		t.Error(err)
	}
	_, err := c.Read(t.Context(), jane)
	wantKind(t, err, consent.Transient)
}

func TestUnreadableAnswerToARead(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"", "<html>", "[]", "{}", "null", `{"attributes":{}`, `{"attributes":{}} {}`, `{"error":"x"}`,
		`{"attributes":[{"value":1}]}`, `{"attributes":["a"],"subscriptions":7}`,
		`{"attributes":{},"subscriptions":{"Newsletter":"perhaps"}}`,
		`{"attributes":{},"subscriptions":{"Newsletter":{"moment":"2026"}}}`,
	} {
		_, c := newFake(t, nil, always(200, body))
		_, err := c.Read(t.Context(), jane)
		if consent.KindOf(err) != consent.Transient {
			t.Errorf("%s: got %v", body, err)
		}
	}
	_, c := newFake(t, nil, always(200, `{"attributes":{"a":"`+strings.Repeat("x", maxAnswer)+`"}}`))
	_, err := c.Read(t.Context(), jane)
	wantKind(t, err, consent.TooLarge)
}

// R16 rests on this: a write that may have arrived is unclear and not repeated.
func TestR16ResetAfterAWriteIsUnclearAndSentOnce(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = fmt.Fprint(w, emptyProfile) // leaves a kept connection
			return
		}
		abort(w, r)
	})
	if _, err := c.Read(t.Context(), jane); err != nil {
		t.Fatal(err)
	}
	wantKind(t, c.Update(t.Context(), jane, optOut), consent.Unclear)
	wantKind(t, c.Create(t.Context(), jane, optOut), consent.Unclear)
	wantEqual(t, f.Seen()[1:], []string{
		`PATCH ` + janePath + ` {"subscriptions":{"Newsletter":false}}`,
		`POST ` + profilesPath + ` {"key":{"emailAddress":"jane@example.com"},"attributes":{"emailAddress":"jane@example.com"},"subscriptions":{"Newsletter":false}}`,
	})
}

func TestGivenUpBeforeAndDuring(t *testing.T) {
	t.Parallel()
	ctx, handler := outboundtest.GivenUp(t)
	_, c := newFake(t, nil, handler)
	wantKind(t, c.Update(ctx, jane, optOut), consent.Unclear)
	wantKind(t, c.Update(ctx, jane, optOut), consent.Transient)
}

func TestNoConnectionIsTransient(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, nil, nil)
	if err := c.Update(t.Context(), jane, optOut); err != nil {
		t.Fatal(err)
	}
	f.Close()
	c.hc.CloseIdleConnections()
	wantKind(t, c.Update(t.Context(), jane, optOut), consent.Transient)
	wantKind(t, NewClient(nil, "https://127.0.0.1:1", "k").Update(t.Context(), jane, optOut), consent.Transient)
	wantKind(t, NewClient(nil, "::", "k").Update(t.Context(), jane, optOut), consent.Unauthorized)
}

// Whatever the host echoes, and in whatever form, no error tells it.
func TestNoSecretInAnyError(t *testing.T) {
	t.Parallel()
	ref := Ref{Entity: "acme", TableID: "16", KeyAttribute: "emailAddress", Key: "José O'Neil+x@exämple.com"}
	change := Change{
		Attributes: map[string]any{
			"lastName": "Müller-Lüdenscheidt", "sex": "M", "age": 4711, "tags": []string{"geheim zwei", "geheim"},
			"note": "a\n  \"quoted\" <b>line</b>",
		},
		Subscriptions: map[string]bool{"Newsletter": false},
	}
	secrets := []string{
		apiKey, "TOKEN-", "José", "jos\\u00e9", "O'Neil", "Neil", "exämple", "Müller", "MÜLLER", "Lüdenscheidt",
		"M\\u00fc", "4711", "geheim", "zwei", "quoted", "other@person.com", "%40", "Mr M.", "sex=M",
	}
	// The host echoes what it was sent, and nothing that it was not.
	echo := func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "Bad: %s %s %s;", r.Header.Get("Authorization"), apiKey, r.RequestURI)
		if r.URL.Path == "/auth/token" {
			return
		}
		key, _ := json.Marshal(ref.Key)
		_, _ = fmt.Fprintf(w, "%s %s %s %s;", key, strconv.QuoteToASCII(ref.Key), url.QueryEscape(ref.Key),
			"Jos&eacute; O&#39;Neil+x&#64;exämple.com")
		if r.Method == http.MethodGet {
			return
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s sex=M, %s %s %s; other@person.com 4711", body,
			strings.ToUpper("Müller-Lüdenscheidt"), "geheim+zwei", "geheim zwei", change.Attributes["note"])
	}
	for _, status := range []int{302, 400, 401, 403, 404, 405, 409, 422, 429, 500, 503} {
		answer := func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			echo(w, r)
		}
		_, c := newFake(t, nil, answer)
		_, readErr := c.Read(t.Context(), ref)
		_, noToken := newFake(t, answer, nil)
		for _, err := range []error{
			readErr, c.Update(t.Context(), ref, change), c.Create(t.Context(), ref, change),
			noToken.Update(t.Context(), ref, change),
		} {
			for _, secret := range secrets {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%d: %q in %v", status, secret, err)
				}
			}
		}
	}
	_, c := newFake(t, nil, abort)
	_, err := c.Read(t.Context(), ref)
	for _, e := range []error{err, c.Update(t.Context(), ref, change), fmt.Errorf("%v %+v %#v", c, c, c)} {
		if text := e.Error(); strings.Contains(text, apiKey) || strings.Contains(text, "TOKEN-") || strings.Contains(text, "Neil") {
			t.Errorf("secret in %v", e)
		}
	}
}
