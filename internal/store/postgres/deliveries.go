package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// mostPromoted bounds how many rows one Promote locks; it is asked again soon.
// Reopen takes as many at a time.
const mostPromoted = 5000

// What is asked all the time; each has an index that answers it.
const (
	selectDeliveries = `SELECT ` + store.DeliveryColumns + ` FROM deliveries WHERE `
	oneDelivery      = `organization = $1 AND integration = $2 AND target = $3 AND person = $4`
	nextDue          = `organization = $1 AND integration = $2 AND target = $3 AND class = $4 AND state = 'pending' ORDER BY tried, consent_at, person LIMIT $5`
	nextReadback     = `organization = $1 AND integration = $2 AND target = $3 AND readback_at > 0 AND readback_at <= $4
		AND state NOT IN ('in_flight', 'pending') ORDER BY readback_at LIMIT $5`
	deliveriesOf = `organization = $1 AND person = $2 AND target IN ('actito', 'didomi')
		AND integration IN (SELECT id FROM integrations WHERE organization = $1) ORDER BY integration, target`
	anyWaitedSQL = `SELECT EXISTS (SELECT 1 FROM deliveries WHERE organization = $1 AND integration = $2 AND target = $3
		AND next_at > 0 AND next_at <= $4)`
	// A row that somebody is making due at the moment is left for the next time,
	// so that nobody is waited for. The array is made once: what stands behind
	// IN, PostgreSQL may choose, and lock, anew for every row.
	promoteSQL = `UPDATE deliveries SET class = CASE WHEN state = 'unmatched' THEN greatest(class, 1) ELSE class END,
			state = CASE WHEN state IN ('waiting', 'unmatched') THEN 'pending' ELSE state END, next_at = 0
		WHERE ctid = ANY(ARRAY(
			SELECT ctid FROM deliveries WHERE organization = $1 AND integration = $2 AND target = $3 AND next_at > 0 AND next_at <= $4
			ORDER BY next_at LIMIT $5 FOR UPDATE SKIP LOCKED))`
	// A statement about one delivery does not say which state it must be in: a
	// partial index of that state would be taken for a short way to it, and be
	// walked through from end to end when much is due. The state is looked at
	// when the row is locked.
	beginSQL = `UPDATE deliveries SET state = 'in_flight', class = 2, epoch = $5, known = $6, attempted_at = $7, next_at = 0, updated_at = $7, marks = 0
		WHERE ` + oneDelivery
	begunSQL = `SELECT EXISTS (SELECT 1 FROM deliveries WHERE ` + oneDelivery + ` AND state = 'in_flight' AND epoch = $5)
		AND EXISTS (SELECT 1 FROM calls WHERE organization = $1 AND person = $4 AND id = $6 AND answered_at + 0 <= 0)` // + 0: by its key, whatever is in flight
	// What others hold meanwhile is passed over, and looked for again.
	reopenSQL = `UPDATE deliveries SET state = 'pending', next_at = 0, version = version + 1
		WHERE ctid = ANY(ARRAY(
			SELECT ctid FROM deliveries WHERE organization = $1 AND integration = $2 AND target = 'actito' AND state = 'unmatched' AND updated_at > $3
			ORDER BY updated_at LIMIT $4 FOR UPDATE SKIP LOCKED))`
	reopenableSQL = `SELECT EXISTS (SELECT 1 FROM deliveries WHERE organization = $1 AND integration = $2 AND target = 'actito' AND state = 'unmatched'
		AND updated_at > $3)`
	// lockDeliveriesSQL reads and locks deliveries of one integration in the
	// order in which Accept locks them.
	lockDeliveriesSQL = selectDeliveries + `organization = $1 AND integration = $2 AND target = $3 AND person = ANY($4::bytea[]) ORDER BY person FOR UPDATE`
)

var scanDelivery = scanned(store.ScanDelivery)

func deliveryKey(k store.DeliveryKey) []any {
	return []any{k.Organization, k.Integration, string(k.Target), k.Person[:]}
}

// NextDue gives what is due in a class: what was not tried yet before what has
// failed before, so that a few profiles that always fail hold up nobody else;
// then the oldest consent first.
func (e *Engine) NextDue(ctx context.Context, k store.IntegrationKey, target store.Target, class store.Class, limit int) ([]*store.Delivery, error) {
	return query(ctx, e, scanDelivery, selectDeliveries+nextDue, k.Organization, k.ID, string(target), int16(class), limit)
}

