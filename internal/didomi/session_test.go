package didomi

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
	"consentsync/internal/simulator"
)

func TestSessionIsShared(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, nil, func(_ http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer TOKEN-1" {
			t.Errorf("Authorization %q", got)
		}
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := c.CreateEvents(t.Context(), optOuts("e1")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantEqual(t, f.TokenCalls(), 1)
}

func TestRenewalIsNotRepeatedForEver(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, nil, always(401, "no"))
	each, err := c.CreateEvents(t.Context(), optOuts("e1", "e2"))
	wantKind(t, err, consent.Unauthorized)
	wantEqual(t, kinds(each), []string{"unauthorized", "unauthorized"})
	wantEqual(t, f.TokenCalls(), 2)
	wantEqual(t, len(f.Seen()), 2)
}

func TestSessionIsRenewedBeforeItsEnd(t *testing.T) {
	t.Parallel()
	var elapsed atomic.Int64
	start := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	f, c := newFake(t, nil, nil)
	c.now = func() time.Time { return start.Add(time.Duration(elapsed.Load())) }
	for _, step := range []struct {
		at    time.Duration
		calls int
	}{{0, 1}, {59*time.Minute - 1, 1}, {59 * time.Minute, 2}} {
		elapsed.Store(int64(step.at))
		if _, err := c.CreateEvents(t.Context(), optOuts("e1")); err != nil {
			t.Fatal(err)
		}
		if got := f.TokenCalls(); got != step.calls {
			t.Errorf("after %v: %d sessions, want %d", step.at, got, step.calls)
		}
	}
}

// Whatever befalls the session, the events it was for were not sent, and are
// not refused.
func TestSessionFailures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   consent.Kind
	}{
		"400":      {always(400, `{"code":400,"name":"BadRequest","message":"Invalid authentication information"}`), consent.Unauthorized},
		"exists":   {always(400, `{"message":"An event already exists"}`), consent.Unauthorized},
		"401":      {always(401, "x"), consent.Unauthorized},
		"403":      {always(403, "x"), consent.Forbidden},
		"404":      {always(404, "x"), consent.Forbidden},
		"409":      {always(409, "x"), consent.Forbidden},
		"302":      {always(302, "x"), consent.Forbidden},
		"429":      {always(429, "x"), consent.RateLimited},
		"500":      {always(500, "x"), consent.Transient},
		"503":      {always(503, "x"), consent.Transient},
		"no token": {always(200, "{}"), consent.Transient},
		"no JSON":  {always(200, "<html>"), consent.Transient},
		"reset":    {abort, consent.Transient},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = fmt.Fprint(w, `{"access_token":"a"}`)
		}, consent.Transient},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, c := newFake(t, test.answer, nil)
			wantKind(t, c.CheckSession(t.Context()), test.want)
			each, err := c.CreateEvents(t.Context(), optOuts("e1", "e2"))
			wantKind(t, err, test.want)
			wantEqual(t, kinds(each), []string{test.want.String(), test.want.String()})
			wantEqual(t, outbound.StatusOf(err), 0) // no status of the events' call
			wantEqual(t, len(f.Seen()), 0)
		})
	}
}

func TestNoConnectionIsTransient(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, nil, nil)
	if err := c.CheckSession(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.Close()
	c.hc.CloseIdleConnections()
	_, err := c.CreateEvents(t.Context(), optOuts("e1"))
	wantKind(t, err, consent.Transient)
	wantKind(t, NewClient(nil, "https://127.0.0.1:1", "o", "k", "s").CheckSession(t.Context()), consent.Transient)
	wantKind(t, NewClient(nil, "::", "o", "k", "s").CheckSession(t.Context()), consent.Forbidden)
}

