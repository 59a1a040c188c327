package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	openLoadsSQL    = `SELECT ` + store.LoadColumns + ` FROM loads WHERE organization = $1 AND integration = $2 AND state <> 'done' ORDER BY id`
	newestLoadsSQL  = `SELECT ` + store.LoadColumns + ` FROM loads WHERE organization = $1 AND integration = $2 ORDER BY id DESC LIMIT $3`
	loadsStartedSQL = `SELECT started_at FROM loads WHERE organization = $1 AND integration = $2 AND id >= $3 AND started_at > $4 ORDER BY id`
	loadRowsSQL     = `SELECT ` + store.LoadRowColumns + `
		FROM load_rows r LEFT JOIN people p ON p.organization = r.organization AND p.person = r.person
		WHERE r.organization = $1 AND r.integration = $2 AND r.load = $3 AND r.state = $4 AND r.number > $5 ORDER BY r.number LIMIT $6`
	fileRowsSQL = `SELECT r.number, r.cells, p.user_id FROM load_rows r
		JOIN deliveries d ON d.organization = r.organization AND d.integration = r.integration AND d.target = 'actito' AND d.person = r.person
		JOIN people p ON p.organization = r.organization AND p.person = r.person
		WHERE r.organization = $1 AND r.integration = $2 AND r.load = $3 AND r.state = 0 AND r.number > $4 AND d.state = 'sent' ORDER BY r.number LIMIT $5`
	joinSQL = `UPDATE deliveries SET state = 'sent', class = 2, known = $5, attempted_at = $6, next_at = 0, updated_at = $6, marks = 0 WHERE ` + oneDelivery
	joinRow = `INSERT INTO load_rows (organization, integration, load, number, person, version, class, due_at, cells, rest, stranger)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	marksSQL = `SELECT person, version, marks, state = 'pending' AND readback = 0 AND readback_at = 0 FROM deliveries
		WHERE organization = $1 AND integration = $2 AND target = $3 AND person = ANY($4::bytea[]) ORDER BY person FOR UPDATE`
	endDeliverySQL = `UPDATE deliveries SET state = $5, class = $6, due_at = $7, version = $8, attempts = $9, known = $10, last_error = $11,
		readback = $12, readback_at = $13, updated_at = $14 WHERE ` + oneDelivery
	forgetRowsSQL = `DELETE FROM load_rows WHERE ctid = ANY(ARRAY(
		SELECT ctid FROM load_rows WHERE organization = $1 AND integration = $2 AND load = $3 ORDER BY number LIMIT $4))`
	sampleSQL = `UPDATE deliveries SET readback = greatest(readback, 1), readback_at = $1
		WHERE organization = $2 AND integration = $3 AND target = 'actito' AND state = 'sent' AND person IN (
			SELECT d.person FROM load_rows r JOIN deliveries d ON d.organization = r.organization AND d.integration = r.integration
				AND d.target = 'actito' AND d.person = r.person AND d.version = r.version AND d.state = 'sent'
			WHERE r.organization = $2 AND r.integration = $3 AND r.load = $4 AND r.number = ANY($5::int[]) AND r.state = 0
			ORDER BY d.person FOR UPDATE OF d) RETURNING person`
)

var scanLoad = scanned(store.ScanLoad)

// OpenLoads gives the loads of an integration that are not done, the oldest
// first.
func (e *Engine) OpenLoads(ctx context.Context, k store.IntegrationKey) ([]*store.Load, error) {
	return query(ctx, e, scanLoad, openLoadsSQL, k.Organization, k.ID)
}

// Loads gives the newest loads of an integration.
func (e *Engine) Loads(ctx context.Context, k store.IntegrationKey, limit int) ([]*store.Load, error) {
	return query(ctx, e, scanLoad, newestLoadsSQL, k.Organization, k.ID, limit)
}

// LoadsStarted tells when an integration's loads were handed over, of those after
// a time.
func (e *Engine) LoadsStarted(ctx context.Context, k store.IntegrationKey, after consent.Time) ([]consent.Time, error) {
	first := store.FirstLoadID(after)
	return query(ctx, e, pgx.RowTo[consent.Time], loadsStartedSQL, k.Organization, k.ID, first[:], int64(after))
}

// SaveLoad stores a load under the lease: a new one, or how far it has come.
// Conflict if the lease has gone, NotFound if the integration has.
func (e *Engine) SaveLoad(ctx context.Context, l store.Lease, load *store.Load) error {
	columns, err := store.ToJSON(load.Columns)
	if err != nil {
		return err
	}
	return e.underLease(ctx, l, "postgres.SaveLoad", func(ctx context.Context, tx *tx) error {
		if err := tx.shareOrganization(ctx, load.Organization); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `INSERT INTO loads (`+store.LoadColumns+`) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15
			WHERE EXISTS (SELECT 1 FROM integrations WHERE organization = $1 AND id = $2)
			ON CONFLICT (organization, integration, id) DO UPDATE SET state = excluded.state, execution = excluded.execution, outcome = excluded.outcome,
			reason = excluded.reason, started_at = excluded.started_at, ended_at = excluded.ended_at`,
			load.Organization, load.ID, load.LoadID[:], string(load.State), load.Epoch, columns, load.People, load.Withdrawals, load.Refused,
			plain(load.Execution), string(load.Outcome), plain(load.Reason), int64(load.CreatedAt), int64(load.StartedAt), int64(load.EndedAt))
		if err == nil && tag.RowsAffected() == 0 {
			return consent.Errorf(consent.NotFound, "postgres.SaveLoad", "the integration is gone")
		}
		return err
	})
}

// ForgetRows removes the rows of a load that is done, some at a time, and
// tells whether there are more.
func (e *Engine) ForgetRows(ctx context.Context, load *store.Load) (more bool, err error) {
	removed, err := e.removeSome(ctx, forgetRowsSQL, load.Organization, load.ID, load.LoadID[:])
	return removed == forgetChunk, err
}

// JoinLoad puts deliveries into a load that is being built, in the order
// given, and tells which were taken: those that are still due, in the version
// given, with no read outstanding. Conflict if the lease has gone.
func (e *Engine) JoinLoad(ctx context.Context, l store.Lease, load *store.Load, joining []store.Joining) (taken []bool, err error) {
	var people, withdrawals int64
	err = e.underLease(ctx, l, "postgres.JoinLoad", func(ctx context.Context, tx *tx) error {
		people, withdrawals = load.People, load.Withdrawals
		taken = make([]bool, len(joining))
		due, err := tx.lockJoining(ctx, load, joining)
		if err != nil {
			return err
		}
		sums := newChanges()
		var b pgx.Batch
		for n := range joining {
			j := &joining[n]
			is, there := due[j.Person]
			if !there || is.version != j.Version {
				continue
			}
			delete(due, j.Person) // it is no longer due
			doubt, err := store.ToJSON(j.Doubt)
			if err != nil {
				return err
			}
			people++
			if j.Withdraws() {
				withdrawals++
			}
			taken[n], j.Row = true, int(people)
			t := store.Tally{}
			t.Looked(is.marks)
			sums.count(load.IntegrationKey, t)
			b.Queue(joinSQL, load.Organization, load.ID, string(store.TargetActito), j.Person[:], doubt, int64(tx.now))
			b.Queue(joinRow, load.Organization, load.ID, load.LoadID[:], j.Row, j.Person[:], j.Version, int16(j.Class), int64(j.DueAt), j.Cells(), j.Rest, j.Stranger)
		}
		b.Queue(`UPDATE loads SET people = $4, withdrawals = $5 WHERE organization = $1 AND integration = $2 AND id = $3`,
			load.Organization, load.ID, load.LoadID[:], people, withdrawals)
		if err := tx.run(ctx, &b); err != nil {
			return err
		}
		return sums.store(ctx, tx)
	})
	if err != nil {
		return nil, err
	}
	load.People, load.Withdrawals = people, withdrawals
	return taken, nil
}

// lockJoining locks the deliveries on their way into a load, and gives those
// that may go.
func (t *tx) lockJoining(ctx context.Context, load *store.Load, joining []store.Joining) (map[store.PersonKey]looked, error) {
	var people [][]byte
	for n := range joining {
		people = append(people, joining[n].Person[:])
	}
	rows, err := t.Query(ctx, marksSQL, load.Organization, load.ID, string(store.TargetActito), people)
	if err != nil {
		return nil, err
	}
	due := make(map[store.PersonKey]looked, len(joining))
	var person []byte
	var l looked
	var free bool
	_, err = pgx.ForEachRow(rows, []any{&person, &l.version, &l.marks, &free}, func() error {
		if free {
			due[store.PersonKey(person)] = l
		}
		return nil
	})
	return due, err
}

// LoadRows gives rows of a load in a state, by number, from after one.
func (e *Engine) LoadRows(ctx context.Context, load *store.Load, state store.RowState, after, limit int) ([]store.LoadRow, error) {
	return query(ctx, e, scanned(store.ScanLoadRow), loadRowsSQL, load.Organization, load.ID, load.LoadID[:], int16(state), after, limit)
}

// FileRows gives what stands in the file of a load, by number, from after a
// row: everybody in it who still waits for it. Whoever withdrew meanwhile goes
// by a call of their own.
func (e *Engine) FileRows(ctx context.Context, load *store.Load, after, limit int) ([]store.LoadRow, error) {
	return query(ctx, e, scanned(store.ScanFileRow), fileRowsSQL, load.Organization, load.ID, load.LoadID[:], after, limit)
}

// RefuseRows records which rows of a load Actito refused, and tells how many
// of them could be found in it. A row that is told by its number alone may be
// the one before or after it, so all three are in doubt. Conflict if the lease
// has gone.
func (e *Engine) RefuseRows(ctx context.Context, l store.Lease, load *store.Load, refused []store.RowRefusal) (found int, err error) {
	err = e.underLease(ctx, l, "postgres.RefuseRows", func(ctx context.Context, tx *tx) error {
		found = 0
		var b pgx.Batch
		for i := range refused {
			r := &refused[i]
			reason := plain(r.Why())
			if r.UserID == "" {
				first, last, ok := r.Around(load)
				if !ok {
					continue
				}
				found++
				b.Queue(`UPDATE load_rows SET refused = $4, doubtful = true
					WHERE organization = $1 AND integration = $2 AND load = $3 AND number BETWEEN $5 AND $6 AND refused = ''`,
					load.Organization, load.ID, load.LoadID[:], reason, first, last)
				continue
			}
			person := e.hasher.Person(load.Organization, consent.Subject{OrganizationUserID: r.UserID})
			b.Queue(`UPDATE load_rows SET refused = $4, doubtful = false WHERE organization = $1 AND integration = $2 AND load = $3 AND person = $5`,
				load.Organization, load.ID, load.LoadID[:], reason, person[:]).Exec(func(tag pgconn.CommandTag) error {
				found += int(tag.RowsAffected())
				return nil
			})
		}
		if err := tx.run(ctx, &b); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE loads SET refused = refused + $4 WHERE organization = $1 AND integration = $2 AND id = $3`,
			load.Organization, load.ID, load.LoadID[:], found)
		return err
	})
	return found, err
}