// NextReadback gives profiles whose delayed read is due.
func (e *Engine) NextReadback(ctx context.Context, k store.IntegrationKey, target store.Target, limit int) ([]*store.Delivery, error) {
	now, err := e.Now(ctx)
	if err != nil {
		return nil, err
	}
	return query(ctx, e, scanDelivery, selectDeliveries+nextReadback, k.Organization, k.ID, string(target), int64(now), limit)
}

// Promote makes due what has waited its time, and tells how many. People who
// are unmatched come back as refusals of old (R20).
func (e *Engine) Promote(ctx context.Context, k store.IntegrationKey, target store.Target) (n int64, err error) {
	now, err := e.Now(ctx)
	if err != nil {
		return 0, err
	}
	if some, _, err := one(ctx, e, pgx.RowTo[bool], anyWaitedSQL, k.Organization, k.ID, string(target), int64(now)); err != nil || !some {
		return 0, err
	}
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		tag, err := tx.Exec(ctx, promoteSQL, k.Organization, k.ID, string(target), int64(now), mostPromoted)
		n = tag.RowsAffected()
		return err
	})
	return n, err
}

// Delivery reads one delivery; NotFound if there is none.
func (e *Engine) Delivery(ctx context.Context, k store.DeliveryKey) (*store.Delivery, error) {
	d, ok, err := one(ctx, e, scanDelivery, selectDeliveries+oneDelivery, deliveryKey(k)...)
	if err == nil && !ok {
		err = consent.Errorf(consent.NotFound, "postgres.Delivery", "no such delivery")
	}
	return d, err
}

// DeliveriesOf gives all deliveries of a person.
func (e *Engine) DeliveriesOf(ctx context.Context, organization string, p store.PersonKey) ([]*store.Delivery, error) {
	return query(ctx, e, scanDelivery, selectDeliveries+deliveriesOf, organization, p[:])
}

// Begin puts a delivery in flight, if the lease is held and nothing newer has
// come; otherwise ok is false and nothing is changed. The row's class becomes
// the lowest: what it counts as if it stays due is for Finish to say, and what
// comes meanwhile counts for itself.
//
// Whoever got no answer may ask again with the same call: what has begun by it
// is ok.
func (e *Engine) Begin(ctx context.Context, l store.Lease, s store.Start) (ok bool, err error) {
	doubt, err := store.ToJSON(s.Doubt)
	if err != nil {
		return false, err
	}
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		if ok, err = tx.holds(ctx, l); err != nil || !ok {
			return err
		}
		found, err := tx.lockLooked(ctx, []store.DeliveryKey{s.DeliveryKey})
		if err != nil {
			return err
		}
		is := found[s.DeliveryKey]
		if ok = is.state == store.Pending && is.version == s.Version; !ok {
			return tx.QueryRow(ctx, begunSQL, append(deliveryKey(s.DeliveryKey), l.Epoch, s.Call.ID[:])...).Scan(&ok)
		}
		var b pgx.Batch
		b.Queue(beginSQL, append(deliveryKey(s.DeliveryKey), l.Epoch, doubt, int64(tx.now))...)
		sums := store.Tally{}
		sums.Looked(is.marks)
		queueCounts(&b, s.IntegrationKey(), sums)
		if err := queueCalls(&b, s.Call); err != nil {
			return err
		}
		return tx.run(ctx, &b)
	})
	return ok && err == nil, err
}

// Finish records how a call ended. When the lease has gone to another owner
// meanwhile the result is refused with Conflict, and the person is made due
// again and read back (R16).
func (e *Engine) Finish(ctx context.Context, l store.Lease, f store.Finish) error {
	refused := false
	err := e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		known, inFlight, err := recall(ctx, tx, &f)
		if err != nil {
			return err
		}
		if refused = !inFlight; inFlight {
			tag, err := tx.Exec(ctx, finishSQL, append(deliveryKey(f.DeliveryKey), f.Version, l.Epoch,
				string(f.State), int16(f.Class), int64(f.NextAt), f.Attempts, known, plain(f.LastError), f.Readback, int64(f.ReadbackAt), int64(tx.now), len(f.Calls), plain(f.ProfileID))...)
			if err != nil {
				return err
			}
			refused = tag.RowsAffected() == 0
		}
		sums := newChanges()
		if refused {
			// Where nothing differs no write follows, after which it would be
			// read back: hence readback_at.
			_, err = tx.Exec(ctx, `UPDATE deliveries SET readback = 2, readback_at = $5, version = version + 1, updated_at = $5, due_at = $5,
					state = CASE WHEN state IN ('in_flight', 'waiting') THEN state ELSE 'pending' END
				WHERE `+oneDelivery, append(deliveryKey(f.DeliveryKey), int64(tx.now))...)
		} else {
			var was []string
			if was, err = collect(ctx, tx, pgx.RowTo[string], `SELECT left_out FROM deliveries WHERE `+oneDelivery, deliveryKey(f.DeliveryKey)...); err == nil && len(was) > 0 {
				err = sums.leaveOut(f.DeliveryKey, was[0], f.LeftOut)
			}
		}
		if err != nil {
			return err
		}
		sums.count(f.IntegrationKey(), store.Tally{store.CountCalls: int64(len(f.Calls))})
		return sums.store(ctx, tx, f.Calls...)
	})
	if err == nil && refused {
		return store.LeaseGone("postgres.Finish")
	}
	return err
}

