// Package signon learns from an OpenID Connect provider who somebody is.
//
// An answer of the provider counts in the browser that asked for it alone,
// within ten minutes, for the nonce and the PKCE verifier that only that browser
// holds, sealed. An e-mail address counts only if the provider says that it is
// verified. What the person may do is not the provider's to say.
package signon

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"consentsync/internal/auth"
	"consentsync/internal/consent"
)

// Options are how the provider knows us.
type Options struct {
	Issuer       string // its address, below which it tells of itself
	ClientID     string
	ClientSecret string // empty for a public client
	RedirectURL  string // where it sends browsers back to
	Name         string // what people call it
	Client       *http.Client
	Sealer       *auth.Sealer
	Now          func() time.Time
}

// Provider asks an OpenID Connect provider.
type Provider struct {
	Options
	asking singleflight.Group
	mu     sync.Mutex
	found  *oidc.Provider
	failed error     // why it was not found when it was asked last
	again  time.Time // when to ask after that
}

// askAgain is how long a provider that did not answer is left alone, so that a
// crowd that wants to sign in does not wait for it one by one.
const askAgain = 5 * time.Second

// New makes a provider. It is asked what it is when somebody first signs in, so
// that it need not be there before.
func New(o Options) *Provider { return &Provider{Options: o} }

// Who is somebody of whom the provider told.
type Who struct {
	Email string // verified
	Name  string // as the provider has it; may be empty
	// Next and Invitation are what Begin was given.
	Next, Invitation string
}

// asked is what the browser keeps, sealed, until the provider sends it back.
type asked struct {
	State      string `json:"state"`
	Nonce      string `json:"nonce"`
	Verifier   string `json:"verifier"`
	Next       string `json:"next,omitempty"`
	Invitation string `json:"invitation,omitempty"`
	Until      int64  `json:"until"` // Unix seconds
}

// Life is how long somebody may take to sign in at the provider.
const Life = 10 * time.Minute

// Begin gives the address at the provider to send the browser to, and what the
// browser has to keep for Finish. next is where to go afterwards, invitation the
// secret of one to be used, if any.
func (p *Provider) Begin(ctx context.Context, next, invitation string) (address, keep string, err error) {
	config, _, err := p.config(ctx)
	if err != nil {
		return "", "", err
	}
	a := asked{
		State: auth.NewSecret(), Nonce: auth.NewSecret(), Verifier: oauth2.GenerateVerifier(), Next: next, Invitation: invitation,
		Until: p.Now().Add(Life).Unix(),
	}
	plain, err := json.Marshal(a)
	if err != nil {
		return "", "", err
	}
	keep = base64.RawURLEncoding.EncodeToString(p.Sealer.Seal(plain, "signon"))
	return config.AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)), keep, nil
}

// Finish takes what the provider sent back with the browser, and says who it is;
// Unauthorized with the reason if that is not certain.
func (p *Provider) Finish(ctx context.Context, keep string, sent map[string][]string) (*Who, error) {
	get := func(name string) string { return strings.Join(sent[name], " ") }
	a, err := p.kept(keep)
	if err != nil {
		return nil, err
	}
	if get("state") != a.State {
		return nil, refuse("this answer is not to what this browser asked: sign in again", nil)
	}
	if iss := get("iss"); iss != "" && iss != p.Issuer { // RFC 9207
		return nil, refuse("the answer comes from another provider: sign in again", nil)
	}
	if get("error") != "" {
		return nil, refuse(p.Name+" did not let you in", nil)
	}
	config, provider, err := p.config(ctx)
	if err != nil {
		return nil, err
	}
	ctx = oidc.ClientContext(ctx, p.Client)
	token, err := config.Exchange(ctx, get("code"), oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return nil, refuse(p.Name+" does not confirm that you signed in: try again", err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: p.ClientID, Now: p.Now}).Verify(ctx, raw)
	if err != nil {
		return nil, refuse(p.Name+" says who you are in a form that cannot be trusted", err)
	}
	if id.Nonce != a.Nonce {
		return nil, refuse("this answer is not to what this browser asked: sign in again", nil)
	}
	return who(id, a, p.Name)
}

// kept reads what the browser kept.
func (p *Provider) kept(keep string) (a asked, err error) {
	sealed, err := base64.RawURLEncoding.DecodeString(keep)
	if err == nil {
		var plain []byte
		if plain, err = p.Sealer.Open(sealed, "signon"); err == nil {
			err = json.Unmarshal(plain, &a)
		}
	}
	if err != nil || p.Now().Unix() >= a.Until {
		return a, refuse("this took too long, or began in another browser: sign in again", err)
	}
	return a, nil
}

// who reads what a token says.
func who(id *oidc.IDToken, a asked, name string) (*Who, error) {
	var claims struct {
		Email    string `json:"email"`
		Verified any    `json:"email_verified"` // some write it as a text
		Name     string `json:"name"`
	}
	if err := id.Claims(&claims); err != nil {
		return nil, refuse(name+" says who you are in a form that cannot be read", err)
	}
	if claims.Email == "" || claims.Verified != true && claims.Verified != "true" {
		return nil, refuse(name+" does not say that your e-mail address is verified, so it cannot tell who you are here", nil)
	}
	return &Who{Email: claims.Email, Name: claims.Name, Next: a.Next, Invitation: a.Invitation}, nil
}

func refuse(message string, cause error) error {
	return &consent.Error{Kind: consent.Unauthorized, Op: "signon", Message: message, Err: cause}
}

// config gives what the provider told of itself.
func (p *Provider) config(ctx context.Context) (*oauth2.Config, *oidc.Provider, error) {
	found, err := p.discovered()
	if found == nil && err == nil {
		// It is asked once for all who wait, and not under the context of one of
		// them: its keys are fetched under it later, too.
		asked := p.asking.DoChan("", func() (any, error) { return p.discover(context.WithoutCancel(ctx)) })
		select {
		case r := <-asked:
			found, _ = r.Val.(*oidc.Provider)
			err = r.Err
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		return nil, nil, &consent.Error{Kind: consent.Transient, Op: "signon", Message: p.Name + " cannot be reached: try again later, or sign in with a password", Err: err}
	}
	return &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: p.ClientSecret, RedirectURL: p.RedirectURL, Endpoint: found.Endpoint(),
		Scopes: []string{oidc.ScopeOpenID, "email", "profile"},
	}, found, nil
}

// discovered gives what the provider told, or why it did not a moment ago;
// neither if it is to be asked.
func (p *Provider) discovered() (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil && p.Now().Before(p.again) {
		return nil, p.failed
	}
	return p.found, nil
}

// discover asks the provider, unless somebody has just done so.
func (p *Provider) discover(ctx context.Context) (*oidc.Provider, error) {
	if found, err := p.discovered(); found != nil || err != nil {
		return found, err
	}
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, p.Client), p.Issuer)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found, p.failed, p.again = found, err, p.Now().Add(askAgain)
	return found, err
}
