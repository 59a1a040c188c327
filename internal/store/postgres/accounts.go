package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/store"
)

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
