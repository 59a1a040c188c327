package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// MarkRestored says that the database was brought back to an older state: see
// store.Integration.Restored. It gives how many integrations it has paused.
func (e *Engine) MarkRestored(ctx context.Context) (paused int, err error) {
	err = e.inTx(ctx, func(tx *transaction) error {
		now := consent.TimeOf(e.now())
		if _, err := tx.ExecContext(ctx, `UPDATE organizations SET restored_at = ?`, int64(now)); err != nil {
			return err
		}
		// How an open load has ended is not to be learnt any more, whatever
		// Actito says of it: everybody in it is due again.
		if _, err := tx.ExecContext(ctx, `UPDATE loads SET state = 'building' WHERE state <> 'done'`); err != nil {
			return err
		}
		// What was to be sent may have been sent since the backup was made.
		if _, err := tx.ExecContext(ctx, `UPDATE messages SET state = 'unclear', ended_at = ?, next_at = 0, reason = ? WHERE state IN ('pending', 'in_flight')`,
			int64(now), store.RestoredMessage); err != nil {
			return err
		}
		all, err := snapshots(ctx, tx)
		if err != nil {
			return err
		}
		for i := range all {
			x := &all[i]
			x.Restored(now)
			snapshot, err := store.ToJSON(x.Snapshot)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `UPDATE integrations SET status = ?, status_reason = ?, snapshot = ?, revision = revision + 1, updated_at = max(?, updated_at + 1)
				WHERE organization = ? AND id = ?`, string(x.Status), x.StatusReason, snapshot, int64(now), x.Organization, x.ID); err != nil {
				return err
			}
		}
		paused = len(all)
		return nil
	})
	return paused, err
}

// snapshots reads all integrations as far as MarkRestored needs them.
func snapshots(ctx context.Context, tx *transaction) (all []store.Integration, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT organization, id, snapshot FROM integrations`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var i store.Integration
		var snapshot string
		if err := rows.Scan(&i.Organization, &i.ID, &snapshot); err != nil {
			return nil, err
		}
		if err := store.FromJSON(snapshot, &i.Snapshot); err != nil {
			return nil, err
		}
		all = append(all, i)
	}
	return all, rows.Err()
}

// RestoredAt tells when an organization's data were last brought back to an
// older state; 0 for never.
func (e *Engine) RestoredAt(ctx context.Context, organization string) (at consent.Time, err error) {
	err = e.read.QueryRowContext(ctx, `SELECT restored_at FROM organizations WHERE organization = ?`, organization).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return at, classify(err)
}