// recall gives what is known at the end of a call, as JSON: see store.Finish. It
// locks the row. inFlight tells whether a call is under way, as far as the store
// knows.
func recall(ctx context.Context, tx *tx, f *store.Finish) (known string, inFlight bool, err error) {
	type locked struct {
		Known    string
		InFlight bool
	}
	stored, err := collect(ctx, tx, pgx.RowToStructByPos[locked], `SELECT known, state = 'in_flight' FROM deliveries WHERE `+oneDelivery+` FOR UPDATE`, deliveryKey(f.DeliveryKey)...)
	if err != nil || len(stored) == 0 {
		return "", false, err
	}
	known, err = f.Recall(stored[0].Known)
	return known, stored[0].InFlight, err
}

// finishSQL keeps due whatever got a newer version during the call. What has
// to wait waits all the same, but a withdrawal that came meanwhile for 5 s at
// most.
const finishSQL = `UPDATE deliveries SET
  state = CASE WHEN version > $5 AND $7::text <> 'waiting' THEN 'pending' ELSE $7 END,
  next_at = CASE WHEN version = $5 THEN $9
                 WHEN $7 <> 'waiting' THEN 0
                 WHEN class = 0 THEN least($9::bigint, $15::bigint + 5000000)
                 ELSE $9 END,
  class = CASE WHEN $7 IN ('waiting', 'pending', 'unmatched') THEN least(class, $8::smallint) ELSE class END,
  attempts = CASE WHEN version > $5 AND $7 <> 'waiting' THEN 0 ELSE $10::int END,
  known = $11, last_error = $12, readback = $13, readback_at = $14, updated_at = $15, calls = calls + $16::bigint,
  profile = CASE WHEN $17::text <> '' THEN $17 ELSE profile END
WHERE ` + oneDelivery + ` AND epoch = $6`

// Settle records that deliveries needed no call. One that got a newer version
// meanwhile stays due. Conflict if the lease has gone.
func (e *Engine) Settle(ctx context.Context, l store.Lease, settled []store.Settled) error {
	return e.underLease(ctx, l, "postgres.Settle", func(ctx context.Context, tx *tx) error {
		var keys []store.DeliveryKey
		for i := range settled {
			keys = append(keys, settled[i].DeliveryKey)
		}
		found, err := tx.lockLooked(ctx, keys)
		if err != nil {
			return err
		}
		sums := newChanges()
		var b pgx.Batch
		for _, s := range settled {
			is, there := found[s.DeliveryKey]
			if !there {
				continue
			}
			if err := sums.leaveOut(s.DeliveryKey, is.leftOut, s.LeftOut); err != nil {
				return err
			}
			if is.version != s.Version || is.state != store.Pending {
				continue
			}
			b.Queue(`UPDATE deliveries SET state = 'synced', attempts = 0, last_error = '', next_at = 0, updated_at = $5, marks = 0 WHERE `+oneDelivery,
				append(deliveryKey(s.DeliveryKey), int64(tx.now))...)
			if is.marks == 0 { // marked by nobody: the rest of something that was sent
				continue
			}
			t := store.Tally{store.CountUnchanged: 1}
			t.Looked(is.marks)
			sums.count(s.IntegrationKey(), t)
		}
		if err := tx.run(ctx, &b); err != nil {
			return err
		}
		return sums.store(ctx, tx)
	})
}

// looked is what is decided upon when a delivery is begun or settled.
type looked struct {
	version, marks int64
	state          store.DeliveryState
	leftOut        string
}

// lockLooked locks deliveries in the order in which Accept does.
func (t *tx) lockLooked(ctx context.Context, keys []store.DeliveryKey) (map[store.DeliveryKey]looked, error) {
	var organizations, integrations, targets []string
	var people [][]byte
	for i := range keys {
		k := &keys[i]
		organizations, integrations, targets = append(organizations, k.Organization), append(integrations, k.Integration), append(targets, string(k.Target))
		people = append(people, k.Person[:])
	}
	rows, err := t.Query(ctx, lockLookedSQL, organizations, integrations, targets, people)
	if err != nil {
		return nil, err
	}
	found := make(map[store.DeliveryKey]looked, len(keys))
	var k store.DeliveryKey
	var person []byte
	var l looked
	_, err = pgx.ForEachRow(rows, []any{&k.Organization, &k.Integration, &k.Target, &person, &l.version, &l.marks, &l.state, &l.leftOut}, func() error {
		k.Person = store.PersonKey(person)
		found[k] = l
		return nil
	})
	return found, err
}

