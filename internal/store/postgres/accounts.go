package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// SecretKey reads a sealed key of the installation; if there is none yet, it
// stores what make gives, unless another node was faster.
func (e *Engine) SecretKey(ctx context.Context, name string, make func() ([]byte, error)) ([]byte, error) {
	const read = `SELECT sealed FROM secret_keys WHERE name = $1`
	sealed, ok, err := one(ctx, e, pgx.RowTo[[]byte], read, name)
	if err != nil || ok {
		return sealed, err
	}
	fresh, err := make()
	if err != nil {
		return nil, err
	}
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO secret_keys (name, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING`, name, fresh); err != nil {
			return err
		}
		return tx.QueryRow(ctx, read, name).Scan(&sealed)
	})
	return sealed, err
}

// SetFeature creates an organization where needed and says whether it may use
// the Actito integration.
func (e *Engine) SetFeature(ctx context.Context, organization string, actito bool, changes ...store.Change) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO organizations (organization, actito, created_at) VALUES ($1, $2, $3)
			ON CONFLICT (organization) DO UPDATE SET actito = excluded.actito`, organization, actito, int64(tx.now))
		if err != nil {
			return err
		}
		return tx.record(ctx, changes)
	})
}

// Feature tells whether an organization exists and may use the integration.
func (e *Engine) Feature(ctx context.Context, organization string) (exists, actito bool, err error) {
	actito, exists, err = one(ctx, e, pgx.RowTo[bool], `SELECT actito FROM organizations WHERE organization = $1`, organization)
	return exists, actito, err
}

// AddWebhookClient stores what Didomi will authenticate with.
func (e *Engine) AddWebhookClient(ctx context.Context, c store.WebhookClient, changes ...store.Change) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO webhook_clients (client_id, organization, secret_hash, created_at) VALUES ($1, $2, $3, $4)`,
			c.ClientID, c.Organization, c.SecretHash[:], int64(c.CreatedAt))
		if err != nil {
			return err
		}
		return tx.record(ctx, changes)
	})
}

// WebhookClient reads a client; NotFound if there is none.
func (e *Engine) WebhookClient(ctx context.Context, clientID string) (*store.WebhookClient, error) {
	c, ok, err := one(ctx, e, func(row pgx.CollectableRow) (*store.WebhookClient, error) {
		c := &store.WebhookClient{ClientID: clientID}
		var hash []byte
		err := row.Scan(&c.Organization, &hash, &c.CreatedAt)
		copy(c.SecretHash[:], hash)
		return c, err
	}, `SELECT organization, secret_hash, created_at FROM webhook_clients WHERE client_id = $1`, plain(clientID))
	if err == nil && !ok {
		err = consent.Errorf(consent.NotFound, "postgres.WebhookClient", "no such client")
	}
	return c, err
}
