package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	selectReconciliations = `SELECT ` + store.ReconciliationColumns + ` FROM reconciliations WHERE `
	heldRowsSQL           = `SELECT rows FROM held_blocks WHERE organization = $1 AND integration = $2 AND run = $3 AND slice = $4 ORDER BY number`
	heldOfSQL             = `SELECT integration, run, number, rows FROM held_blocks WHERE organization = $1 AND slice = $2 ORDER BY integration, run, number FOR UPDATE`
	stageHeldSQL          = `INSERT INTO held_blocks (organization, integration, run, slice, number, rows)
		SELECT $1, $2, $3, s, $4, r FROM unnest($5::bigint[], $6::bytea[]) AS u(s, r)`
	forgetHeldSQL = `DELETE FROM held_blocks WHERE organization = $1 AND integration = $2 AND (run, slice, number) IN
		(SELECT run, slice, number FROM held_blocks WHERE organization = $1 AND integration = $2 AND run <> $3 LIMIT $4)`
	learnSQL = `INSERT INTO deliveries (organization, integration, target, person, state, class, consent_at, due_at, updated_at, known)
		SELECT $1, $2, 'actito', p, 'synced', 2, $5::bigint, $5::bigint, $6::bigint, k FROM unnest($3::bytea[], $4::text[]) AS u(p, k) ORDER BY p
		ON CONFLICT (organization, integration, target, person) DO UPDATE SET known = excluded.known`
	readSQL = `UPDATE deliveries SET readback = greatest(readback, 1), readback_at = $4
		WHERE organization = $1 AND integration = $2 AND target = 'actito' AND person = ANY($3::bytea[]) AND state = 'synced'`
)

var scanReconciliation = scanned(store.ScanReconciliation)

