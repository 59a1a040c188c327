package sqlite

import (
	"context"

	"consentsync/internal/store"
)

// Sweep removes what is left of integrations that are gone, some at a time, so
// that accepting is never held up for long. Interrupted, it goes on when it is
// called again.
func (e *Engine) Sweep(ctx context.Context) error {
	for _, r := range store.Remains {
		gone, err := e.gone(ctx, r.Table)
		if err != nil {
			return err
		}
		for _, k := range gone {
			for more := true; more; {
				if more, err = e.removeSome(ctx, sweepSQL(r.Table, r.Key), k.Organization, k.ID); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// gone lists the integrations of which a table has rows though they are gone.
// It jumps from one integration to the next, however many rows each has.
func (e *Engine) gone(ctx context.Context, table string) (gone []store.IntegrationKey, err error) {
	type found struct {
		store.IntegrationKey
		there bool
	}
	next := nextIntegrationSQL(table)
	for last := (store.IntegrationKey{}); ; {
		f, ok, err := one(ctx, e.read, func(row store.Row) (f found, err error) {
			err = row.Scan(&f.Organization, &f.ID, &f.there)
			return f, err
		}, next, last.Organization, last.ID)
		if err != nil || !ok {
			return gone, err
		}
		if last = f.IntegrationKey; !f.there {
			gone = append(gone, last)
		}
	}
}

func nextIntegrationSQL(table string) string {
	return `SELECT organization, integration, EXISTS (SELECT 1 FROM integrations i WHERE i.organization = t.organization AND i.id = t.integration)
		FROM ` + table + ` t WHERE (organization, integration) > (?, ?) ORDER BY organization, integration LIMIT 1`
}

func sweepSQL(table, key string) string {
	return `DELETE FROM ` + table + ` WHERE organization = ?1 AND integration = ?2 AND (` + key + `) IN (
		SELECT ` + key + ` FROM ` + table + ` WHERE organization = ?1 AND integration = ?2 LIMIT ?3)`
}

// forgetChunk bounds how many rows one transaction removes.
const forgetChunk = 2000

// removeSome runs a deletion whose last argument bounds it, and tells whether
// there may be more to remove.
func (e *Engine) removeSome(ctx context.Context, deletion string, args ...any) (more bool, err error) {
	err = e.inTx(ctx, func(tx *transaction) error {
		res, err := tx.ExecContext(ctx, deletion, append(args, forgetChunk)...)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		more = n == forgetChunk
		return err
	})
	return more, err
}
