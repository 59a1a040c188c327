package sqlite

import (
	"context"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	startReconciliationSQL = `INSERT INTO reconciliations (` + store.ReconciliationColumns + `) SELECT ?1, ?2, ?3, 1, ?4, ?5
		WHERE EXISTS (SELECT 1 FROM integrations WHERE organization = ?1 AND id = ?2)`
	selectReconciliations = `SELECT ` + store.ReconciliationColumns + ` FROM reconciliations WHERE `
	stageHeldSQL          = `INSERT INTO held_blocks (organization, integration, run, slice, number, rows) VALUES (?, ?, ?, ?, ?, ?)`
	heldRowsSQL           = `SELECT rows FROM held_blocks WHERE organization = ? AND integration = ? AND run = ? AND slice = ? ORDER BY number`
	heldOfSQL             = `SELECT integration, run, number, rows FROM held_blocks WHERE organization = ? AND slice = ?`
	forgetHeldSQL         = `DELETE FROM held_blocks WHERE organization = ?1 AND integration = ?2 AND (run, slice, number) IN
		(SELECT run, slice, number FROM held_blocks WHERE organization = ?1 AND integration = ?2 AND run <> ?3 LIMIT ?4)`
	readSQL = `UPDATE deliveries SET readback = max(readback, 1), readback_at = ? WHERE ` + oneDelivery + ` AND state = 'synced'`
)

