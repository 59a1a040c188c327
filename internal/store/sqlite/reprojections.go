package sqlite

import (
	"context"
	"database/sql"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const selectReprojections = `SELECT ` + store.ReprojectionColumns + ` FROM reprojections WHERE `

// Reprojections lists the re-projections that have work to do, the oldest
// first.
func (e *Engine) Reprojections(ctx context.Context) ([]store.Reprojection, error) {
	return query(ctx, e.read, store.ScanReprojection, selectReprojections+`state IN ('counting', 'granting') ORDER BY started_at`)
}

// Reprojection reads that of an integration; ok is false if there is none.
func (e *Engine) Reprojection(ctx context.Context, k store.IntegrationKey) (r store.Reprojection, ok bool, err error) {
	return one(ctx, e.read, store.ScanReprojection, selectReprojections+`organization = ? AND integration = ?`, k.Organization, k.ID)
}

// AdvanceReprojection makes people due and stores how far the re-projection
// has come, in one transaction, if nobody restarted it or brought it further
// meanwhile. A re-projection that is done is removed.
func (e *Engine) AdvanceReprojection(ctx context.Context, r store.Reprojection, due []store.Due, changes ...store.Change) error {
	return e.inTx(ctx, func(tx *transaction) error {
		var stored store.Reprojection
		err := tx.QueryRowContext(ctx, `SELECT started_at, state, cursor FROM reprojections WHERE organization = ? AND integration = ?`,
			r.Organization, r.ID).Scan(&stored.StartedAt, &stored.State, &stored.Cursor)
		if err != nil || r.Behind(stored) {
			return ignoreNoRows(err)
		}
		rows := make([]dueRow, len(due))
		for n, d := range due {
			k := store.DeliveryKey{Organization: r.Organization, Integration: r.ID, Target: r.Only.Towards(), Person: d.Person}
			rows[n] = dueRow{k, d.Class, d.ConsentAt, d.At, d.HoldGrants, 0}
		}
		if err := markDue(ctx, tx, rows...); err != nil {
			return err
		}
		if r.Only != (store.Only{}) { // a retry: what was refused is tried again
			for n := range rows {
				if err := forgive(ctx, tx, rows[n].DeliveryKey); err != nil {
					return err
				}
			}
		}
		if r.State == store.ReprojectionDone {
			_, err = tx.ExecContext(ctx, `DELETE FROM reprojections WHERE organization = ? AND integration = ?`, r.Organization, r.ID)
		} else {
			_, err = tx.ExecContext(ctx, `UPDATE reprojections SET state = ?, cursor = ?, people = ?, withdrawals = ?, grants = ?
				WHERE organization = ? AND integration = ?`, string(r.State), blob(r.Cursor), r.People, r.Withdrawals, r.Grants, r.Organization, r.ID)
		}
		if err != nil {
			return err
		}
		return record(ctx, tx, changes)
	})
}

// MakeDue makes one delivery due, whatever its state; NotFound if the person
// or the integration is not known.
func (e *Engine) MakeDue(ctx context.Context, k store.DeliveryKey, class store.Class, consentAt consent.Time, changes ...store.Change) error {
	return e.inTx(ctx, func(tx *transaction) error {
		var there bool
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM people WHERE organization = ?1 AND person = ?2)
			AND EXISTS (SELECT 1 FROM integrations WHERE organization = ?1 AND id = ?3)`, k.Organization, k.Person[:], k.Integration).Scan(&there); err != nil {
			return err
		}
		if !there {
			return consent.Errorf(consent.NotFound, "sqlite.MakeDue", "nothing is known of this person")
		}
		now := consent.TimeOf(e.now())
		// What is believed to be in effect is looked at: somebody else may have
		// changed it.
		if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET readback = max(readback, 1), readback_at = ?
			WHERE organization = ? AND integration = ? AND target = ? AND person = ? AND state = 'synced'`,
			int64(now), k.Organization, k.Integration, string(k.Target), k.Person[:]); err != nil {
			return err
		}
		if err := markDue(ctx, tx, dueRow{k, class, consentAt, now, false, 0}); err != nil {
			return err
		}
		if err := forgive(ctx, tx, k); err != nil {
			return err
		}
		// A replay is wanted now: no back-off holds it.
		_, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 'pending', next_at = 0, attempts = 0
			WHERE organization = ? AND integration = ? AND target = ? AND person = ? AND state = 'waiting'`, k.Organization, k.Integration, string(k.Target), k.Person[:])
		if err != nil {
			return err
		}
		return record(ctx, tx, changes)
	})
}

// forgive forgets which values Actito refused, so that they are tried again.
func forgive(ctx context.Context, tx *transaction, k store.DeliveryKey) error {
	key := deliveryKey(k)
	var known string
	if err := tx.QueryRowContext(ctx, `SELECT known FROM deliveries WHERE `+oneDelivery, key...).Scan(&known); err != nil {
		return err
	}
	known, err := store.Forgive(known)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE deliveries SET known = ? WHERE `+oneDelivery, append([]any{known}, key...)...)
	return err
}

func ignoreNoRows(err error) error {
	if err == sql.ErrNoRows { //nolint:errorlint // database/sql returns it bare
		return nil
	}
	return err
}