// SampleRows has some of a load's open rows that are not refused read back, to
// tell about the others. Only whoever still waits for the load can tell: others
// are passed over. Conflict if the lease has gone.
func (e *Engine) SampleRows(ctx context.Context, l store.Lease, load *store.Load, rows []int) error {
	return e.underLease(ctx, l, "postgres.SampleRows", func(ctx context.Context, tx *tx) error {
		people, err := collect(ctx, tx, pgx.RowTo[[]byte], sampleSQL, int64(tx.now), load.Organization, load.ID, load.LoadID[:], rows)
		if err != nil || len(people) == 0 {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE load_rows SET state = 1 WHERE organization = $1 AND integration = $2 AND load = $3 AND person = ANY($4::bytea[])`,
			load.Organization, load.ID, load.LoadID[:], people)
		return err
	})
}

// EndRows records what became of people of a load that has ended: see
// store.EndRow. It tells how many rows are in another state than before.
// Conflict if the lease has gone.
func (e *Engine) EndRows(ctx context.Context, l store.Lease, load *store.Load, rows []store.LoadRow) (moved int, err error) {
	err = e.underLease(ctx, l, "postgres.EndRows", func(ctx context.Context, tx *tx) error {
		moved = 0
		var people [][]byte
		for n := range rows {
			people = append(people, rows[n].Person[:])
		}
		found, err := collect(ctx, tx, scanDelivery, lockDeliveriesSQL, load.Organization, load.ID, string(store.TargetActito), people)
		if err != nil {
			return err
		}
		deliveries := make(map[store.PersonKey]*store.Delivery, len(found))
		for _, d := range found {
			deliveries[d.Person] = d
		}
		var b pgx.Batch
		sums := newChanges()
		for n := range rows {
			r := &rows[n]
			end, err := queueEnd(&b, load, r, deliveries[r.Person], tx.now)
			if err != nil {
				return err
			}
			if end.Loaded {
				sums.count(load.IntegrationKey, store.Tally{store.CountLoaded: 1})
			}
			if end.State == r.State {
				continue
			}
			moved++
			b.Queue(`UPDATE load_rows SET state = $5 WHERE organization = $1 AND integration = $2 AND load = $3 AND number = $4`,
				load.Organization, load.ID, load.LoadID[:], r.Row, int16(end.State))
		}
		if err := tx.run(ctx, &b); err != nil {
			return err
		}
		return sums.store(ctx, tx)
	})
	return moved, err
}

func queueEnd(b *pgx.Batch, load *store.Load, r *store.LoadRow, d *store.Delivery, now consent.Time) (store.RowEnd, error) {
	if d == nil {
		return store.RowEnd{State: store.RowDone}, nil // forgotten meanwhile
	}
	end := store.EndOf(load, r, d, now)
	if end.Changed {
		known, err := store.ToJSON(d.Known)
		if err != nil {
			return end, err
		}
		b.Queue(endDeliverySQL, append(deliveryKey(d.DeliveryKey), string(d.State), int16(d.Class), int64(d.DueAt), d.Version, d.Attempts, known, plain(d.LastError),
			d.Readback, int64(d.ReadbackAt), int64(d.UpdatedAt))...)
	}
	if !end.Traced {
		return end, nil
	}
	return end, queueCalls(b, load.Call(r, now))
}
