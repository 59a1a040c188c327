package accounts

import (
	"context"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"consentsync/internal/auth"
	"consentsync/internal/changes"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// KeyPrefix is what every key of the API begins with, so that one that got
// somewhere it should not be is recognized.
const KeyPrefix = "csk_"

// How long a key of the API lives: where nobody says, and at most.
const (
	usualKeyDays = 90
	mostKeyDays  = 366
	mostKeyName  = 100
)

// APIKeyView is a key of the API as shown. Only the answer to its making has
// the key itself.
type APIKeyView struct {
	ID        string        `json:"id"`
	Name      string        `json:"name"`
	Role      Role          `json:"role"`
	CreatedBy string        `json:"created_by"`
	CreatedAt consent.Time  `json:"created_at"`
	ExpiresAt consent.Time  `json:"expires_at"`
	UsedAt    *consent.Time `json:"used_at"`
	Key       string        `json:"key,omitempty"`
}

// NewAPIKey is what somebody asks for.
type NewAPIKey struct {
	Name string `json:"name"`
	Role string `json:"role"`
	Days *int   `json:"expires_in_days"`
}

func (n *NewAPIKey) check() (Role, time.Duration, error) {
	n.Name = strings.TrimSpace(n.Name)
	if n.Name == "" || utf8.RuneCountInString(n.Name) > mostKeyName {
		return "", 0, incoming.RefuseField("name", fmt.Sprintf("is required, in at most %d letters: say what the key is for", mostKeyName))
	}
	role, err := parseRole(n.Role)
	if err != nil {
		return "", 0, err
	}
	days := usualKeyDays
	if n.Days != nil {
		days = *n.Days
	}
	if days < 1 || days > mostKeyDays {
		return "", 0, incoming.RefuseField("expires_in_days", fmt.Sprintf("must be a whole number from 1 to %d", mostKeyDays))
	}
	return role, time.Duration(days) * 24 * time.Hour, nil
}

// AddAPIKey makes a key with which a program calls the API for an organization,
// or for all. It is told this once.
func (s *Service) AddAPIKey(ctx context.Context, organization string, n NewAPIKey) (*APIKeyView, error) {
	role, life, err := n.check()
	if err != nil {
		return nil, err
	}
	if err := s.exists(ctx, organization); err != nil {
		return nil, err
	}
	id := KeyPrefix + auth.NewSecret()[:12]
	key := id + "." + auth.NewSecret()
	now := consent.TimeOf(s.now())
	k := store.APIKey{
		Organization: organization, ID: id, Hash: auth.Hash(key), Name: n.Name, Role: string(role), CreatedBy: changes.Actor(ctx),
		CreatedAt: now, ExpiresAt: now.Add(life),
	}
	err = s.store.AddAPIKey(ctx, k, changes.New(ctx, s.now(), organization, "", "api_key.added",
		store.Detail{Name: "key", Is: id}, store.Detail{Name: "name", Is: k.Name}, store.Detail{Name: "role", Is: k.Role}))
	if err != nil {
		return nil, err
	}
	v := apiKeyView(&k)
	v.Key = key
	return &v, nil
}

func apiKeyView(k *store.APIKey) APIKeyView {
	return APIKeyView{
		ID: k.ID, Name: k.Name, Role: Role(k.Role), CreatedBy: k.CreatedBy, CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, UsedAt: k.UsedAt.OrNil(),
	}
}

// APIKeys lists the keys of an organization, from after one; next is empty at
// the end.
func (s *Service) APIKeys(ctx context.Context, organization, after string, limit int) (views []APIKeyView, next string, err error) {
	if err := s.exists(ctx, organization); err != nil {
		return nil, "", err
	}
	found, err := s.store.APIKeys(ctx, organization, after, limit+1)
	if err != nil {
		return nil, "", err
	}
	if len(found) > limit {
		found = found[:limit]
		next = found[limit-1].ID
	}
	views = []APIKeyView{}
	for _, k := range found {
		views = append(views, apiKeyView(k))
	}
	return views, next, nil
}

// RevokeAPIKey makes a key worthless at once.
func (s *Service) RevokeAPIKey(ctx context.Context, organization, id string) error {
	return s.store.RevokeAPIKey(ctx, organization, id, changes.New(ctx, s.now(), organization, "", "api_key.revoked", store.Detail{Name: "key", Was: id}))
}

var errNoProgram = consent.Errorf(consent.Unauthorized, "accounts", "the bearer token is missing, wrong or expired")

// Program gives who calls with a key of the API: Unauthorized if nobody does,
// RateLimited where it was tried in vain too often. from is where the call
// comes from.
func (s *Service) Program(ctx context.Context, key, from string) (*Actor, error) {
	id, _, _ := strings.Cut(key, ".")
	pair := auth.Limit{By: "key " + id + " " + from, Free: 10, Longest: time.Minute}
	everywhere := auth.Limit{By: "key from " + from, Free: 100, Longest: time.Minute}
	if wait := s.attempts.Blocked(s.now(), pair, everywhere); wait > 0 {
		return nil, auth.TooMany(wait)
	}
	k, err := s.program(ctx, id, key)
	switch {
	case err != nil:
		return nil, err
	case k == nil:
		s.attempts.Failed(s.now(), pair, everywhere)
		return nil, errNoProgram
	}
	s.attempts.Forget(pair)
	now := consent.TimeOf(s.now())
	if now.Sub(k.UsedAt) >= keepEvery {
		if err := s.store.UseAPIKey(ctx, k.Organization, k.ID, now); err != nil {
			return nil, err
		}
	}
	return &Actor{User: store.User{ID: k.ID, Email: "key " + k.ID, Name: k.Name}, roles: map[string]Role{k.Organization: Role(k.Role)}}, nil
}

// program finds the key; nil if there is none that is worth something.
func (s *Service) program(ctx context.Context, id, key string) (*store.APIKey, error) {
	if !strings.HasPrefix(id, KeyPrefix) {
		return nil, nil //nolint:nilnil // no key is no fault
	}
	k, err := s.store.APIKey(ctx, id)
	if err != nil && consent.KindOf(err) != consent.NotFound {
		return nil, err
	}
	var expected [32]byte
	there := err == nil
	if there {
		expected = k.Hash
	}
	given := auth.Hash(key)
	if subtle.ConstantTimeCompare(given[:], expected[:]) != 1 || !there || consent.TimeOf(s.now()) >= k.ExpiresAt || !slices.Contains(Roles, Role(k.Role)) {
		return nil, nil //nolint:nilnil // as above
	}
	return k, nil
}

// ByToken is who acts with the platform administrator's token.
const ByToken = "platform administrator's token"

// Owner is who holds the platform administrator's token.
func Owner() *Actor {
	return &Actor{User: store.User{Email: ByToken}, roles: map[string]Role{store.Everywhere: Administrator}}
}
