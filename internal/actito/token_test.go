package actito

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

const emptyProfile = `{"attributes":{},"subscriptions":{}}`

func TestTokenIsSharedAndSentAsGiven(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer TOKEN-1%2Bx" {
			t.Errorf("Authorization %q", got)
		}
		_, _ = fmt.Fprint(w, emptyProfile)
	})
	wantEqual(t, c.TokenEpoch(), uint64(0))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := c.Read(t.Context(), jane); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantEqual(t, f.TokenCalls(), 1)
	wantEqual(t, c.TokenEpoch(), uint64(1))
}

func TestTokenIsRenewedBeforeItsEnd(t *testing.T) {
	t.Parallel()
	var elapsed atomic.Int64
	start := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	f, c := newFake(t, nil, always(200, emptyProfile))
	c.now = func() time.Time { return start.Add(time.Duration(elapsed.Load())) }
	for _, step := range []struct {
		at    time.Duration
		calls int
	}{{0, 1}, {839 * time.Second, 1}, {840 * time.Second, 2}, {1679 * time.Second, 2}, {1680 * time.Second, 3}} {
		elapsed.Store(int64(step.at))
		if _, err := c.Read(t.Context(), jane); err != nil {
			t.Fatal(err)
		}
		if got := f.TokenCalls(); got != step.calls {
			t.Errorf("after %v: %d token calls, want %d", step.at, got, step.calls)
		}
	}
}

func TestRefreshIsNotRepeatedForEver(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, nil, always(401, "no"))
	wantKind(t, c.Update(t.Context(), jane, optOut), consent.Unauthorized)
	wantEqual(t, f.TokenCalls(), 2)
	wantEqual(t, len(f.Seen()), 2)
}

// Whatever befalls the token call, the write it was for was not made, and is
// neither refused data nor a missing profile.
func TestTokenFailures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   consent.Kind
	}{
		"401":      {always(401, "x"), consent.Unauthorized},
		"403":      {always(403, "x"), consent.Unauthorized},
		"404":      {always(404, "x"), consent.Unauthorized},
		"409":      {always(409, "x"), consent.Unauthorized},
		"405":      {always(405, "x"), consent.Unauthorized},
		"302":      {always(302, "x"), consent.Unauthorized},
		"429":      {always(429, "x"), consent.RateLimited},
		"500":      {always(500, "x"), consent.Transient},
		"503":      {always(503, "x"), consent.Transient},
		"no token": {always(200, "{}"), consent.Transient},
		"no JSON":  {always(200, "<html>"), consent.Transient},
		"array":    {always(200, "[]"), consent.Transient},
		"reset":    {abort, consent.Transient},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, c := newFake(t, test.answer, nil)
			wantKind(t, c.Update(t.Context(), jane, optOut), test.want)
			wantKind(t, c.Create(t.Context(), jane, optOut), test.want)
			_, err := c.Entities(t.Context())
			wantKind(t, err, test.want)
			wantEqual(t, outbound.StatusOf(err), 0) // no status of the call that needs the token
			wantEqual(t, len(f.Seen()), 0)
			wantEqual(t, c.TokenEpoch(), uint64(0))
		})
	}
}

func TestParseToken(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]time.Duration{
		`{"accessToken":"a","expiresIn":"900s"}`:  900 * time.Second,
		`{"accessToken":"a","expiresIn":"600"}`:   600 * time.Second,
		`{"accessToken":"a","expiresIn":600}`:     600 * time.Second,
		`{"access_token":"a","expires_in":60}`:    60 * time.Second,
		`{"AccessToken":"a"}`:                     15 * time.Minute,
		`{"accessToken":"a","expiresIn":null}`:    15 * time.Minute,
		`{"accessToken":"a","expiresIn":"soon"}`:  15 * time.Minute,
		`{"accessToken":"a","expiresIn":-5}`:      15 * time.Minute,
		`{"accessToken":"a","expiresIn":1e400}`:   15 * time.Minute,
		`{"accessToken":"a","expiresIn":9999999}`: 24 * time.Hour,
	} {
		value, life, err := parseToken([]byte(body))
		if err != nil || value != "a" || life != want {
			t.Errorf("%s: got %q, %v, %v", body, value, life, err)
		}
	}
}

func TestPaceCoversTokenCalls(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, nil, always(200, emptyProfile))
	var paced atomic.Int32
	ctx := outbound.WithPace(t.Context(), func(context.Context) error { paced.Add(1); return nil })
	if _, err := c.Read(ctx, jane); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, int(paced.Load()), f.TokenCalls()+len(f.Seen()))
	wantEqual(t, int(paced.Load()), 2)
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	a, b := Fingerprint("a"), Fingerprint("b")
	if a == b || len(a) != 12 || a != Fingerprint(" a\n") || strings.Trim(a, "0123456789abcdef") != "" {
		t.Errorf("got %q, %q", a, b)
	}
}
