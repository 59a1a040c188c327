package postgres

import (
	"context"
	"slices"

	"consentsync/internal/store"
)

// Sweep removes what is left of integrations that are gone, some at a time, so
// that nobody is held up for long. Interrupted, it goes on when it is called
// again, by whichever node.
func (e *Engine) Sweep(ctx context.Context) error {
	for _, r := range store.Remains {
		gone, err := query(ctx, e, scanned(store.ScanIntegrationKey), goneSQL(r.Table))
		if err != nil {
			return err
		}
		for _, k := range gone {
			for removed := int64(1); removed > 0; {
				if removed, err = e.removeSome(ctx, sweepSQL(r.Table, r.Key), k.Organization, k.ID); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// goneSQL lists the integrations of which a table has rows though they are
// gone. It jumps from one integration to the next, however many rows each has.
func goneSQL(table string) string {
	return `WITH RECURSIVE k(organization, integration) AS (
			(SELECT organization, integration FROM ` + table + ` ORDER BY organization, integration LIMIT 1)
			UNION ALL
			SELECT next.* FROM k CROSS JOIN LATERAL (
				SELECT t.organization, t.integration FROM ` + table + ` t
				WHERE (t.organization, t.integration) > (k.organization, k.integration) ORDER BY t.organization, t.integration LIMIT 1) AS next
		) SELECT organization, integration FROM k
		WHERE NOT EXISTS (SELECT 1 FROM integrations i WHERE i.organization = k.organization AND i.id = k.integration)`
}

// sweepSQL chooses once what it removes. A row that somebody changed meanwhile
// is left for the next time.
func sweepSQL(table, key string) string {
	return `DELETE FROM ` + table + ` WHERE ctid = ANY(ARRAY(
		SELECT ctid FROM ` + table + ` WHERE organization = $1 AND integration = $2 ORDER BY ` + key + ` LIMIT $3 FOR UPDATE))`
}

// forgetChunk bounds how many rows one transaction removes.
const forgetChunk = 2000

// removeSome runs a deletion whose last argument bounds it, and tells how many
// rows are gone.
func (e *Engine) removeSome(ctx context.Context, deletion string, args ...any) (removed int64, err error) {
	args = append(slices.Clip(args), forgetChunk)
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		tag, err := tx.Exec(ctx, deletion, args...)
		removed = tag.RowsAffected()
		return err
	})
	return removed, err
}