// StartReconciliation stores a new one, with the record of the change, in the place
// of those that are not done, by an export or by reads as it is itself. NotFound if
// there is no such integration.
func (e *Engine) StartReconciliation(ctx context.Context, r *store.Reconciliation, changes ...store.Change) error {
	body, err := store.ToJSON(r)
	if err != nil {
		return err
	}
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		if err := tx.shareOrganization(ctx, r.Organization); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE reconciliations SET state = 'replaced', version = version + 1
			WHERE organization = $1 AND integration = $2 AND state IN ('loading', 'comparing', 'reading') AND (state = 'reading') = $3`, r.Organization, r.ID, r.ByReads()); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `INSERT INTO reconciliations (`+store.ReconciliationColumns+`) SELECT $1, $2, $3, 1, $4, $5
			WHERE EXISTS (SELECT 1 FROM integrations WHERE organization = $1 AND id = $2)`, r.Organization, r.ID, r.RunID[:], string(r.State), plain(body))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return consent.Errorf(consent.NotFound, "postgres.StartReconciliation", "no such integration")
		}
		_, err = tx.Exec(ctx, `DELETE FROM reconciliations WHERE organization = $1 AND integration = $2 AND state <> 'reading' AND id <
			(SELECT id FROM reconciliations WHERE organization = $1 AND integration = $2 ORDER BY id DESC LIMIT 1 OFFSET $3)`, r.Organization, r.ID, store.MostReconciliations-1)
		if err != nil {
			return err
		}
		return tx.record(ctx, changes)
	})
	if err == nil {
		r.Version = 1
	}
	return err
}

// Reconciliation reads one; NotFound if there is none.
func (e *Engine) Reconciliation(ctx context.Context, k store.IntegrationKey, id store.ID) (*store.Reconciliation, error) {
	r, ok, err := one(ctx, e, scanReconciliation, selectReconciliations+`organization = $1 AND integration = $2 AND id = $3`, k.Organization, k.ID, id[:])
	if err == nil && !ok {
		err = consent.Errorf(consent.NotFound, "postgres.Reconciliation", "no such reconciliation")
	}
	return r, err
}

// Reconciliations lists those of an integration, the newest first.
func (e *Engine) Reconciliations(ctx context.Context, k store.IntegrationKey, limit int) ([]*store.Reconciliation, error) {
	return query(ctx, e, scanReconciliation, selectReconciliations+`organization = $1 AND integration = $2 ORDER BY id DESC LIMIT $3`, k.Organization, k.ID, limit)
}

// Reconciling lists those that compare, of all organizations.
func (e *Engine) Reconciling(ctx context.Context) ([]*store.Reconciliation, error) {
	return query(ctx, e, scanReconciliation, selectReconciliations+`state = 'comparing' ORDER BY organization, integration`)
}

// StageHeld keeps rows of the export, the last of a person, together with how far
// the reconciliation is; Conflict if it was changed meanwhile.
func (e *Engine) StageHeld(ctx context.Context, r *store.Reconciliation, rows []store.HeldRow) error {
	var places []int64
	var blocks [][]byte
	for _, b := range store.HeldBlocks(rows) {
		places, blocks = append(places, int64(b.Slice)), append(blocks, b.Rows)
	}
	number := r.Version // of the reconciliation before: it grows with each part
	return e.saveReconciliation(ctx, r, func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, stageHeldSQL, r.Organization, r.ID, r.RunID[:], number, places, blocks)
		return err
	})
}

// HeldRows lists the rows of one of store.HeldSlices of a reconciliation, by
// person.
func (e *Engine) HeldRows(ctx context.Context, r *store.Reconciliation, slice int) ([]store.HeldRow, error) {
	blocks, err := query(ctx, e, pgx.RowTo[[]byte], heldRowsSQL, r.Organization, r.ID, r.RunID[:], slice)
	if err != nil {
		return nil, err
	}
	return store.HeldRows(blocks)
}

// eraseHeld erases a person's rows of exports that are being compared.
func eraseHeld(ctx context.Context, tx *tx, b *pgx.Batch, organization string, person store.PersonKey) error {
	blocks, err := collect(ctx, tx, scanned(store.ScanStoredHeld), heldOfSQL, organization, store.HeldSliceOf(person))
	if err != nil {
		return err
	}
	return store.EraseFrom(blocks, person, func(h *store.StoredHeld) []byte { return h.Rows }, func(h *store.StoredHeld, rest []byte) error {
		b.Queue(`UPDATE held_blocks SET rows = $6 WHERE organization = $1 AND integration = $2 AND run = $3 AND slice = $4 AND number = $5`,
			organization, h.Integration, h.Run, store.HeldSliceOf(person), h.Number, blob(rest))
		return nil
	})
}

// SaveReconciliation stores how far one is together with what follows from it;
// Conflict if it was changed meanwhile. Of one that is done the rows are
// forgotten by ForgetHeld.
func (e *Engine) SaveReconciliation(ctx context.Context, r *store.Reconciliation, s store.ReconciliationStep) error {
	due := slices.Clone(s.Due)
	return e.saveReconciliation(ctx, r, func(ctx context.Context, tx *tx) error {
		if err := tx.shareOrganization(ctx, r.Organization); err != nil {
			return err
		}
		var b pgx.Batch
		if err := tx.learn(ctx, &b, r, s.Learnt); err != nil {
			return err
		}
		for i := range due {
			due[i].Organization, due[i].Events, due[i].At = r.Organization, 0, tx.now
		}
		if len(due) > 0 {
			queueMarks(&b, r.ID, store.TargetActito, due, nil)
		}
		if len(s.Read) > 0 {
			b.Queue(readSQL, r.Organization, r.ID, keysOf(s.Read), int64(tx.now))
		}
		return tx.run(ctx, &b)
	})
}

func keysOf(people []store.PersonKey) [][]byte {
	keys := make([][]byte, len(people))
	for i := range people {
		keys[i] = people[i][:]
	}
	return keys
}

// learn adds to what is known of profiles.
func (t *tx) learn(ctx context.Context, b *pgx.Batch, r *store.Reconciliation, learnt []store.Learnt) error {
	if len(learnt) == 0 {
		return nil
	}
	people := make([]store.PersonKey, len(learnt))
	for i := range learnt {
		people[i] = learnt[i].Person
	}
	stored := make(map[store.PersonKey]string, len(learnt))
	rows, err := t.Query(ctx, `SELECT person, known FROM deliveries WHERE organization = $1 AND integration = $2 AND target = 'actito' AND person = ANY($3::bytea[])
		ORDER BY person FOR UPDATE`, r.Organization, r.ID, keysOf(people))
	if err != nil {
		return err
	}
	var person []byte
	var known string
	if _, err := pgx.ForEachRow(rows, []any{&person, &known}, func() error {
		stored[store.PersonKey(person)] = known
		return nil
	}); err != nil {
		return err
	}
	texts := make([]string, len(learnt))
	for i := range learnt {
		if texts[i], err = learnt[i].Learn(stored[people[i]]); err != nil {
			return err
		}
	}
	b.Queue(learnSQL, r.Organization, r.ID, keysOf(people), texts, int64(r.AsOf), int64(t.now))
	return nil
}

func (e *Engine) saveReconciliation(ctx context.Context, r *store.Reconciliation, f func(context.Context, *tx) error) error {
	body, err := store.ToJSON(r)
	if err != nil {
		return err
	}
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		tag, err := tx.Exec(ctx, `UPDATE reconciliations SET version = version + 1, state = $5, body = $6 WHERE organization = $1 AND integration = $2 AND id = $3 AND version = $4`,
			r.Organization, r.ID, r.RunID[:], r.Version, string(r.State), plain(body))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return r.Superseded()
		}
		return f(ctx, tx)
	})
	if err == nil {
		r.Version++
	}
	return err
}

// ForgetHeld removes rows of an integration's reconciliations but those of keep,
// at most so many, and tells whether there are more.
func (e *Engine) ForgetHeld(ctx context.Context, k store.IntegrationKey, keep store.ID, limit int) (more bool, err error) {
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		tag, err := tx.Exec(ctx, forgetHeldSQL, k.Organization, k.ID, keep[:], limit)
		more = tag.RowsAffected() >= int64(limit)
		return err
	})
	return more, err
}
