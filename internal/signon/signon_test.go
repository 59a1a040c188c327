package signon

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"consentsync/internal/auth"
	"consentsync/internal/consent"
	"consentsync/internal/signon/signontest"
)

// bench is a provider and us, with a clock that can be moved.
type bench struct {
	*testing.T
	at   *signontest.Provider
	us   *Provider
	skip time.Duration
}

func newBench(t *testing.T) *bench {
	t.Helper()
	sealer, err := auth.NewSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, at: signontest.New(t)}
	b.us = New(Options{
		Issuer: b.at.URL, ClientID: signontest.ClientID, ClientSecret: signontest.ClientSecret, RedirectURL: "https://us.example/callback", Name: "the provider",
		Client: http.DefaultClient, Sealer: sealer, Now: func() time.Time { return time.Now().Add(b.skip) },
	})
	return b
}

// begin signs somebody in at the provider, and gives what their browser keeps and
// what the provider sends back with it.
func (b *bench) begin() (keep string, sent url.Values) {
	b.Helper()
	address, keep, err := b.us.Begin(b.Context(), "/next", "invitation")
	if err != nil {
		b.Fatal(err)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, address, nil)
	if err != nil {
		b.Fatal(err)
	}
	resp, err := client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		b.Fatalf("the provider answers %d", resp.StatusCode)
	}
	if !strings.HasPrefix(back.String(), "https://us.example/callback?") {
		b.Errorf("the browser is sent to %s", back)
	}
	return keep, back.Query()
}

func TestWhoSignsIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, verified := range []any{true, "true"} {
		b.at.Says(map[string]any{"email_verified": verified})
		keep, sent := b.begin()
		who, err := b.us.Finish(t.Context(), keep, sent)
		if err != nil {
			t.Fatal(err)
		}
		if *who != (Who{"ada@example.com", "Ada Lovelace", "/next", "invitation"}) {
			t.Errorf("it is %+v", who)
		}
		if _, err := b.us.Finish(t.Context(), keep, sent); consent.KindOf(err) != consent.Unauthorized {
			t.Errorf("the same answer again: %v", err)
		}
	}
}

// Whatever is not certain lets nobody in.
func TestWhoDoesNotSignIn(t *testing.T) {
	t.Parallel()
	says := func(claims map[string]any) func(b *bench, _ *string, _ url.Values) {
		return func(b *bench, _ *string, _ url.Values) { b.at.Says(claims) }
	}
	for name, spoil := range map[string]func(b *bench, keep *string, sent url.Values){
		"another state":             func(_ *bench, _ *string, sent url.Values) { sent.Set("state", "x") },
		"no state":                  func(_ *bench, _ *string, sent url.Values) { sent.Del("state") },
		"another code":              func(_ *bench, _ *string, sent url.Values) { sent.Set("code", "x") },
		"another provider":          func(_ *bench, _ *string, sent url.Values) { sent.Set("iss", "https://evil.example") },
		"the provider refuses":      func(_ *bench, _ *string, sent url.Values) { sent.Set("error", "access_denied") },
		"another browser":           func(b *bench, keep *string, _ url.Values) { *keep, _ = b.begin() },
		"a browser that kept none":  func(_ *bench, keep *string, _ url.Values) { *keep = "" },
		"a browser that made it up": func(_ *bench, keep *string, _ url.Values) { *keep = "A" + *keep },
		"the code of another, whose verifier is not there": func(b *bench, _ *string, sent url.Values) {
			_, other := b.begin()
			sent.Set("code", other.Get("code"))
		},
		"too late":                func(b *bench, _ *string, _ url.Values) { b.skip = Life + time.Second },
		"another nonce":           says(map[string]any{"nonce": "x"}),
		"for another client":      says(map[string]any{"aud": "another"}),
		"of another issuer":       says(map[string]any{"iss": "https://evil.example"}),
		"expired":                 says(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}),
		"no address":              says(map[string]any{"email": nil}),
		"an address not verified": says(map[string]any{"email_verified": false}),
		"nothing of verification": says(map[string]any{"email_verified": nil}),
		"verification as 1":       says(map[string]any{"email_verified": 1}),
		"signed with another key": func(b *bench, _ *string, _ url.Values) { b.at.Forges(b.T) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			keep, sent := b.begin()
			spoil(b, &keep, sent)
			who, err := b.us.Finish(t.Context(), keep, sent)
			if consent.KindOf(err) != consent.Unauthorized || err == nil {
				t.Errorf("in comes %+v, with %v", who, err)
			}
		})
	}
}

// A provider that is down is asked once for a crowd, then left alone for some
// seconds, and who gives up waiting does not wait.
func TestAProviderThatIsDown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var asked atomic.Int32
	answer := make(chan struct{})
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		<-answer
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(down.Close)
	b.us.Issuer = down.URL
	begin := func(ctx context.Context) error {
		_, _, err := b.us.Begin(ctx, "", "")
		return err
	}
	crowd := make(chan error)
	for range 20 {
		go func() { crowd <- begin(t.Context()) }()
	}
	hasty, cancel := context.WithCancel(t.Context())
	cancel()
	if err := begin(hasty); consent.KindOf(err) != consent.Transient {
		t.Errorf("who gives up is told %v", err)
	}
	close(answer)
	for range 20 {
		if err := <-crowd; consent.KindOf(err) != consent.Transient {
			t.Errorf("it is %v", err)
		}
	}
	b.us.Issuer = b.at.URL
	if err := begin(t.Context()); consent.KindOf(err) != consent.Transient || asked.Load() != 1 {
		t.Errorf("%d have asked it; then it is %v", asked.Load(), err)
	}
	b.skip = askAgain
	if err := begin(t.Context()); err != nil {
		t.Errorf("when it is there again: %v", err)
	}
}
