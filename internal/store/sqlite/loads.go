package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	// The index is named, for SQLite would rather walk through all loads.
	openLoadsSQL    = `SELECT ` + store.LoadColumns + ` FROM loads INDEXED BY loads_open WHERE organization = ? AND integration = ? AND state <> 'done' ORDER BY id`
	newestLoadsSQL  = `SELECT ` + store.LoadColumns + ` FROM loads WHERE organization = ? AND integration = ? ORDER BY id DESC LIMIT ?`
	loadsStartedSQL = `SELECT started_at FROM loads WHERE organization = ? AND integration = ? AND id >= ? AND started_at > ? ORDER BY id`
	loadRowsSQL     = `SELECT ` + store.LoadRowColumns + `
		FROM load_rows r LEFT JOIN people p ON p.organization = r.organization AND p.person = r.person
		WHERE r.organization = ? AND r.integration = ? AND r.load = ? AND r.state = ? AND r.number > ? ORDER BY r.number LIMIT ?`
	fileRowsSQL = `SELECT r.number, r.cells, p.user_id FROM load_rows r
		JOIN deliveries d ON d.organization = r.organization AND d.integration = r.integration AND d.target = 'actito' AND d.person = r.person
		JOIN people p ON p.organization = r.organization AND p.person = r.person
		WHERE r.organization = ? AND r.integration = ? AND r.load = ? AND r.state = 0 AND r.number > ? AND d.state = 'sent' ORDER BY r.number LIMIT ?`
	joinSQL = `UPDATE deliveries SET state = 'sent', class = 2, known = ?, attempted_at = ?, next_at = 0, updated_at = ?, marks = 0
		WHERE organization = ? AND integration = ? AND target = ? AND person = ? AND version = ? AND state = 'pending' AND readback = 0 AND readback_at = 0`
	saveLoadSQL = `INSERT INTO loads (` + store.LoadColumns + `) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
		WHERE EXISTS (SELECT 1 FROM integrations WHERE organization = ?1 AND id = ?2)
		ON CONFLICT DO UPDATE SET state = excluded.state, execution = excluded.execution, outcome = excluded.outcome,
		reason = excluded.reason, started_at = excluded.started_at, ended_at = excluded.ended_at`
	endDeliverySQL = `UPDATE deliveries SET state = ?, class = ?, due_at = ?, version = ?, attempts = ?, known = ?, last_error = ?,
		readback = ?, readback_at = ?, updated_at = ? WHERE ` + oneDelivery
)

// OpenLoads gives the loads of an integration that are not done, the oldest
// first.
func (e *Engine) OpenLoads(ctx context.Context, k store.IntegrationKey) ([]*store.Load, error) {
	return query(ctx, e.read, store.ScanLoad, openLoadsSQL, k.Organization, k.ID)
}

// Loads gives the newest loads of an integration.
func (e *Engine) Loads(ctx context.Context, k store.IntegrationKey, limit int) ([]*store.Load, error) {
	return query(ctx, e.read, store.ScanLoad, newestLoadsSQL, k.Organization, k.ID, limit)
}

// LoadsStarted tells when an integration's loads were handed over, of those after
// a time.
func (e *Engine) LoadsStarted(ctx context.Context, k store.IntegrationKey, after consent.Time) ([]consent.Time, error) {
	first := store.FirstLoadID(after)
	return query(ctx, e.read, scanTime, loadsStartedSQL, k.Organization, k.ID, first[:], int64(after))
}

func scanTime(row store.Row) (at consent.Time, err error) {
	err = row.Scan(&at)
	return at, err
}

// underLease runs f in a transaction if the lease is held, and gives Conflict
// otherwise.
func (e *Engine) underLease(ctx context.Context, l store.Lease, op string, f func(tx *transaction, now consent.Time) error) error {
	return e.inTx(ctx, func(tx *transaction) error {
		now := consent.TimeOf(e.now())
		if ok, err := holds(ctx, tx, l, now); err != nil {
			return err
		} else if !ok {
			return store.LeaseGone(op)
		}
		return f(tx, now)
	})
}

// SaveLoad stores a load under the lease: a new one, or how far it has come.
// Conflict if the lease has gone, NotFound if the integration has.
func (e *Engine) SaveLoad(ctx context.Context, l store.Lease, load *store.Load) error {
	columns, err := store.ToJSON(load.Columns)
	if err != nil {
		return err
	}
	return e.underLease(ctx, l, "sqlite.SaveLoad", func(tx *transaction, _ consent.Time) error {
		res, err := tx.ExecContext(ctx, saveLoadSQL,
			load.Organization, load.ID, load.LoadID[:], string(load.State), load.Epoch, columns, load.People, load.Withdrawals, load.Refused,
			load.Execution, string(load.Outcome), load.Reason, int64(load.CreatedAt), int64(load.StartedAt), int64(load.EndedAt))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, consent.Errorf(consent.NotFound, "sqlite.SaveLoad", "the integration is gone"))
		}
		return nil
	})
}

