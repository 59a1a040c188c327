package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

func TestSealIsBoundToItsContext(t *testing.T) {
	t.Parallel()
	s, err := NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	sealed := s.Seal([]byte("secret"), "integration", "acme", "1")
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("the sealed form shows the secret")
	}
	if plain, err := s.Open(sealed, "integration", "acme", "1"); err != nil || string(plain) != "secret" {
		t.Errorf("opened %q, %v", plain, err)
	}
	broken := bytes.Clone(sealed)
	broken[len(broken)-1] ^= 1
	for name, c := range map[string]struct {
		sealed  []byte
		context []string
	}{
		"another organization": {sealed, []string{"integration", "other", "1"}},
		"changed":              {broken, []string{"integration", "acme", "1"}},
		"empty":                {nil, nil},
		"another version":      {append([]byte{9}, sealed[1:]...), []string{"integration", "acme", "1"}},
	} {
		if _, err := s.Open(c.sealed, c.context...); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	key := bytes.Repeat([]byte{3}, 32)
	tokens := NewTokens(key, time.Hour, func() time.Time { return now })
	token, err := tokens.Issue(&store.WebhookClient{Organization: "acme", ClientID: "wc"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time from memory
		if org, err := tokens.Organization(token); err != nil || org != "acme" {
			t.Fatalf("organization %q, %v", org, err)
		}
	}
	now = now.Add(time.Hour)
	if _, err := tokens.Organization(token); consent.KindOf(err) != consent.Unauthorized {
		t.Errorf("after its life the token gives %v", err)
	}
	sign := func(method jwt.SigningMethod, key any, c claims) string {
		text, err := jwt.NewWithClaims(method, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := claims{jwt.RegisteredClaims{Audience: jwt.ClaimStrings{audience}, ExpiresAt: jwt.NewNumericDate(now.Add(time.Minute))}, "acme"}
	otherAudience, endless, nobody := good, good, good
	otherAudience.Audience = jwt.ClaimStrings{"elsewhere"}
	endless.ExpiresAt = nil
	nobody.Organization = ""
	for name, forged := range map[string]string{
		"nothing":          "",
		"no token":         "abc",
		"unsigned":         sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good),
		"another key":      sign(jwt.SigningMethodHS256, bytes.Repeat([]byte{4}, 32), good),
		"another method":   sign(jwt.SigningMethodHS512, key, good),
		"another audience": sign(jwt.SigningMethodHS256, key, otherAudience),
		"without an end":   sign(jwt.SigningMethodHS256, key, endless),
		"for nobody":       sign(jwt.SigningMethodHS256, key, nobody),
	} {
		if _, err := tokens.Organization(forged); consent.KindOf(err) != consent.Unauthorized {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAdminToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := LoadAdmin("", dir); err != nil {
		t.Fatal(err)
	}
	saved, err := os.ReadFile(filepath.Join(dir, "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	admin, err := LoadAdmin("", dir)
	if err != nil {
		t.Fatal(err)
	}
	check := func(header string) error {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", header)
		return admin.Check(r)
	}
	token := strings.TrimSpace(string(saved))
	if err := check("Bearer " + token); err != nil {
		t.Errorf("the token in the file is refused: %v", err)
	}
	if err := check("bearer  " + token); err != nil {
		t.Errorf("the scheme is case-sensitive: %v", err)
	}
	for _, header := range []string{"", "Bearer", "Bearer ", token, "Basic " + token, "Bearer " + token + "x"} {
		if err := check(header); consent.KindOf(err) != consent.Unauthorized || err == nil {
			t.Errorf("%q gives %v", header, err)
		}
	}
}

func TestMasks(t *testing.T) {
	t.Parallel()
	const secret = "0123456789abcdef"
	if m := Mask(secret); m != "********cdef" || Mask("short") != "********" {
		t.Errorf("masks %q and %q", m, Mask("short"))
	}
	for text, want := range map[string]bool{Mask(secret): true, "****": true, "": false, secret: false, "********abcd": false} {
		if Masked(text, secret) != want {
			t.Errorf("Masked(%q) is not %v", text, want)
		}
	}
}

type oneClient struct{ client store.WebhookClient }

func (c *oneClient) WebhookClient(_ context.Context, id string) (*store.WebhookClient, error) {
	switch id {
	case c.client.ClientID:
		return &c.client, nil
	case "locked":
		return nil, consent.Errorf(consent.Transient, "test", "locked")
	}
	return nil, consent.Errorf(consent.NotFound, "test", "no such client")
}

// The endpoint takes the three ways in which a client may send credentials, and
// tells OAuth clients and our own what is wrong.
func TestTokenEndpoint(t *testing.T) {
	t.Parallel()
	client := &oneClient{store.WebhookClient{Organization: "acme", ClientID: "wc+1", SecretHash: Hash("s/ecret")}}
	tokens := NewTokens(bytes.Repeat([]byte{3}, 32), 90*time.Second, time.Now)
	endpoint := &Endpoint{Clients: client, Tokens: tokens}
	form := func(id, secret, grant string) string {
		return url.Values{"client_id": {id}, "client_secret": {secret}, "grant_type": {grant}}.Encode()
	}
	const urlencoded = "application/x-www-form-urlencoded"
	for name, c := range map[string]struct {
		media, body, user, password string
		status                      int
		oauth                       string
	}{
		"form":                {urlencoded, form("wc+1", "s/ecret", "client_credentials"), "", "", 200, ""},
		"form, no media type": {"", form("wc+1", "s/ecret", "client_credentials"), "", "", 200, ""},
		"json":                {"application/json; charset=utf-8", `{"client_id":"wc+1","client_secret":"s/ecret","grant_type":"client_credentials","scope":"x"}`, "", "", 200, ""},
		"json sent as a form": {urlencoded, "\n" + `{"client_id":"wc+1","client_secret":"s/ecret","grant_type":"client_credentials"}`, "", "", 200, ""},
		"json, no media type": {"", `{"client_id":"wc+1","client_secret":"s/ecret","grant_type":"client_credentials"}`, "", "", 200, ""},
		"basic, form-encoded": {urlencoded, "grant_type=client_credentials", "wc%2B1", "s%2Fecret", 200, ""},
		"basic and json":      {"application/json", `{"grant_type":"client_credentials"}`, "wc%2B1", "s%2Fecret", 200, ""},
		"wrong secret":        {urlencoded, form("wc+1", "secret", "client_credentials"), "", "", 401, "invalid_client"},
		"unknown client":      {urlencoded, form("nobody", "s/ecret", "client_credentials"), "", "", 401, "invalid_client"},
		"no credentials":      {urlencoded, "grant_type=client_credentials", "", "", 401, "invalid_client"},
		"another grant":       {urlencoded, form("wc+1", "s/ecret", "password"), "", "", 400, "unsupported_grant_type"},
		"no grant":            {urlencoded, form("wc+1", "s/ecret", ""), "", "", 400, "invalid_request"},
		"no JSON":             {"application/json", "{", "", "", 400, "invalid_request"},
		"too large":           {urlencoded, strings.Repeat("x", mostTokenRequest+1), "", "", 413, "invalid_request"},
		"database locked":     {urlencoded, form("locked", "s", "client_credentials"), "", "", 503, "temporarily_unavailable"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.media)
		if c.user != "" {
			r.SetBasicAuth(c.user, c.password)
		}
		w := httptest.NewRecorder()
		endpoint.ServeHTTP(w, r)
		var answer struct {
			Error       string
			AccessToken string `json:"access_token"`
			TokenType   string `json:"token_type"`
			ExpiresIn   int    `json:"expires_in"`
			Code        int
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if w.Code != c.status || answer.Error != c.oauth || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: answered %d %s", name, w.Code, w.Body)
		}
		if c.status != http.StatusOK {
			if answer.Code != c.status {
				t.Errorf("%s: the envelope says %d", name, answer.Code)
			}
			continue
		}
		if org, err := tokens.Organization(answer.AccessToken); err != nil || org != "acme" || answer.ExpiresIn != 90 || answer.TokenType != "Bearer" {
			t.Errorf("%s: organization %q, %v, expires in %d", name, org, err, answer.ExpiresIn)
		}
	}
}

// While a secret is being changed both are good, and then one of them.
func TestTwoSecretsForAWhile(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	clients := &oneClient{store.WebhookClient{
		ClientID: "wc", SecretHash: Hash("new"), PreviousHash: Hash("old"), PreviousUntil: consent.TimeOf(now.Add(time.Hour)),
	}}
	for at, want := range map[time.Duration]map[string]bool{
		0:         {"new": true, "old": true, "": false, "other": false},
		time.Hour: {"new": true, "old": false},
	} {
		for secret, ok := range want {
			if _, err := authenticate(t.Context(), clients, "wc", secret, now.Add(at)); (err == nil) != ok {
				t.Errorf("%q after %v: %v", secret, at, err)
			}
		}
	}
	clients.client.PreviousHash, clients.client.PreviousUntil = [32]byte{}, 0
	if _, err := authenticate(t.Context(), clients, "wc", "", now); err == nil {
		t.Error("no secret is good where there was none before")
	}
}

// A webhook comes with a token or with a secret in a header, each for the kind
// of client that it is of; a client that is gone is refused soon.
func TestCallers(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	clients := &oneClient{store.WebhookClient{Organization: "acme", ClientID: "wc", SecretHash: Hash("secret")}}
	tokens := NewTokens(bytes.Repeat([]byte{3}, 32), time.Hour, clock)
	callers := &Callers{Clients: clients, Tokens: tokens, Now: clock}
	token, err := tokens.Issue(&clients.client)
	if err != nil {
		t.Fatal(err)
	}
	call := func(header, value string) error {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set(header, value)
		organization, err := callers.Organization(r)
		if err == nil && organization != "acme" {
			t.Errorf("%s %s is for %q", header, value, organization)
		}
		return err
	}
	good := HeaderValue("wc", "secret")
	if err := call("Authorization", "Bearer "+token); err != nil {
		t.Error(err)
	}
	if err := call(WebhookHeader, good); consent.KindOf(err) != consent.Unauthorized || err == nil {
		t.Errorf("a client with tokens is let in by header: %v", err)
	}
	clients.client.Header = true
	if err := call("Authorization", "Bearer "+token); err != nil {
		t.Errorf("who was there a moment ago is asked after again: %v", err)
	}
	now = now.Add(rememberFor)
	if err := call("Authorization", "Bearer "+token); consent.KindOf(err) != consent.Unauthorized || err == nil {
		t.Errorf("a client of the kind header is let in by token: %v", err)
	}
	if err := call(WebhookHeader, good); err != nil {
		t.Error(err)
	}
	// Guessing gets slower, and who is known goes on meanwhile.
	refused := 0
	for range 40 {
		if consent.KindOf(call(WebhookHeader, HeaderValue("wc", "guess"))) == consent.RateLimited {
			refused++
		}
	}
	if refused < 15 {
		t.Errorf("%d of 40 guesses have to wait", refused)
	}
	if err := call(WebhookHeader, good); err != nil {
		t.Error(err)
	}
	now = now.Add(rememberFor)
	clients.client.ClientID = "another"
	for header, value := range map[string]string{WebhookHeader: good, "Authorization": "Bearer " + token} {
		if err := call(header, value); consent.KindOf(err) != consent.Unauthorized || err == nil {
			t.Errorf("a client that is gone is let in by %s: %v", header, err)
		}
	}
}

// The token endpoint slows down who guesses, and nobody else.
func TestGuessingASecretGetsSlower(t *testing.T) {
	t.Parallel()
	endpoint := &Endpoint{
		Clients: &oneClient{store.WebhookClient{Organization: "acme", ClientID: "wc", SecretHash: Hash("secret")}}, Tokens: NewTokens(bytes.Repeat([]byte{3}, 32), time.Hour, time.Now),
	}
	ask := func(id, secret string) int {
		r := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(url.Values{"client_id": {id}, "client_secret": {secret}, "grant_type": {"client_credentials"}}.Encode()))
		w := httptest.NewRecorder()
		endpoint.ServeHTTP(w, r)
		if w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "" {
			t.Error("nobody is told how long to wait")
		}
		return w.Code
	}
	answers := map[int]int{}
	for range 20 {
		answers[ask("wc", "guess")]++
		ask("another client", "guess")
	}
	if answers[401] != 10 || answers[429] != 10 {
		t.Errorf("20 guesses are answered %v", answers)
	}
	if got := ask("no client yet", "x"); got != 401 {
		t.Errorf("another client is answered %d", got)
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	t.Parallel()
	var a Attempts
	for i := range 3 * mostTracked {
		a.Failed(time.Unix(1_000_000, 0), Limit{By: time.Duration(i).String(), Free: 5, Longest: time.Minute})
	}
	if len(a.fails) > mostTracked {
		t.Errorf("%d are tracked", len(a.fails))
	}
}
