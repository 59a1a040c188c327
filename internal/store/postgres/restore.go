package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// needsRestored keeps programs out that know nothing of restores, nor of copies:
// they would send what has to be held, or start on half a copy.
const needsRestored = `UPDATE compatibility SET oldest = greatest(oldest, 5)`

// MarkRestored says that the database was brought back to an older state: see
// store.Integration.Restored. It gives how many integrations it has paused.
func (e *Engine) MarkRestored(ctx context.Context) (paused int, err error) {
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		all, err := collect(ctx, tx, func(row pgx.CollectableRow) (i store.Integration, err error) {
			var snapshot string
			if err := row.Scan(&i.Organization, &i.ID, &snapshot); err != nil {
				return i, err
			}
			return i, store.FromJSON(snapshot, &i.Snapshot)
		}, `SELECT organization, id, snapshot FROM integrations ORDER BY organization, id FOR UPDATE`)
		if err != nil {
			return err
		}
		var b pgx.Batch
		b.Queue(`UPDATE organizations SET restored_at = $1`, int64(tx.now))
		// How an open load has ended is not to be learnt any more, whatever
		// Actito says of it: everybody in it is due again.
		b.Queue(`UPDATE loads SET state = 'building' WHERE state <> 'done'`)
		// What was to be sent may have been sent since the backup was made.
		b.Queue(`UPDATE messages SET state = 'unclear', ended_at = $1, next_at = 0, reason = $2 WHERE state IN ('pending', 'in_flight')`, int64(tx.now), store.RestoredMessage)
		b.Queue(needsRestored)
		b.Queue(`DELETE FROM nodes`) // they ran on another database
		for i := range all {
			x := &all[i]
			x.Restored(tx.now)
			snapshot, err := store.ToJSON(x.Snapshot)
			if err != nil {
				return err
			}
			b.Queue(`UPDATE integrations SET status = $3, status_reason = $4, snapshot = $5, revision = revision + 1, updated_at = greatest($6, updated_at + 1)
				WHERE organization = $1 AND id = $2`, x.Organization, x.ID, string(x.Status), x.StatusReason, snapshot, int64(tx.now))
		}
		paused = len(all)
		return tx.run(ctx, &b)
	})
	return paused, err
}

// RestoredAt tells when an organization's data were last brought back to an
// older state; 0 for never.
func (e *Engine) RestoredAt(ctx context.Context, organization string) (consent.Time, error) {
	at, _, err := one(ctx, e, pgx.RowTo[consent.Time], `SELECT restored_at FROM organizations WHERE organization = $1`, organization)
	return at, err
}
