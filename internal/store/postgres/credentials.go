package postgres

import (
	"context"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	clientSQL    = `SELECT ` + store.ClientColumns + ` FROM webhook_clients WHERE client_id = $1`
	clientsSQL   = `SELECT ` + store.ClientColumns + ` FROM webhook_clients WHERE organization = $1 ORDER BY client_id`
	apiKeySQL    = `SELECT ` + store.APIKeyColumns + ` FROM api_keys WHERE id = $1`
	apiKeysSQL   = `SELECT ` + store.APIKeyColumns + ` FROM api_keys WHERE organization = $1 AND id > $2 ORDER BY id LIMIT $3`
	addAPIKeySQL = `INSERT INTO api_keys (` + store.APIKeyColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
)

var (
	scanClient = scanned(store.ScanWebhookClient)
	scanAPIKey = scanned(store.ScanAPIKey)
)

// AddWebhookClient stores what Didomi will authenticate with.
func (e *Engine) AddWebhookClient(ctx context.Context, c store.WebhookClient, changes ...store.Change) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO webhook_clients (client_id, organization, header, secret_hash, created_at) VALUES ($1, $2, $3, $4, $5)`,
			c.ClientID, c.Organization, c.Header, c.SecretHash[:], int64(c.CreatedAt))
		if err != nil {
			return err
		}
		return tx.record(ctx, changes)
	})
}

// WebhookClient reads a client; NotFound if there is none.
func (e *Engine) WebhookClient(ctx context.Context, clientID string) (*store.WebhookClient, error) {
	c, ok, err := one(ctx, e, scanClient, clientSQL, plain(clientID))
	if err == nil && !ok {
		err = store.ErrNoClient
	}
	return c, err
}

// WebhookClients lists the clients of an organization. There are few.
func (e *Engine) WebhookClients(ctx context.Context, organization string) ([]*store.WebhookClient, error) {
	return query(ctx, e, scanClient, clientsSQL, plain(organization))
}

// RotateWebhookClient gives a client another secret; the one that it has is as
// good until a time. NotFound if the organization has no such client.
func (e *Engine) RotateWebhookClient(ctx context.Context, organization, clientID string, secret [32]byte, until consent.Time, changes ...store.Change) error {
	return e.changeOne(ctx, store.ErrNoClient, changes, `UPDATE webhook_clients SET previous_hash = secret_hash, previous_until = $1, secret_hash = $2
		WHERE organization = $3 AND client_id = $4`, int64(until), secret[:], plain(organization), plain(clientID))
}

// RemoveWebhookClient forgets a client; NotFound if the organization has no
// such client.
func (e *Engine) RemoveWebhookClient(ctx context.Context, organization, clientID string, changes ...store.Change) error {
	return e.changeOne(ctx, store.ErrNoClient, changes, `DELETE FROM webhook_clients WHERE organization = $1 AND client_id = $2`, plain(organization), plain(clientID))
}

// changeOne changes one row, or is missing where there is none; with nil for
// missing that is no fault, and nothing is recorded.
func (e *Engine) changeOne(ctx context.Context, missing error, changes []store.Change, text string, args ...any) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		tag, err := tx.Exec(ctx, text, args...)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return missing
		}
		return tx.record(ctx, changes)
	})
}

// AddAPIKey stores a key of the API.
func (e *Engine) AddAPIKey(ctx context.Context, k store.APIKey, changes ...store.Change) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, addAPIKeySQL,
			plain(k.Organization), k.ID, k.Hash[:], plain(k.Name), k.Role, plain(k.CreatedBy), int64(k.CreatedAt), int64(k.ExpiresAt), int64(k.UsedAt))
		if err != nil {
			return err
		}
		return tx.record(ctx, changes)
	})
}

// APIKey reads a key by what it begins with, expired or not; NotFound if there
// is none.
func (e *Engine) APIKey(ctx context.Context, id string) (*store.APIKey, error) {
	k, ok, err := one(ctx, e, scanAPIKey, apiKeySQL, plain(id))
	if err == nil && !ok {
		err = store.ErrNoAPIKey
	}
	return k, err
}

// APIKeys lists the keys of an organization by id, from after one.
func (e *Engine) APIKeys(ctx context.Context, organization, after string, limit int) ([]*store.APIKey, error) {
	return query(ctx, e, scanAPIKey, apiKeysSQL, plain(organization), plain(after), limit)
}

// UseAPIKey notes when a key was used.
func (e *Engine) UseAPIKey(ctx context.Context, organization, id string, at consent.Time) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, `UPDATE api_keys SET used_at = greatest(used_at, $1) WHERE organization = $2 AND id = $3`, int64(at), plain(organization), plain(id))
		return err
	})
}

// RevokeAPIKey forgets a key; NotFound if the organization has no such key.
func (e *Engine) RevokeAPIKey(ctx context.Context, organization, id string, changes ...store.Change) error {
	return e.changeOne(ctx, store.ErrNoAPIKey, changes, `DELETE FROM api_keys WHERE organization = $1 AND id = $2`, plain(organization), plain(id))
}