func TestCheckSessionAsksForAFreshOne(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, nil, nil)
	for range 2 {
		if err := c.CheckSession(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wantEqual(t, f.TokenCalls(), 2)
}

func TestParseSession(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	jwt := func(claims string) string {
		return `{"access_token":"h.` + base64.RawURLEncoding.EncodeToString([]byte(claims)) + `.s"}`
	}
	for body, want := range map[string]time.Duration{
		`{"access_token":"opaque"}`:                  time.Hour,
		`{"access_token":"a.b.c"}`:                   time.Hour,
		`{"access_token":"a.%%.c","type":"api-key"}`: time.Hour,
		jwt(`{"exp":1700000600}`):                    10 * time.Minute,
		`{"access_token":"h.` + base64.URLEncoding.EncodeToString([]byte(`{"exp":1700000600} `)) + `.s"}`: 10 * time.Minute, // padded
		jwt(`{"exp":1700000600.5}`):                10*time.Minute + 500*time.Millisecond,
		jwt(`{"iat":1600000000,"exp":1600000060}`): time.Minute,
		jwt(`{"iat":1700000000,"exp":1900000000}`): 24 * time.Hour,
		jwt(`{"exp":1699999999}`):                  time.Hour,
		jwt(`{"exp":"soon"}`):                      time.Hour,
		jwt(`{"exp":1e300}`):                       24 * time.Hour,
		jwt(`[]`):                                  time.Hour,
		jwt(`{}`):                                  time.Hour,
	} {
		token, life, ok := parseSession([]byte(body), now)
		if !ok || token == "" || life != want {
			t.Errorf("%s: %q, %v, %v; want %v", body, token, life, ok, want)
		}
	}
	for _, body := range []string{"", "null", "[]", `{"access_token":""}`, `{"access_token":7}`} {
		if token, _, ok := parseSession([]byte(body), now); ok {
			t.Errorf("%s: %q", body, token)
		}
	}
}

// The simulated Didomi takes the client's sessions, and refuses wrong ones.
func TestSessionsAgainstTheSimulator(t *testing.T) {
	t.Parallel()
	api, url := simulated(t, simulator.DidomiAPIOptions{})
	hc := direct(t)
	if err := NewClient(hc, url, "acme", apiKey, apiSecret).CheckSession(t.Context()); err != nil {
		t.Error(err)
	}
	err := NewClient(hc, url, "acme", apiKey, "wrong").CheckSession(t.Context())
	wantKind(t, err, consent.Unauthorized)
	if !strings.Contains(consent.MessageOf(err), "secret is wrong") {
		t.Error(err)
	}

	c := NewClient(hc, url, "acme", apiKey, apiSecret)
	for i, id := range []string{"e1", "e2"} {
		if each, err := c.CreateEvents(t.Context(), optOuts(id)); err != nil || each[0] != nil {
			t.Error(each, err)
		}
		wantEqual(t, api.CallCount(simulator.KindSession), i+3)
		api.ExpireSessions()
	}
	wantEqual(t, len(api.Events()), 2)
}

func TestPaceCoversSessions(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, nil, nil)
	var paced atomic.Int32
	ctx := outbound.WithPace(t.Context(), func(context.Context) error { paced.Add(1); return nil })
	if _, err := c.CreateEvents(ctx, optOuts("e1")); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, int(paced.Load()), f.TokenCalls()+len(f.Seen()))
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	a := Fingerprint("a", "b")
	if a == Fingerprint("a", "c") || a == Fingerprint("ab", "") || len(a) != 12 || a != Fingerprint(" a\n", "b ") {
		t.Errorf("got %q", a)
	}
}

// All who call an account share its session; another secret is another account.
func TestAccounts(t *testing.T) {
	t.Parallel()
	accounts := NewAccounts(nil)
	first := accounts.Client("https://x", "o", "k", "s")
	if accounts.Client("https://x", "o", "k", "s") != first {
		t.Error("two clients of one account")
	}
	for _, other := range [][4]string{{"https://y", "o", "k", "s"}, {"https://x", "p", "k", "s"}, {"https://x", "o", "l", "s"}, {"https://x", "o", "k", "t"}} {
		if accounts.Client(other[0], other[1], other[2], other[3]) == first {
			t.Errorf("%v shares a client", other)
		}
	}
}
