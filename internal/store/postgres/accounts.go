package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

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
