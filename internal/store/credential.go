package store

import (
	"bytes"
	"slices"

	"consentsync/internal/consent"
)

// WebhookClient is what Didomi authenticates with when it calls us.
type WebhookClient struct {
	Organization string
	ClientID     string
	// Header says that the secret comes along with each webhook, instead of
	// being exchanged for an access token.
	Header     bool
	SecretHash [32]byte
	// PreviousHash is of the secret before, which is as good until PreviousUntil.
	PreviousHash  [32]byte
	PreviousUntil consent.Time
	CreatedAt     consent.Time
}

// ErrNoClient and ErrNoAPIKey say that an organization has no such thing, or
// that nobody has.
var (
	ErrNoClient = consent.Errorf(consent.NotFound, "store", "no such client")
	ErrNoAPIKey = consent.Errorf(consent.NotFound, "store", "no such key")
)

// ScanWebhookClient reads ClientColumns.
func ScanWebhookClient(row Row) (*WebhookClient, error) {
	c := &WebhookClient{}
	var hash, previous []byte
	err := row.Scan(&c.Organization, &c.ClientID, &c.Header, &hash, &previous, &c.PreviousUntil, &c.CreatedAt)
	copy(c.SecretHash[:], hash)
	copy(c.PreviousHash[:], previous)
	return c, err
}

// APIKey is what a program calls the API with.
type APIKey struct {
	Organization string // Everywhere for all
	ID           string // what the key begins with
	Hash         [32]byte
	Name         string // what it is for
	Role         string
	CreatedBy    string
	CreatedAt    consent.Time
	ExpiresAt    consent.Time
	UsedAt       consent.Time // to a few minutes; 0 for never
}

// ScanAPIKey reads APIKeyColumns.
func ScanAPIKey(row Row) (*APIKey, error) {
	k := &APIKey{}
	var hash []byte
	err := row.Scan(&k.Organization, &k.ID, &hash, &k.Name, &k.Role, &k.CreatedBy, &k.CreatedAt, &k.ExpiresAt, &k.UsedAt)
	copy(k.Hash[:], hash)
	return k, err
}

// SecretKey is a key of the installation, sealed with the master key.
type SecretKey struct {
	Name   string
	Sealed []byte
	// RetiredAt is since when another key seals in its place; 0 for never.
	RetiredAt consent.Time
}

// ErrKeysChanged says that other keys are stored than were read.
var ErrKeysChanged = consent.Errorf(consent.Conflict, "store", "the keys have changed meanwhile")

// SameKeys tells whether two lists hold the same keys, sealed in the same way, in
// the same order.
func SameKeys(a, b []SecretKey) bool {
	return slices.EqualFunc(a, b, func(x, y SecretKey) bool { return x.Name == y.Name && bytes.Equal(x.Sealed, y.Sealed) })
}

// ScanSecretKey reads a name, the sealed key, and since when it is retired.
func ScanSecretKey(row Row) (k SecretKey, err error) {
	err = row.Scan(&k.Name, &k.Sealed, &k.RetiredAt)
	return k, err
}
