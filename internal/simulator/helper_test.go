package simulator

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const (
	profilesPath = "/profiles/v5/entities/acme/profile-tables/16/profiles"
	annaPath     = profilesPath + "/emailAddress=anna@example.com"
)

// bench is a simulated Actito that holds one profile, anna@example.com, with
// Newsletter on.
type bench struct {
	*Actito
	t     *testing.T
	url   string // empty when there is no network
	token string
}

// serve starts an Actito on a real port.
func serve(t *testing.T, opts ActitoOptions) *bench {
	t.Helper()
	b := direct(t, opts)
	srv := httptest.NewServer(b.Actito)
	t.Cleanup(srv.Close)
	t.Cleanup(b.Close)
	b.url = srv.URL
	return b
}

// direct makes an Actito that is called without a network, for tests in a bubble
// of their own time.
func direct(t *testing.T, opts ActitoOptions) *bench {
	t.Helper()
	b := &bench{Actito: NewActito(opts), t: t}
	_, err := b.PutProfile(SampleEntity, SampleTableID,
		map[string]any{"emailAddress": "anna@example.com", "firstName": "Anna", "age": 42, "vip": true},
		map[string]bool{"Newsletter": true})
	if err != nil {
		t.Fatal(err)
	}
	b.token = b.fetchToken(SampleKey)
	return b
}

func (b *bench) fetchToken(key string) string {
	b.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/auth/token", nil)
	r.Header.Set("Authorization", key)
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	var out struct{ AccessToken string }
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != http.StatusOK {
		b.t.Fatalf("token: %d %s", w.Code, w.Body)
	}
	return out.AccessToken
}

// newsletter tells whether the one profile has Newsletter on.
func (b *bench) newsletter() bool {
	b.t.Helper()
	p, ok := b.Profile(SampleEntity, SampleTableID, "emailAddress", "anna@example.com")
	if !ok {
		b.t.Fatal("the profile is gone")
	}
	return p.Subscriptions["Newsletter"]
}

// call makes a call with the bench's token and gives its status, 0 for a broken
// connection, and its body.
func (b *bench) call(method, path, body string) (int, map[string]any) {
	b.t.Helper()
	status, raw := b.rawCall(b.t.Context(), method, path, body)
	var out map[string]any
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &out); err != nil {
			b.t.Fatalf("%s %s: %d %s", method, path, status, raw)
		}
	}
	return status, out
}

func (b *bench) rawCall(ctx context.Context, method, path, body string) (status int, raw []byte) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+b.token)
	r.Header.Set("Accept", "application/json")
	if b.url == "" {
		w := httptest.NewRecorder()
		defer func() {
			if recover() != nil {
				status = 0
			}
		}()
		b.ServeHTTP(w, r)
		return w.Code, w.Body.Bytes()
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	raw, err = io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil
	}
	return resp.StatusCode, raw
}

func (b *bench) want(method, path, body string, status int) map[string]any {
	b.t.Helper()
	got, out := b.call(method, path, body)
	if got != status {
		b.t.Fatalf("%s %s %s: %d %v, want %d", method, path, body, got, out, status)
	}
	return out
}
