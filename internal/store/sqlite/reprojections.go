package sqlite

import (
	"context"
	"database/sql"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const reprojectionColumns = `organization, integration, state, cursor, people, withdrawals, grants, started_at`

func (e *Engine) reprojectionsWhere(ctx context.Context, where string, args ...any) ([]store.Reprojection, error) {
	rows, err := e.read.QueryContext(ctx, `SELECT `+reprojectionColumns+` FROM reprojections WHERE `+where, args...) //nolint:gosec // the text is a constant of this package
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	var found []store.Reprojection
	for rows.Next() {
		var r store.Reprojection
		if err := rows.Scan(&r.Organization, &r.ID, &r.State, &r.Cursor, &r.People, &r.Withdrawals, &r.Grants, &r.StartedAt); err != nil {
			return nil, classify(err)
		}
		found = append(found, r)
	}
	return found, classify(rows.Err())
}

// Reprojections lists the re-projections that have work to do, the oldest
// first.
func (e *Engine) Reprojections(ctx context.Context) ([]store.Reprojection, error) {
	return e.reprojectionsWhere(ctx, `state IN ('counting', 'granting') ORDER BY started_at`)
}

// Reprojection reads that of an integration; ok is false if there is none.
func (e *Engine) Reprojection(ctx context.Context, k store.IntegrationKey) (r store.Reprojection, ok bool, err error) {
	found, err := e.reprojectionsWhere(ctx, `organization = ? AND integration = ?`, k.Organization, k.ID)
	if err != nil || len(found) == 0 {
		return r, false, err
	}
	return found[0], true, nil
}

// AdvanceReprojection makes people due and stores how far the re-projection
// has come, in one transaction, if nobody restarted it or brought it further
// meanwhile. A
// re-projection that is done is removed.
func (e *Engine) AdvanceReprojection(ctx context.Context, r store.Reprojection, due []store.Due) error {
	return e.inTx(ctx, func(tx *sql.Tx) error {
		var stored store.Reprojection
		err := tx.QueryRowContext(ctx, `SELECT started_at, state, cursor FROM reprojections WHERE organization = ? AND integration = ?`,
			r.Organization, r.ID).Scan(&stored.StartedAt, &stored.State, &stored.Cursor)
		if err != nil || r.Behind(stored) {
			return ignoreNoRows(err)
		}
		for _, d := range due {
			if _, err := tx.ExecContext(ctx, markDueSQL, r.Organization, r.ID, d.Person[:], int64(d.Class), int64(d.ConsentAt), int64(d.At), d.HoldGrants, 0, string(store.TargetActito)); err != nil {
				return err
			}
		}
		if r.State == store.ReprojectionDone {
			_, err := tx.ExecContext(ctx, `DELETE FROM reprojections WHERE organization = ? AND integration = ?`, r.Organization, r.ID)
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE reprojections SET state = ?, cursor = ?, people = ?, withdrawals = ?, grants = ?
			WHERE organization = ? AND integration = ?`, string(r.State), blob(r.Cursor), r.People, r.Withdrawals, r.Grants, r.Organization, r.ID)
		return err
	})
}

// MakeDue makes one delivery due, whatever its state; NotFound if the person
// or the integration is not known.
func (e *Engine) MakeDue(ctx context.Context, k store.DeliveryKey, class store.Class, consentAt consent.Time) error {
	return e.inTx(ctx, func(tx *sql.Tx) error {
		var there bool
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM people WHERE organization = ?1 AND person = ?2)
			AND EXISTS (SELECT 1 FROM integrations WHERE organization = ?1 AND id = ?3)`, k.Organization, k.Person[:], k.Integration).Scan(&there); err != nil {
			return err
		}
		if !there {
			return consent.Errorf(consent.NotFound, "sqlite.MakeDue", "nothing is known of this person")
		}
		now := int64(consent.TimeOf(e.now()))
		// What is believed to be in effect is looked at: somebody else may have
		// changed it.
		if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET readback = max(readback, 1), readback_at = ?
			WHERE organization = ? AND integration = ? AND target = ? AND person = ? AND state = 'synced'`,
			now, k.Organization, k.Integration, string(k.Target), k.Person[:]); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, markDueSQL, k.Organization, k.Integration, k.Person[:], int64(class), int64(consentAt), now, false, 0, string(k.Target)); err != nil {
			return err
		}
		if err := forgive(ctx, tx, k); err != nil {
			return err
		}
		// A replay is wanted now: no back-off holds it.
		_, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 'pending', next_at = 0, attempts = 0
			WHERE organization = ? AND integration = ? AND target = ? AND person = ? AND state = 'waiting'`, k.Organization, k.Integration, string(k.Target), k.Person[:])
		return err
	})
}

// forgive forgets which values Actito refused, so that they are tried again.
func forgive(ctx context.Context, tx *sql.Tx, k store.DeliveryKey) error {
	key := []any{k.Organization, k.Integration, string(k.Target), k.Person[:]}
	var text string
	if err := tx.QueryRowContext(ctx, `SELECT known FROM deliveries WHERE organization = ? AND integration = ? AND target = ? AND person = ?`, key...).Scan(&text); err != nil {
		return err
	}
	var known consent.Known
	if err := fromJSON(text, &known); err != nil {
		return err
	}
	text, err := toJSON(known.Forgive())
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE deliveries SET known = ? WHERE organization = ? AND integration = ? AND target = ? AND person = ?`, append([]any{text}, key...)...)
	return err
}

func ignoreNoRows(err error) error {
	if err == sql.ErrNoRows { //nolint:errorlint // database/sql returns it bare
		return nil
	}
	return err
}
