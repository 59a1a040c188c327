package auth

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// What asks for a token is read or refused, and who is not known gets none.
func FuzzTokenRequest(f *testing.F) {
	f.Add("application/x-www-form-urlencoded", "grant_type=client_credentials&client_id=wc&client_secret=x", "")
	f.Add("application/json", `{"grant_type":"client_credentials","client_id":"wc","client_secret":"x"}`, "")
	f.Add("", "grant_type=client_credentials", "Basic d2M6eA==")
	f.Add("application/json; charset=\"", "{", "Bearer x")
	f.Fuzz(func(t *testing.T, media, body, authorization string) {
		endpoint := &Endpoint{
			Clients: &oneClient{store.WebhookClient{Organization: "acme", ClientID: "wc", SecretHash: Hash("a secret that nobody guesses")}},
			Tokens:  NewTokens(key(3), time.Hour, time.Now),
		}
		r := httptest.NewRequest(http.MethodPost, "/oauth/token", bytes.NewReader([]byte(body)))
		r.Header = http.Header{"Content-Type": {media}, "Authorization": {authorization}}
		w := httptest.NewRecorder()
		endpoint.ServeHTTP(w, r)
		if w.Code == http.StatusOK || w.Code == http.StatusInternalServerError {
			t.Errorf("it is answered %d", w.Code)
		}
	})
}

// No text is a token or a secret but those that were given.
func FuzzCaller(f *testing.F) {
	now := func() time.Time { return time.Unix(1_800_000_000, 0) }
	client := store.WebhookClient{Organization: "acme", ClientID: "wc", SecretHash: Hash("a secret that nobody guesses")}
	token, err := NewTokens(key(3), time.Hour, now).Issue(&client)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token[:len(token)-1], "")
	f.Add(token+"x", "wc.a secret")
	f.Add("eyJhbGciOiJub25lIn0.eyJvcmciOiJhY21lIn0.", "wc")
	f.Add("", ".")
	f.Fuzz(func(t *testing.T, bearer, header string) {
		if bearer == token {
			return
		}
		callers := &Callers{Clients: &oneClient{client}, Tokens: NewTokens(key(3), time.Hour, now), Now: now}
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header = http.Header{"Authorization": {"Bearer " + bearer}, WebhookHeader: {header}}
		if organization, err := callers.Organization(r); err == nil || consent.KindOf(err) != consent.Unauthorized {
			t.Errorf("it is for %q, %v", organization, err)
		}
	})
}

// Nothing opens but what was sealed, and for what.
func FuzzSealed(f *testing.F) {
	sealer, err := NewSealer(key(1))
	if err != nil {
		f.Fatal(err)
	}
	if err := sealer.add(2, key(2)); err != nil {
		f.Fatal(err)
	}
	wrap, err := newMaster(key(3))
	if err != nil {
		f.Fatal(err)
	}
	first, err := NewSealer(key(1))
	if err != nil {
		f.Fatal(err)
	}
	made := [][]byte{sealer.Seal([]byte("secret"), "a", "b"), first.Seal([]byte("secret"), "a", "b"), wrap.seal(key(4), "seal")}
	for _, sealed := range made {
		f.Add(sealed[:len(sealed)-1])
		f.Add(append(bytes.Clone(sealed), 0))
	}
	f.Add([]byte{sealedNumbered, 0xff, 0xff, 0xff, 0xff, 0})
	f.Add([]byte{sealedByMaster})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		// Each worker seals anew, so that what another has sealed may come up.
		if plain, err := sealer.Open(sealed, "a", "b"); err == nil && string(plain) != "secret" {
			t.Errorf("it opens as %q, which was never sealed", plain)
		}
		if plain, err := sealer.Open(sealed, "b", "a"); err == nil {
			t.Errorf("it opens as %q for something else", plain)
		}
		if plain, ok := wrap.open(sealed, "seal"); ok && !bytes.Equal(plain, key(4)) {
			t.Errorf("it opens as the key %q, which was never sealed", plain)
		}
		_, _ = decodeMasterKeys(string(sealed), "it")
	})
}
