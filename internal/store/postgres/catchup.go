package postgres

import (
	"context"

	"consentsync/internal/store"
)

// CatchUp reads how far an organization's catch-up is; the zero one if there never
// was any.
func (e *Engine) CatchUp(ctx context.Context, organization string) (store.CatchUp, error) {
	c, ok, err := one(ctx, e, scanned(store.ScanCatchUp(organization)), `SELECT version, body FROM catch_ups WHERE organization = $1`, organization)
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
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		text, args := `UPDATE catch_ups SET version = version + 1, body = $2 WHERE organization = $1 AND version = $3`, []any{c.Organization, plain(body), c.Version}
		if c.Version == 0 {
			text, args = `INSERT INTO catch_ups (organization, version, body) VALUES ($1, 1, $2) ON CONFLICT DO NOTHING`, args[:2]
		}
		tag, err := tx.Exec(ctx, text, args...)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return c.Superseded()
		}
		return tx.record(ctx, changes)
	})
	if err == nil {
		c.Version++
	}
	return err
}

// Recompare has everybody compared for every integration of an organization.
func (e *Engine) Recompare(ctx context.Context, organization string) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		if err := tx.shareOrganization(ctx, organization); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, recompareSQL, organization, int64(tx.now))
		return err
	})
}