// StartReconciliation stores a new one, with the record of the change, in the place
// of those that are not done, by an export or by reads as it is itself. NotFound if
// there is no such integration.
func (e *Engine) StartReconciliation(ctx context.Context, r *store.Reconciliation, changes ...store.Change) error {
	body, err := store.ToJSON(r)
	if err != nil {
		return err
	}
	err = e.inTx(ctx, func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx, `UPDATE reconciliations SET state = 'replaced', version = version + 1
			WHERE organization = ?1 AND integration = ?2 AND state IN ('loading', 'comparing', 'reading') AND (state = 'reading') = ?3`, r.Organization, r.ID, r.ByReads()); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, startReconciliationSQL, r.Organization, r.ID, r.RunID[:], string(r.State), body)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, consent.Errorf(consent.NotFound, "sqlite.StartReconciliation", "no such integration"))
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM reconciliations WHERE organization = ?1 AND integration = ?2 AND state <> 'reading' AND id <
			(SELECT id FROM reconciliations WHERE organization = ?1 AND integration = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)`, r.Organization, r.ID, store.MostReconciliations-1)
		if err != nil {
			return err
		}
		return record(ctx, tx, changes)
	})
	if err == nil {
		r.Version = 1
	}
	return err
}

// Reconciliation reads one; NotFound if there is none.
func (e *Engine) Reconciliation(ctx context.Context, k store.IntegrationKey, id store.ID) (*store.Reconciliation, error) {
	r, ok, err := one(ctx, e.read, store.ScanReconciliation, selectReconciliations+`organization = ? AND integration = ? AND id = ?`, k.Organization, k.ID, id[:])
	if err == nil && !ok {
		err = consent.Errorf(consent.NotFound, "sqlite.Reconciliation", "no such reconciliation")
	}
	return r, err
}

// Reconciliations lists those of an integration, the newest first.
func (e *Engine) Reconciliations(ctx context.Context, k store.IntegrationKey, limit int) ([]*store.Reconciliation, error) {
	return query(ctx, e.read, store.ScanReconciliation, selectReconciliations+`organization = ? AND integration = ? ORDER BY id DESC LIMIT ?`, k.Organization, k.ID, limit)
}

// Reconciling lists those that compare, of all organizations.
func (e *Engine) Reconciling(ctx context.Context) ([]*store.Reconciliation, error) {
	return query(ctx, e.read, store.ScanReconciliation, selectReconciliations+`state = 'comparing' ORDER BY organization, integration`)
}

// StageHeld keeps rows of the export, the last of a person, together with how far
// the reconciliation is; Conflict if it was changed meanwhile.
func (e *Engine) StageHeld(ctx context.Context, r *store.Reconciliation, rows []store.HeldRow) error {
	number := r.Version // of the reconciliation before: it grows with each part
	return e.saveReconciliation(ctx, r, func(tx *transaction) error {
		for _, b := range store.HeldBlocks(rows) {
			if _, err := tx.ExecContext(ctx, stageHeldSQL, r.Organization, r.ID, r.RunID[:], int64(b.Slice), number, b.Rows); err != nil {
				return err
			}
		}
		return nil
	})
}

// HeldRows lists the rows of one of store.HeldSlices of a reconciliation, by
// person.
func (e *Engine) HeldRows(ctx context.Context, r *store.Reconciliation, slice int) ([]store.HeldRow, error) {
	blocks, err := query(ctx, e.read, scanBytes, heldRowsSQL, r.Organization, r.ID, r.RunID[:], slice)
	if err != nil {
		return nil, err
	}
	return store.HeldRows(blocks)
}

// eraseHeld erases a person's rows of exports that are being compared.
func eraseHeld(ctx context.Context, tx *transaction, organization string, person store.PersonKey) error {
	blocks, err := query(ctx, tx, store.ScanStoredHeld, heldOfSQL, organization, store.HeldSliceOf(person))
	if err != nil {
		return err
	}
	return store.EraseFrom(blocks, person, func(b *store.StoredHeld) []byte { return b.Rows }, func(b *store.StoredHeld, rest []byte) error {
		_, err := tx.ExecContext(ctx, `UPDATE held_blocks SET rows = ? WHERE organization = ? AND integration = ? AND run = ? AND slice = ? AND number = ?`,
			blob(rest), organization, b.Integration, b.Run, store.HeldSliceOf(person), b.Number)
		return err
	})
}

// SaveReconciliation stores how far one is together with what follows from it;
// Conflict if it was changed meanwhile. Of one that is done the rows are
// forgotten by ForgetHeld.
func (e *Engine) SaveReconciliation(ctx context.Context, r *store.Reconciliation, s store.ReconciliationStep) error {
	return e.saveReconciliation(ctx, r, func(tx *transaction) error {
		now := consent.TimeOf(e.now())
		if err := learnHeld(ctx, tx, r, s.Learnt, int64(now)); err != nil {
			return err
		}
		to := func(p store.PersonKey) store.DeliveryKey {
			return store.DeliveryKey{Organization: r.Organization, Integration: r.ID, Target: store.TargetActito, Person: p}
		}
		due := make([]dueRow, len(s.Due))
		for n, d := range s.Due {
			due[n] = dueRow{to(d.Person), d.Class, d.ConsentAt, now, d.HoldGrants, 0}
		}
		if err := markDue(ctx, tx, due...); err != nil {
			return err
		}
		for _, p := range s.Read {
			if _, err := tx.ExecContext(ctx, readSQL, append([]any{int64(now)}, deliveryKey(to(p))...)...); err != nil {
				return err
			}
		}
		return nil
	})
}

var (
	knownLookup = newLookup(`SELECT person, known FROM deliveries WHERE organization = ? AND integration = ? AND target = 'actito' AND person`)
	saveKnown   = newMultiInsert(`INSERT INTO deliveries (organization, integration, target, person, state, class, consent_at, due_at, updated_at, known)`,
		`(?, ?, 'actito', ?, 'synced', 2, ?, ?, ?, ?)`, `ON CONFLICT DO UPDATE SET known = excluded.known`)
)

// learnHeld adds to what is known of profiles.
func learnHeld(ctx context.Context, tx *transaction, r *store.Reconciliation, learnt []store.Learnt, now int64) error {
	keys := make([]store.PersonKey, len(learnt))
	for n := range learnt {
		keys[n] = learnt[n].Person
	}
	known := make(map[store.PersonKey]string, len(learnt))
	err := knownLookup.each(keys, []any{r.Organization, r.ID}, func(text string, args []any) error {
		rows, err := tx.QueryContext(ctx, text, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var person []byte
			var is string
			if err := rows.Scan(&person, &is); err != nil {
				return err
			}
			known[store.PersonKey(person)] = is
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	for n := range learnt {
		l := &learnt[n]
		if known[l.Person], err = l.Learn(known[l.Person]); err != nil {
			return err
		}
	}
	return saveKnown.run(ctx, tx, len(learnt), func(values []any, n int) []any {
		l := &learnt[n]
		return append(values, r.Organization, r.ID, l.Person[:], int64(l.At), int64(l.At), now, known[l.Person])
	})
}

func (e *Engine) saveReconciliation(ctx context.Context, r *store.Reconciliation, f func(*transaction) error) error {
	body, err := store.ToJSON(r)
	if err != nil {
		return err
	}
	err = e.inTx(ctx, func(tx *transaction) error {
		res, err := tx.ExecContext(ctx, `UPDATE reconciliations SET version = version + 1, state = ?, body = ? WHERE organization = ? AND integration = ? AND id = ? AND version = ?`,
			string(r.State), body, r.Organization, r.ID, r.RunID[:], r.Version)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, r.Superseded())
		}
		return f(tx)
	})
	if err == nil {
		r.Version++
	}
	return err
}

// ForgetHeld removes rows of an integration's reconciliations but those of keep,
// at most so many, and tells whether there are more.
func (e *Engine) ForgetHeld(ctx context.Context, k store.IntegrationKey, keep store.ID, limit int) (more bool, err error) {
	err = e.inTx(ctx, func(tx *transaction) error {
		res, err := tx.ExecContext(ctx, forgetHeldSQL, k.Organization, k.ID, keep[:], limit)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		more = n >= int64(limit)
		return err
	})
	return more, err
}
