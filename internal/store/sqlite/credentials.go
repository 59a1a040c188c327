package sqlite

import (
	"context"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	clientSQL    = `SELECT ` + store.ClientColumns + ` FROM webhook_clients WHERE client_id = ?`
	clientsSQL   = `SELECT ` + store.ClientColumns + ` FROM webhook_clients WHERE organization = ? ORDER BY client_id`
	apiKeySQL    = `SELECT ` + store.APIKeyColumns + ` FROM api_keys WHERE id = ?`
	apiKeysSQL   = `SELECT ` + store.APIKeyColumns + ` FROM api_keys WHERE organization = ? AND id > ? ORDER BY id LIMIT ?`
	addAPIKeySQL = `INSERT INTO api_keys (` + store.APIKeyColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

// AddWebhookClient stores what Didomi will authenticate with.
func (e *Engine) AddWebhookClient(ctx context.Context, c store.WebhookClient, changes ...store.Change) error {
	return e.inTx(ctx, func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO webhook_clients (client_id, organization, header, secret_hash, created_at) VALUES (?, ?, ?, ?, ?)`,
			c.ClientID, c.Organization, c.Header, c.SecretHash[:], int64(c.CreatedAt)); err != nil {
			return err
		}
		return record(ctx, tx, changes)
	})
}

// WebhookClient reads a client; NotFound if there is none.
func (e *Engine) WebhookClient(ctx context.Context, clientID string) (*store.WebhookClient, error) {
	c, ok, err := one(ctx, e.read, store.ScanWebhookClient, clientSQL, clientID)
	if err == nil && !ok {
		err = store.ErrNoClient
	}
	return c, err
}

// WebhookClients lists the clients of an organization. There are few.
func (e *Engine) WebhookClients(ctx context.Context, organization string) ([]*store.WebhookClient, error) {
	return query(ctx, e.read, store.ScanWebhookClient, clientsSQL, organization)
}

// RotateWebhookClient gives a client another secret; the one that it has is as
// good until a time. NotFound if the organization has no such client.
func (e *Engine) RotateWebhookClient(ctx context.Context, organization, clientID string, secret [32]byte, until consent.Time, changes ...store.Change) error {
	return e.changeOne(ctx, store.ErrNoClient, changes, `UPDATE webhook_clients SET previous_hash = secret_hash, previous_until = ?, secret_hash = ?
		WHERE organization = ? AND client_id = ?`, int64(until), secret[:], organization, clientID)
}

// RemoveWebhookClient forgets a client; NotFound if the organization has no
// such client.
func (e *Engine) RemoveWebhookClient(ctx context.Context, organization, clientID string, changes ...store.Change) error {
	return e.changeOne(ctx, store.ErrNoClient, changes, `DELETE FROM webhook_clients WHERE organization = ? AND client_id = ?`, organization, clientID)
}

// changeOne changes one row, or is missing where there is none; with nil for
// missing that is no fault, and nothing is recorded.
func (e *Engine) changeOne(ctx context.Context, missing error, changes []store.Change, text string, args ...any) error {
	return e.inTx(ctx, func(tx *transaction) error {
		res, err := tx.ExecContext(ctx, text, args...)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, missing)
		}
		return record(ctx, tx, changes)
	})
}

// AddAPIKey stores a key of the API.
func (e *Engine) AddAPIKey(ctx context.Context, k store.APIKey, changes ...store.Change) error {
	return e.inTx(ctx, func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx, addAPIKeySQL,
			k.Organization, k.ID, k.Hash[:], k.Name, k.Role, k.CreatedBy, int64(k.CreatedAt), int64(k.ExpiresAt), int64(k.UsedAt)); err != nil {
			return err
		}
		return record(ctx, tx, changes)
	})
}

// APIKey reads a key by what it begins with, expired or not; NotFound if there
// is none.
func (e *Engine) APIKey(ctx context.Context, id string) (*store.APIKey, error) {
	k, ok, err := one(ctx, e.read, store.ScanAPIKey, apiKeySQL, id)
	if err == nil && !ok {
		err = store.ErrNoAPIKey
	}
	return k, err
}

// APIKeys lists the keys of an organization by id, from after one.
func (e *Engine) APIKeys(ctx context.Context, organization, after string, limit int) ([]*store.APIKey, error) {
	return query(ctx, e.read, store.ScanAPIKey, apiKeysSQL, organization, after, limit)
}

// UseAPIKey notes when a key was used.
func (e *Engine) UseAPIKey(ctx context.Context, organization, id string, at consent.Time) error {
	return e.inTx(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, `UPDATE api_keys SET used_at = max(used_at, ?) WHERE organization = ? AND id = ?`, int64(at), organization, id)
		return err
	})
}

// RevokeAPIKey forgets a key; NotFound if the organization has no such key.
func (e *Engine) RevokeAPIKey(ctx context.Context, organization, id string, changes ...store.Change) error {
	return e.changeOne(ctx, store.ErrNoAPIKey, changes, `DELETE FROM api_keys WHERE organization = ? AND id = ?`, organization, id)
}
