package outbound

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"consentsync/internal/consent"
)

func get(t *testing.T, ctx context.Context, hc *http.Client, url string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := hc.Do(req)
	if err == nil {
		t.Cleanup(func() { resp.Body.Close() })
	}
	return resp, err
}

func local(t *testing.T, o Options) *http.Client {
	t.Helper()
	o.AllowPrivateNetworks = true
	hc := New(o)
	t.Cleanup(hc.CloseIdleConnections)
	return hc
}

func TestRedirectIsAnAnswer(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			t.Error("redirect followed")
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer srv.Close()
	resp, err := get(t, t.Context(), local(t, Options{}), srv.URL)
	if err != nil || resp.StatusCode != http.StatusFound {
		t.Fatalf("got %v, %v", resp, err)
	}
}

func TestUserAgent(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.UserAgent())
	}))
	defer srv.Close()
	resp, err := get(t, t.Context(), local(t, Options{UserAgent: "consentsync/1"}), srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := ReadBody(resp, 100); err != nil || string(body) != "consentsync/1" {
		t.Fatalf("got %q, %v", body, err)
	}
}

func TestReadBodyIsCapped(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]string{9: "", 10: "", 11: "too_large"} {
		resp := &http.Response{Body: io.NopCloser(strings.NewReader(strings.Repeat("x", size)))}
		body, err := ReadBody(resp, 10)
		if want == "" && (err != nil || len(body) != size) {
			t.Errorf("%d bytes: got %d, %v", size, len(body), err)
		}
		if want != "" && consent.KindOf(err).String() != want {
			t.Errorf("%d bytes: got %v", size, err)
		}
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	var served, paced atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }))
	defer srv.Close()
	hc := local(t, Options{})
	stop := &consent.Error{Kind: consent.RateLimited, Op: "budget", RetryAfter: 7 * time.Second}
	ctx := WithPace(t.Context(), func(context.Context) error {
		if paced.Add(1) == 3 {
			return stop
		}
		return nil
	})
	for range 2 {
		if _, err := get(t, ctx, hc, srv.URL); err != nil {
			t.Fatal(err)
		}
	}
	_, err := get(t, ctx, hc, srv.URL)
	e := Classify("op", err)
	if e.Kind != consent.Transient || e.RetryAfter != 7*time.Second || !errors.Is(e, stop) {
		t.Errorf("got %+v", e)
	}
	if served.Load() != 2 {
		t.Errorf("served %d", served.Load())
	}
}

// The wait for the pace must not eat the time-out of the exchange.
func TestPaceIsOutsideTheTimeout(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	ctx := WithPace(t.Context(), func(ctx context.Context) error {
		if deadline, has := ctx.Deadline(); has {
			t.Errorf("the pace must be done by %v", deadline)
		}
		return nil
	})
	if _, err := get(t, ctx, local(t, Options{Timeout: time.Minute}), srv.URL); err != nil {
		t.Fatal(err)
	}
}

func TestTimeoutOfItsOwn(t *testing.T) {
	t.Parallel()
	var left time.Duration
	hc := New(Options{Timeout: time.Minute, Network: network(func(r *http.Request) (*http.Response, error) {
		deadline, _ := r.Context().Deadline()
		left = time.Until(deadline)
		return &http.Response{StatusCode: 204, Body: http.NoBody}, nil
	})})
	for _, c := range []struct {
		ctx context.Context
		max time.Duration
	}{
		{t.Context(), time.Minute},
		{WithTimeout(t.Context(), time.Hour), time.Hour},
		{WithTimeout(t.Context(), time.Second), time.Second},
	} {
		if _, err := get(t, c.ctx, hc, "http://x.example"); err != nil || left > c.max || left < c.max/2 {
			t.Errorf("%v left of %v, %v", left, c.max, err)
		}
	}
}

type network func(*http.Request) (*http.Response, error)

func (n network) RoundTrip(r *http.Request) (*http.Response, error) { return n(r) }

func TestClassify(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(nil)
	closed.Close()
	tlsServer := httptest.NewTLSServer(nil)
	tlsServer.Config.ErrorLog = nil
	defer tlsServer.Close()
	block := make(chan struct{})
	hang := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-block }))
	defer hang.Close()
	defer close(block)
	reset := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := http.NewResponseController(w).Hijack()
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}))
	defer reset.Close()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()

	for name, c := range map[string]struct {
		ctx    context.Context
		client *http.Client
		url    string
		want   consent.Kind
		text   string
	}{
		"refused connection": {t.Context(), local(t, Options{}), closed.URL, consent.Transient, "no connection"},
		"unknown name":       {t.Context(), local(t, Options{}), "http://nowhere.invalid/", consent.Transient, "nothing was sent"},
		"bad certificate":    {t.Context(), local(t, Options{}), tlsServer.URL, consent.Transient, "certificate is not valid"},
		"no TLS":             {t.Context(), local(t, Options{}), strings.Replace(reset.URL, "http:", "https:", 1), consent.Transient, "nothing was sent"},
		"guard":              {t.Context(), New(Options{}), hang.URL, consent.Transient, "private or reserved"},
		"cancelled before":   {canceled, local(t, Options{}), hang.URL, consent.Transient, "given up before"},
		"no answer in time":  {t.Context(), local(t, Options{HeaderTimeout: 50 * time.Millisecond}), hang.URL, consent.Unclear, "may have been sent"},
		"of its own":         {WithTimeout(t.Context(), time.Hour), local(t, Options{HeaderTimeout: 50 * time.Millisecond}), hang.URL, consent.Unclear, "may have been sent"},
		"too long in all":    {t.Context(), local(t, Options{Timeout: 50 * time.Millisecond}), hang.URL, consent.Unclear, "may have been sent"},
		"reset":              {t.Context(), local(t, Options{}), reset.URL, consent.Unclear, "may have been sent"},
		"other transport":    {t.Context(), &http.Client{Transport: http.DefaultTransport}, closed.URL, consent.Transient, "no connection"},
		"other, reset":       {t.Context(), &http.Client{Transport: &http.Transport{}}, reset.URL, consent.Unclear, "may have been sent"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := get(t, c.ctx, c.client, c.url+"/profiles/emailAddress=jane")
			if err == nil {
				t.Fatal("no error")
			}
			e := Classify("op", err)
			if e.Kind != c.want || !strings.Contains(e.Message, c.text) || e.Op != "op" {
				t.Errorf("got %v %q (%v)", e.Kind, e.Message, err)
			}
			if strings.Contains(e.Error(), "jane") {
				t.Errorf("URL in error: %v", e)
			}
		})
	}
}

// A kept connection that dies under a write must not lead to a second write.
func TestNothingIsSentTwice(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		var seen atomic.Int32
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				return // leaves a kept connection
			}
			_, _ = io.Copy(io.Discard, r.Body)
			seen.Add(1)
			conn, _, _ := http.NewResponseController(w).Hijack()
			conn.Close()
		}))
		hc := local(t, Options{})
		if _, err := get(t, t.Context(), hc, srv.URL); err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL, strings.NewReader(`{"a":1}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Idempotency-Key", "1") // makes net/http willing to repeat
		resp, err := hc.Do(req)
		if err == nil {
			resp.Body.Close()
			t.Fatal("no error")
		}
		if e := Classify("op", err); e.Kind != consent.Unclear || seen.Load() != 1 {
			t.Errorf("%s: %v, seen %d times", method, e, seen.Load())
		}
		srv.Close()
	}
}
