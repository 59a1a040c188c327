package sqlite

import (
	"context"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// CatchUp reads how far an organization's catch-up is; the zero one if there never
// was any.
func (e *Engine) CatchUp(ctx context.Context, organization string) (store.CatchUp, error) {
	c, ok, err := one(ctx, e.read, store.ScanCatchUp(organization), `SELECT version, body FROM catch_ups WHERE organization = ?`, organization)
	if !ok {
		c = store.CatchUp{Organization: organization}
	}
	return c, err
}

// SaveCatchUp stores it, with the record of the change, if nobody has changed what
// was read; Conflict otherwise. The version of c grows.
func (e *Engine) SaveCatchUp(ctx context.Context, c *store.CatchUp, changes ...store.Change) error {
	body, err := store.ToJSON(c)
	if err != nil {
		return err
	}
	err = e.inTx(ctx, func(tx *transaction) error {
		text, args := `UPDATE catch_ups SET version = version + 1, body = ?2 WHERE organization = ?1 AND version = ?3`, []any{c.Organization, body, c.Version}
		if c.Version == 0 {
			text, args = `INSERT INTO catch_ups (organization, version, body) VALUES (?1, 1, ?2) ON CONFLICT DO NOTHING`, args[:2]
		}
		res, err := tx.ExecContext(ctx, text, args...)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, c.Superseded())
		}
		return record(ctx, tx, changes)
	})
	if err == nil {
		c.Version++
	}
	return err
}

// Recompare has everybody compared for every integration of an organization.
func (e *Engine) Recompare(ctx context.Context, organization string) error {
	return e.inTx(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, recompareSQL, organization, int64(consent.TimeOf(e.now())))
		return err
	})
}
