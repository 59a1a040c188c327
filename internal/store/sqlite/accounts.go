package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// SetFeature creates an organization where needed and says whether it may use
// the Actito integration.
func (e *Engine) SetFeature(ctx context.Context, organization string, actito bool, changes ...store.Change) error {
	return e.inTx(ctx, func(tx *transaction) error {
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