const lockLookedSQL = `SELECT d.organization, d.integration, d.target, d.person, d.version, d.marks, d.state, d.left_out
	FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) AS u(o, i, t, p)
	JOIN deliveries d ON d.organization = u.o AND d.integration = u.i AND d.target = u.t AND d.person = u.p
	ORDER BY d.organization, d.person, d.integration FOR UPDATE OF d`

// Fail sets a delivery aside that cannot even be worked out, with the reason.
// Newer consent, or a replay, tries it again.
func (e *Engine) Fail(ctx context.Context, l store.Lease, k store.DeliveryKey, version int64, reason string) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		if ok, err := tx.holds(ctx, l); err != nil || !ok {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE deliveries SET state = 'failed', last_error = $6, readback = 0, readback_at = 0, updated_at = $7
			WHERE `+oneDelivery+` AND version = $5`, append(deliveryKey(k), version, plain(reason), int64(tx.now))...)
		return err
	})
}

// RecordRead stores what a read of the profile showed. due makes the delivery
// due, because it differs from what is wanted; one that was sent by a bulk load
// is compared with what was read in any case, but for a sample of a load, which
// stays as it was read until it is judged. Whatever came during the read stays as
// urgent as it is. When the lease has gone the profile may have been written
// since: what was read is refused with Conflict.
func (e *Engine) RecordRead(ctx context.Context, l store.Lease, f store.Finish, due bool) error {
	held := false
	err := e.inTx(ctx, func(ctx context.Context, tx *tx) (err error) {
		if held, err = tx.holds(ctx, l); err != nil {
			return err
		}
		sums := newChanges()
		if !held {
			return sums.store(ctx, tx, f.Calls...)
		}
		known, _, err := recall(ctx, tx, &f)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, recordReadSQL, append(deliveryKey(f.DeliveryKey), known, f.Readback, int64(f.ReadbackAt), int64(tx.now), len(f.Calls), due, int16(f.Class), plain(f.ProfileID))...); err != nil {
			return err
		}
		sums.count(f.IntegrationKey(), store.Tally{store.CountCalls: int64(len(f.Calls))})
		return sums.store(ctx, tx, f.Calls...)
	})
	if err == nil && !held {
		return store.LeaseGone("postgres.RecordRead")
	}
	return err
}

// sampledSQL finds the row of a load by which a delivery is a sample of it.
const sampledSQL = `SELECT 1 FROM load_rows r WHERE r.organization = deliveries.organization AND r.integration = deliveries.integration
	AND r.person = deliveries.person AND r.state = 1`

const recordReadSQL = `UPDATE deliveries SET known = $5, readback = $6, readback_at = $7, updated_at = $8, calls = calls + $9::bigint,
		state = CASE WHEN $10::boolean OR state = 'sent' AND NOT EXISTS (` + sampledSQL + `) THEN 'pending' ELSE state END,
		class = CASE WHEN NOT $10 THEN class WHEN state IN ('pending', 'waiting', 'sent') THEN least(class, $11::smallint) ELSE $11 END,
		due_at = CASE WHEN NOT $10 OR state IN ('pending', 'waiting') AND class <= $11 THEN due_at ELSE $8 END, version = version + CASE WHEN $10 THEN 1 ELSE 0 END,
		profile = CASE WHEN $12::text <> '' THEN $12 ELSE profile END
	WHERE ` + oneDelivery + ` AND state <> 'in_flight'`

// Reopen makes due again all people of an integration who became unmatched
// after a time: what their 404 meant has turned out to be unsure (R18). They may
// be many: what was reopened before an error stays so, and the same call goes on.
func (e *Engine) Reopen(ctx context.Context, k store.IntegrationKey, after consent.Time) error {
	for {
		var some int64
		err := e.inTx(ctx, func(ctx context.Context, tx *tx) error {
			tag, err := tx.Exec(ctx, reopenSQL, k.Organization, k.ID, int64(after), mostPromoted)
			some = tag.RowsAffected()
			return err
		})
		if err != nil {
			return err
		}
		if some > 0 {
			continue
		}
		if left, _, err := one(ctx, e, pgx.RowTo[bool], reopenableSQL, k.Organization, k.ID, int64(after)); err != nil || !left {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
