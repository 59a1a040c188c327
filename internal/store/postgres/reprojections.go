package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const selectReprojections = `SELECT ` + store.ReprojectionColumns + ` FROM reprojections WHERE `

var scanReprojection = scanned(store.ScanReprojection)

// Reprojections lists the re-projections that have work to do, the oldest
// first.
func (e *Engine) Reprojections(ctx context.Context) ([]store.Reprojection, error) {
	return query(ctx, e, scanReprojection, selectReprojections+`state IN ('counting', 'granting') ORDER BY started_at`)
}

// Reprojection reads that of an integration; ok is false if there is none.
func (e *Engine) Reprojection(ctx context.Context, k store.IntegrationKey) (r store.Reprojection, ok bool, err error) {
	return one(ctx, e, scanReprojection, selectReprojections+`organization = $1 AND integration = $2`, k.Organization, k.ID)
}

// AdvanceReprojection makes people due and stores how far the re-projection
// has come, in one transaction, if nobody restarted it or brought it further
// meanwhile. A re-projection that is done is removed.
func (e *Engine) AdvanceReprojection(ctx context.Context, r store.Reprojection, due []store.Due, changes ...store.Change) error {
	due = slices.Clone(due)
	for i := range due {
		due[i].Organization, due[i].Events = r.Organization, 0
	}
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		stored, err := collect(ctx, tx, scanReprojection, selectReprojections+`organization = $1 AND integration = $2 FOR UPDATE`, r.Organization, r.ID)
		if err != nil || len(stored) == 0 || r.Behind(stored[0]) {
			return err
		}
		var b pgx.Batch
		if len(due) > 0 {
			queueMarks(&b, r.ID, r.Only.Towards(), due, nil)
		}
		if r.Only != (store.Only{}) { // a retry: what was refused is tried again
			if err := tx.forgiveAll(ctx, &b, r, due); err != nil {
				return err
			}
		}
		if r.State == store.ReprojectionDone {
			b.Queue(`DELETE FROM reprojections WHERE organization = $1 AND integration = $2`, r.Organization, r.ID)
		} else {
			b.Queue(`UPDATE reprojections SET state = $3, cursor = $4, people = $5, withdrawals = $6, grants = $7
				WHERE organization = $1 AND integration = $2`, r.Organization, r.ID, string(r.State), blob(r.Cursor), r.People, r.Withdrawals, r.Grants)
		}
		if err := queueChanges(&b, changes); err != nil {
			return err
		}
		return tx.run(ctx, &b)
	})
}

// MakeDue makes one delivery due, whatever its state; NotFound if the person
// or the integration is not known.
func (e *Engine) MakeDue(ctx context.Context, k store.DeliveryKey, class store.Class, consentAt consent.Time, changes ...store.Change) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		if err := tx.shareOrganization(ctx, k.Organization); err != nil {
			return err
		}
		var there bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM people WHERE organization = $1 AND person = $2)
			AND EXISTS (SELECT 1 FROM integrations WHERE organization = $1 AND id = $3)`, k.Organization, k.Person[:], k.Integration).Scan(&there); err != nil {
			return err
		}
		if !there {
			return consent.Errorf(consent.NotFound, "postgres.MakeDue", "nothing is known of this person")
		}
		var b pgx.Batch
		// What is believed to be in effect is looked at: somebody else may have
		// changed it.
		b.Queue(`UPDATE deliveries SET readback = greatest(readback, 1), readback_at = $5 WHERE `+oneDelivery+` AND state = 'synced'`,
			append(deliveryKey(k), int64(tx.now))...)
		queueMarks(&b, k.Integration, k.Target, []store.Due{{
			SubjectKey: store.SubjectKey{Organization: k.Organization, Person: k.Person}, Class: class, ConsentAt: consentAt, At: tx.now,
		}}, nil)
		var known string
		b.Queue(`SELECT known FROM deliveries WHERE `+oneDelivery, deliveryKey(k)...).QueryRow(func(row pgx.Row) error { return row.Scan(&known) })
		if err := tx.run(ctx, &b); err != nil {
			return err
		}
		forgiven, err := store.Forgive(known)
		if err != nil {
			return err
		}
		// A replay is wanted now: no back-off holds it.
		_, err = tx.Exec(ctx, `UPDATE deliveries SET known = $5, state = CASE state WHEN 'waiting' THEN 'pending' ELSE state END,
			next_at = CASE state WHEN 'waiting' THEN 0 ELSE next_at END, attempts = CASE state WHEN 'waiting' THEN 0 ELSE attempts END
			WHERE `+oneDelivery, append(deliveryKey(k), forgiven)...)
		if err != nil {
			return err
		}
		return tx.record(ctx, changes)
	})
}

// forgiveAll forgets which values Actito refused of all who are made due.
func (t *tx) forgiveAll(ctx context.Context, b *pgx.Batch, r store.Reprojection, due []store.Due) error {
	people := make([][]byte, len(due))
	for i := range due {
		people[i] = due[i].Person[:]
	}
	deliveries, err := collect(ctx, t, scanDelivery, lockDeliveriesSQL, r.Organization, r.ID, string(r.Only.Towards()), people)
	if err != nil {
		return err
	}
	for _, d := range deliveries {
		known, err := store.ToJSON(d.Known.Forgive())
		if err != nil {
			return err
		}
		b.Queue(`UPDATE deliveries SET known = $5 WHERE `+oneDelivery, append(deliveryKey(d.DeliveryKey), known)...)
	}
	return nil
}