// ForgetRows removes the rows of a load that is done, some at a time, and
// tells whether there are more.
func (e *Engine) ForgetRows(ctx context.Context, load *store.Load) (more bool, err error) {
	return e.removeSome(ctx, `DELETE FROM load_rows WHERE organization = ?1 AND integration = ?2 AND load = ?3 AND number IN (
		SELECT number FROM load_rows WHERE organization = ?1 AND integration = ?2 AND load = ?3 LIMIT ?4)`,
		load.Organization, load.ID, load.LoadID[:])
}

// JoinLoad puts deliveries into a load that is being built, in the order
// given, and tells which were taken: those that are still due, in the version
// given, with no read outstanding. Conflict if the lease has gone.
func (e *Engine) JoinLoad(ctx context.Context, l store.Lease, load *store.Load, joining []store.Joining) (taken []bool, err error) {
	taken = make([]bool, len(joining))
	people, withdrawals := load.People, load.Withdrawals
	err = e.underLease(ctx, l, "sqlite.JoinLoad", func(tx *transaction, now consent.Time) error {
		sums := store.Tally{}
		for n := range joining {
			j := &joining[n]
			key := []any{load.Organization, load.ID, string(store.TargetActito), j.Person[:]}
			marks, err := marksOf(ctx, tx, key)
			if err != nil {
				return err
			}
			doubt, err := store.ToJSON(j.Doubt)
			if err != nil {
				return err
			}
			res, err := tx.ExecContext(ctx, joinSQL, append(append([]any{doubt, int64(now), int64(now)}, key...), j.Version)...)
			if err != nil {
				return err
			}
			if k, err := res.RowsAffected(); err != nil || k == 0 {
				if err != nil {
					return err
				}
				continue
			}
			people++
			if j.Withdraws() {
				withdrawals++
			}
			taken[n], j.Row = true, int(people)
			sums.Looked(marks)
			if _, err := tx.ExecContext(ctx, `INSERT INTO load_rows (organization, integration, load, number, person, version, class, due_at, cells, rest, stranger)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, load.Organization, load.ID, load.LoadID[:], j.Row, j.Person[:], j.Version, int64(j.Class), int64(j.DueAt),
				j.Cells(), j.Rest, j.Stranger); err != nil {
				return err
			}
		}
		if err := count(ctx, tx, load.IntegrationKey, sums); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE loads SET people = ?, withdrawals = ? WHERE organization = ? AND integration = ? AND id = ?`,
			people, withdrawals, load.Organization, load.ID, load.LoadID[:])
		return err
	})
	if err != nil {
		return nil, err
	}
	load.People, load.Withdrawals = people, withdrawals
	return taken, nil
}

// LoadRows gives rows of a load in a state, by number, from after one.
func (e *Engine) LoadRows(ctx context.Context, load *store.Load, state store.RowState, after, limit int) ([]store.LoadRow, error) {
	return query(ctx, e.read, store.ScanLoadRow, loadRowsSQL, load.Organization, load.ID, load.LoadID[:], int64(state), after, limit)
}

// FileRows gives what stands in the file of a load, by number, from after a
// row: everybody in it who still waits for it. Whoever withdrew meanwhile goes
// by a call of their own.
func (e *Engine) FileRows(ctx context.Context, load *store.Load, after, limit int) ([]store.LoadRow, error) {
	return query(ctx, e.read, store.ScanFileRow, fileRowsSQL, load.Organization, load.ID, load.LoadID[:], after, limit)
}

// RefuseRows records which rows of a load Actito refused, and tells how many
// of them could be found in it. A row that is told by its number alone may be
// the one before or after it, so all three are in doubt. Conflict if the lease
// has gone.
func (e *Engine) RefuseRows(ctx context.Context, l store.Lease, load *store.Load, refused []store.RowRefusal) (found int, err error) {
	err = e.underLease(ctx, l, "sqlite.RefuseRows", func(tx *transaction, _ consent.Time) error {
		found = 0
		for i := range refused {
			ok, err := e.refuse(ctx, tx, load, &refused[i])
			if err != nil {
				return err
			}
			if ok {
				found++
			}
		}
		_, err := tx.ExecContext(ctx, `UPDATE loads SET refused = refused + ? WHERE organization = ? AND integration = ? AND id = ?`,
			found, load.Organization, load.ID, load.LoadID[:])
		return err
	})
	return found, err
}

func (e *Engine) refuse(ctx context.Context, tx *transaction, load *store.Load, r *store.RowRefusal) (found bool, err error) {
	if r.UserID == "" {
		first, last, ok := r.Around(load)
		if !ok {
			return false, nil
		}
		_, err := tx.ExecContext(ctx, `UPDATE load_rows SET refused = ?, doubtful = 1
			WHERE organization = ? AND integration = ? AND load = ? AND number BETWEEN ? AND ? AND refused = ''`,
			r.Why(), load.Organization, load.ID, load.LoadID[:], first, last)
		return err == nil, err
	}
	person := e.hasher.Person(load.Organization, consent.Subject{OrganizationUserID: r.UserID})
	res, err := tx.ExecContext(ctx, `UPDATE load_rows SET refused = ?, doubtful = 0 WHERE organization = ? AND integration = ? AND load = ? AND person = ?`,
		r.Why(), load.Organization, load.ID, load.LoadID[:], person[:])
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// SampleRows has some of a load's open rows that are not refused read back, to
// tell about the others. Only whoever still waits for the load can tell: others
// are passed over. Conflict if the lease has gone.
func (e *Engine) SampleRows(ctx context.Context, l store.Lease, load *store.Load, rows []int) error {
	return e.underLease(ctx, l, "sqlite.SampleRows", func(tx *transaction, now consent.Time) error {
		for _, row := range rows {
			res, err := tx.ExecContext(ctx, `UPDATE deliveries SET readback = max(readback, 1), readback_at = ?1
				WHERE organization = ?2 AND integration = ?3 AND target = 'actito' AND state = 'sent' AND (person, version) IN (
					SELECT person, version FROM load_rows WHERE organization = ?2 AND integration = ?3 AND load = ?4 AND number = ?5 AND state = 0)`,
				int64(now), load.Organization, load.ID, load.LoadID[:], row)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n == 0 {
				if err != nil {
					return err
				}
				continue
			}
			if _, err := tx.ExecContext(ctx, `UPDATE load_rows SET state = 1 WHERE organization = ? AND integration = ? AND load = ? AND number = ?`,
				load.Organization, load.ID, load.LoadID[:], row); err != nil {
				return err
			}
		}
		return nil
	})
}

// EndRows records what became of people of a load that has ended: see
// store.EndRow. It tells how many rows are in another state than before.
// Conflict if the lease has gone.
func (e *Engine) EndRows(ctx context.Context, l store.Lease, load *store.Load, rows []store.LoadRow) (moved int, err error) {
	err = e.underLease(ctx, l, "sqlite.EndRows", func(tx *transaction, now consent.Time) error {
		moved = 0
		sums := store.Tally{}
		for n := range rows {
			end, err := endRow(ctx, tx, load, &rows[n], now)
			if err != nil {
				return err
			}
			if end.Loaded {
				sums[store.CountLoaded]++
			}
			if end.State == rows[n].State {
				continue
			}
			moved++
			if _, err := tx.ExecContext(ctx, `UPDATE load_rows SET state = ? WHERE organization = ? AND integration = ? AND load = ? AND number = ?`,
				int64(end.State), load.Organization, load.ID, load.LoadID[:], rows[n].Row); err != nil {
				return err
			}
		}
		return count(ctx, tx, load.IntegrationKey, sums)
	})
	return moved, err
}

func endRow(ctx context.Context, tx *transaction, load *store.Load, r *store.LoadRow, now consent.Time) (end store.RowEnd, err error) {
	key := []any{load.Organization, load.ID, string(store.TargetActito), r.Person[:]}
	d, err := store.ScanDelivery(tx.QueryRowContext(ctx, selectDeliveries+oneDelivery, key...))
	if err == sql.ErrNoRows { //nolint:errorlint // database/sql returns it bare
		return store.RowEnd{State: store.RowDone}, nil // forgotten meanwhile
	} else if err != nil {
		return end, err
	}
	end = store.EndOf(load, r, d, now)
	if end.Changed {
		known, err := store.ToJSON(d.Known)
		if err != nil {
			return end, err
		}
		if _, err := tx.ExecContext(ctx, endDeliverySQL, append([]any{
			string(d.State), int64(d.Class), int64(d.DueAt), d.Version, d.Attempts, known, d.LastError,
			d.Readback, int64(d.ReadbackAt), int64(d.UpdatedAt),
		}, key...)...); err != nil {
			return end, err
		}
	}
	if !end.Traced {
		return end, nil
	}
	return end, insertCall(ctx, tx, load.Call(r, now))
}
