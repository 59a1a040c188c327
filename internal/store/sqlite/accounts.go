package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// SecretKey reads a sealed key of the installation; if there is none yet, it
// stores what make gives.
func (e *Engine) SecretKey(ctx context.Context, name string, make func() ([]byte, error)) (sealed []byte, err error) {
	err = e.inTx(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT sealed FROM secret_keys WHERE name = ?`, name).Scan(&sealed)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if sealed, err = make(); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO secret_keys (name, sealed) VALUES (?, ?)`, name, sealed)
		return err
	})
	return sealed, err
}

// SetFeature creates an organization where needed and says whether it may use
// the Actito integration.
func (e *Engine) SetFeature(ctx context.Context, organization string, actito bool, changes ...store.Change) error {
	return e.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO organizations (organization, actito, created_at) VALUES (?, ?, ?)
			ON CONFLICT DO UPDATE SET actito = excluded.actito`, organization, actito, int64(consent.TimeOf(e.now()))); err != nil {
			return err
		}
		return record(ctx, tx, changes)
	})
}

// Feature tells whether an organization exists and may use the integration.
func (e *Engine) Feature(ctx context.Context, organization string) (exists, actito bool, err error) {
	err = e.read.QueryRowContext(ctx, `SELECT actito FROM organizations WHERE organization = ?`, organization).Scan(&actito)
	if errors.Is(err, sql.ErrNoRows) {
		return false, false, nil
	}
	return err == nil, actito, classify(err)
}

// AddWebhookClient stores what Didomi will authenticate with.
func (e *Engine) AddWebhookClient(ctx context.Context, c store.WebhookClient, changes ...store.Change) error {
	return e.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO webhook_clients (client_id, organization, secret_hash, created_at) VALUES (?, ?, ?, ?)`,
			c.ClientID, c.Organization, c.SecretHash[:], int64(c.CreatedAt)); err != nil {
			return err
		}
		return record(ctx, tx, changes)
	})
}

// WebhookClient reads a client; NotFound if there is none.
func (e *Engine) WebhookClient(ctx context.Context, clientID string) (*store.WebhookClient, error) {
	c := &store.WebhookClient{ClientID: clientID}
	var hash []byte
	err := e.read.QueryRowContext(ctx, `SELECT organization, secret_hash, created_at FROM webhook_clients WHERE client_id = ?`, clientID).
		Scan(&c.Organization, &hash, &c.CreatedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, consent.Errorf(consent.NotFound, "sqlite.WebhookClient", "no such client")
	}
	copy(c.SecretHash[:], hash)
	return c, classify(err)
}
