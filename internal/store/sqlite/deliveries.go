package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// What is asked all the time; each has an index that answers it.
const (
	selectDeliveries = `SELECT ` + store.DeliveryColumns + ` FROM deliveries WHERE `
	oneDelivery      = `organization = ? AND integration = ? AND target = ? AND person = ?`
	nextDue          = `organization = ? AND integration = ? AND target = ? AND class = ? AND state = 'pending' ORDER BY (attempts > 0), consent_at LIMIT ?`
	nextReadback     = `organization = ? AND integration = ? AND target = ? AND readback_at > 0 AND readback_at <= ?
		AND state NOT IN ('in_flight', 'pending') ORDER BY readback_at LIMIT ?`
	deliveriesOf = `organization = ?1 AND person = ?2 AND target IN ('actito', 'didomi')
		AND integration IN (SELECT id FROM integrations WHERE organization = ?1) ORDER BY integration, target`
	anyWaitedSQL = `SELECT EXISTS (SELECT 1 FROM deliveries WHERE organization = ? AND integration = ? AND target = ?
		AND next_at > 0 AND next_at <= ?)`
	// Reopening goes by people: those who have long been unmatched are passed over once.
	reopenableSQL = `SELECT person FROM deliveries WHERE organization = ?1 AND integration = ?2 AND target = 'actito' AND +state = 'unmatched'
		AND updated_at > ?3 AND person > ?4 ORDER BY person LIMIT ?5`
	reopenSQL = `UPDATE deliveries SET state = 'pending', next_at = 0, version = version + 1
		WHERE organization = ?1 AND integration = ?2 AND target = 'actito' AND +state = 'unmatched' AND updated_at > ?3 AND person > ?4 AND person <= ?5`
	sampledSQL = `SELECT 1 FROM load_rows r WHERE r.organization = deliveries.organization AND r.integration = deliveries.integration
		AND r.person = deliveries.person AND r.state = 1`
	promoteSQL = `UPDATE deliveries SET class = CASE WHEN state = 'unmatched' THEN max(class, 1) ELSE class END,
			state = CASE WHEN state IN ('waiting', 'unmatched') THEN 'pending' ELSE state END, next_at = 0
		WHERE organization = ? AND integration = ? AND target = ? AND next_at > 0 AND next_at <= ?`
	beginSQL = `UPDATE deliveries SET state = 'in_flight', class = 2, epoch = ?, known = ?, attempted_at = ?, next_at = 0, updated_at = ?, marks = 0
		WHERE organization = ? AND integration = ? AND target = ? AND person = ? AND version = ? AND state = 'pending'`
	begunSQL = `SELECT EXISTS (SELECT 1 FROM deliveries WHERE organization = ?1 AND integration = ?2 AND target = ?3 AND person = ?4 AND state = 'in_flight' AND epoch = ?5)
		AND EXISTS (SELECT 1 FROM calls WHERE organization = ?1 AND person = ?4 AND id = ?6 AND answered_at = 0)`
)

func deliveryKey(k store.DeliveryKey) []any {
	return []any{k.Organization, k.Integration, string(k.Target), k.Person[:]}
}

func (e *Engine) deliveriesWhere(ctx context.Context, where string, args ...any) ([]*store.Delivery, error) {
	return query(ctx, e.read, store.ScanDelivery, selectDeliveries+where, args...)
}

// NextDue gives what is due in a class: what was not tried yet before what has
// failed before, so that a few profiles that always fail hold up nobody else;
// then the oldest consent first.
func (e *Engine) NextDue(ctx context.Context, k store.IntegrationKey, target store.Target, class store.Class, limit int) ([]*store.Delivery, error) {
	return e.deliveriesWhere(ctx, nextDue, k.Organization, k.ID, string(target), int64(class), limit)
}

// NextReadback gives profiles whose delayed read is due.
func (e *Engine) NextReadback(ctx context.Context, k store.IntegrationKey, target store.Target, limit int) ([]*store.Delivery, error) {
	return e.deliveriesWhere(ctx, nextReadback, k.Organization, k.ID, string(target), int64(consent.TimeOf(e.now())), limit)
}

// Promote makes due whatever has waited its time, and tells how many. People
// who are unmatched come back as refusals of old (R20).
func (e *Engine) Promote(ctx context.Context, k store.IntegrationKey, target store.Target) (n int64, err error) {
	now := int64(consent.TimeOf(e.now()))
	var some bool
	if err := e.read.QueryRowContext(ctx, anyWaitedSQL, k.Organization, k.ID, string(target), now).Scan(&some); err != nil || !some {
		return 0, classify(err)
	}
	err = e.inTx(ctx, func(tx *transaction) error {
		res, err := tx.ExecContext(ctx, promoteSQL, k.Organization, k.ID, string(target), now)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}

// Delivery reads one delivery; NotFound if there is none.
func (e *Engine) Delivery(ctx context.Context, k store.DeliveryKey) (*store.Delivery, error) {
	d, ok, err := one(ctx, e.read, store.ScanDelivery, selectDeliveries+oneDelivery, deliveryKey(k)...)
	if err == nil && !ok {
		err = consent.Errorf(consent.NotFound, "sqlite.Delivery", "no such delivery")
	}
	return d, err
}

// DeliveriesOf gives all deliveries of a person.
func (e *Engine) DeliveriesOf(ctx context.Context, organization string, p store.PersonKey) ([]*store.Delivery, error) {
	return e.deliveriesWhere(ctx, deliveriesOf, organization, p[:])
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
	err = e.inTx(ctx, func(tx *transaction) error {
		now := consent.TimeOf(e.now())
		if ok, err = holds(ctx, tx, l, now); err != nil || !ok {
			return err
		}
		marks, err := marksOf(ctx, tx, deliveryKey(s.DeliveryKey))
		if err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, beginSQL, l.Epoch, doubt, int64(now), int64(now), s.Organization, s.Integration, string(s.Target), s.Person[:], s.Version)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		if ok = n == 1; !ok {
			return tx.QueryRowContext(ctx, begunSQL, append(deliveryKey(s.DeliveryKey), l.Epoch, s.Call.ID[:])...).Scan(&ok)
		}
		sums := store.Tally{}
		sums.Looked(marks)
		if err := count(ctx, tx, s.IntegrationKey(), sums); err != nil {
			return err
		}
		return insertCall(ctx, tx, s.Call)
	})
	return ok && err == nil, err
}

// Finish records how a call ended. When the lease has gone to another owner
// meanwhile the result is refused with Conflict, and the person is made due
// again and read back (R16).
func (e *Engine) Finish(ctx context.Context, l store.Lease, f store.Finish) error {
	refused := false
	err := e.inTx(ctx, func(tx *transaction) error {
		now := int64(consent.TimeOf(e.now()))
		known, err := recall(ctx, tx, &f)
		if err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, finishSQL,
			string(f.State), int64(f.Class), int64(f.NextAt), f.Attempts, known, f.LastError, f.Readback, int64(f.ReadbackAt), now, len(f.Calls),
			f.Organization, f.Integration, string(f.Target), f.Person[:], f.Version, l.Epoch, f.ProfileID)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		if refused = n == 0; refused {
			// Where nothing differs no write follows, after which it would be
			// read back: hence readback_at.
			_, err = tx.ExecContext(ctx, `UPDATE deliveries SET readback = 2, readback_at = ?1, version = version + 1, updated_at = ?1, due_at = ?1,
					state = CASE WHEN state IN ('in_flight', 'waiting') THEN state ELSE 'pending' END
				WHERE organization = ?2 AND integration = ?3 AND target = ?4 AND person = ?5`,
				now, f.Organization, f.Integration, string(f.Target), f.Person[:])
		} else {
			err = recordLeftOut(ctx, tx, f.DeliveryKey, f.LeftOut)
		}
		if err != nil {
			return err
		}
		if err := count(ctx, tx, f.IntegrationKey(), store.Tally{store.CountCalls: int64(len(f.Calls))}); err != nil {
			return err
		}
		return insertCalls(ctx, tx, f.Calls)
	})
	if err == nil && refused {
		return store.LeaseGone("sqlite.Finish")
	}
	return err
}

// recall gives what is known at the end of a call, as JSON: see store.Finish.
func recall(ctx context.Context, tx *transaction, f *store.Finish) (string, error) {
	var stored string
	err := tx.QueryRowContext(ctx, `SELECT known FROM deliveries WHERE `+oneDelivery, deliveryKey(f.DeliveryKey)...).Scan(&stored)
	if err = ignoreNoRows(err); err != nil {
		return "", err
	}
	return f.Recall(stored)
}

// finishSQL keeps due whatever got a newer version during the call. What has
// to wait waits all the same, but a withdrawal that came meanwhile for 5 s at
// most.
const finishSQL = `UPDATE deliveries SET
  state = CASE WHEN version > ?15 AND ?1 <> 'waiting' THEN 'pending' ELSE ?1 END,
  next_at = CASE WHEN version = ?15 THEN ?3
                 WHEN ?1 <> 'waiting' THEN 0
                 WHEN class = 0 THEN min(?3, ?9 + 5000000)
                 ELSE ?3 END,
  class = CASE WHEN ?1 IN ('waiting', 'pending', 'unmatched') THEN min(class, ?2) ELSE class END,
  attempts = CASE WHEN version > ?15 AND ?1 <> 'waiting' THEN 0 ELSE ?4 END,
  known = ?5, last_error = ?6, readback = ?7, readback_at = ?8, updated_at = ?9, calls = calls + ?10,
  profile = CASE WHEN ?17 <> '' THEN ?17 ELSE profile END
WHERE organization = ?11 AND integration = ?12 AND target = ?13 AND person = ?14 AND state = 'in_flight' AND epoch = ?16`

// Settle records that deliveries needed no call. One that got a newer version
// meanwhile stays due. Conflict if the lease has gone.
func (e *Engine) Settle(ctx context.Context, l store.Lease, settled []store.Settled) error {
	return e.inTx(ctx, func(tx *transaction) error {
		now := int64(consent.TimeOf(e.now()))
		if ok, err := holds(ctx, tx, l, consent.Time(now)); err != nil {
			return err
		} else if !ok {
			return store.LeaseGone("sqlite.Settle")
		}
		sums := make(map[store.IntegrationKey]store.Tally)
		for _, s := range settled {
			key := deliveryKey(s.DeliveryKey)
			marks, err := marksOf(ctx, tx, key)
			if err != nil {
				return err
			}
			if err := recordLeftOut(ctx, tx, s.DeliveryKey, s.LeftOut); err != nil {
				return err
			}
			res, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 'synced', attempts = 0, last_error = '', next_at = 0, updated_at = ?, marks = 0
				WHERE `+oneDelivery+` AND version = ? AND state = 'pending'`, append(append([]any{now}, key...), s.Version)...)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil {
				return err
			} else if n == 0 || marks == 0 { // marked by nobody: the rest of something that was sent
				continue
			}
			k := s.IntegrationKey()
			if sums[k] == nil {
				sums[k] = store.Tally{}
			}
			sums[k].Looked(marks)
			sums[k][store.CountUnchanged]++
		}
		for k, t := range sums {
			if err := count(ctx, tx, k, t); err != nil {
				return err
			}
		}
		return nil
	})
}

// Fail sets a delivery aside that cannot even be worked out, with the reason.
// Newer consent, or a replay, tries it again.
func (e *Engine) Fail(ctx context.Context, l store.Lease, k store.DeliveryKey, version int64, reason string) error {
	return e.inTx(ctx, func(tx *transaction) error {
		now := consent.TimeOf(e.now())
		if ok, err := holds(ctx, tx, l, now); err != nil || !ok {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 'failed', last_error = ?, readback = 0, readback_at = 0, updated_at = ?
			WHERE organization = ? AND integration = ? AND target = ? AND person = ? AND version = ?`,
			reason, int64(now), k.Organization, k.Integration, string(k.Target), k.Person[:], version)
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
	err := e.inTx(ctx, func(tx *transaction) error {
		now := int64(consent.TimeOf(e.now()))
		known, err := recall(ctx, tx, &f)
		if err != nil {
			return err
		}
		if held, err = holds(ctx, tx, l, consent.Time(now)); err != nil {
			return err
		}
		if !held {
			return insertCalls(ctx, tx, f.Calls)
		}
		if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET known = ?1, readback = ?2, readback_at = ?3, updated_at = ?4, calls = calls + ?5,
				state = CASE WHEN ?6 OR state = 'sent' AND NOT EXISTS (`+sampledSQL+`) THEN 'pending' ELSE state END,
				class = CASE WHEN NOT ?6 THEN class WHEN state IN ('pending', 'waiting', 'sent') THEN min(class, ?7) ELSE ?7 END,
				due_at = CASE WHEN NOT ?6 OR state IN ('pending', 'waiting') AND class <= ?7 THEN due_at ELSE ?4 END,
				version = version + ?6, profile = CASE WHEN ?12 <> '' THEN ?12 ELSE profile END
			WHERE organization = ?8 AND integration = ?9 AND target = ?10 AND person = ?11 AND state <> 'in_flight'`,
			known, f.Readback, int64(f.ReadbackAt), now, len(f.Calls), due, int64(f.Class),
			f.Organization, f.Integration, string(f.Target), f.Person[:], f.ProfileID); err != nil {
			return err
		}
		if err := count(ctx, tx, f.IntegrationKey(), store.Tally{store.CountCalls: int64(len(f.Calls))}); err != nil {
			return err
		}
		return insertCalls(ctx, tx, f.Calls)
	})
	if err == nil && !held {
		return store.LeaseGone("sqlite.RecordRead")
	}
	return err
}

// Reopen makes due again all people of an integration who became unmatched
// after a time: what their 404 meant has turned out to be unsure (R18). They may
// be many: what was reopened before an error stays so, and the same call goes on.
func (e *Engine) Reopen(ctx context.Context, k store.IntegrationKey, after consent.Time) error {
	const most = 1000 // in a transaction, which others wait for
	for last := []byte{}; ; {
		some, err := query(ctx, e.read, scanBytes, reopenableSQL, k.Organization, k.ID, int64(after), last, most)
		if err != nil || len(some) == 0 {
			return err
		}
		first := last
		last = some[len(some)-1]
		if err := e.inTx(ctx, func(tx *transaction) error {
			_, err := tx.ExecContext(ctx, reopenSQL, k.Organization, k.ID, int64(after), first, last)
			return err
		}); err != nil {
			return err
		}
	}
}

// recordLeftOut stores what is left out of a person's delivery and keeps the
// integration's sums.
func recordLeftOut(ctx context.Context, tx *transaction, k store.DeliveryKey, now []consent.LeftOut) error {
	key := deliveryKey(k)
	var was string
	err := tx.QueryRowContext(ctx, `SELECT left_out FROM deliveries WHERE `+oneDelivery, key...).Scan(&was)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	} else if err != nil {
		return err
	}
	is, sums, changed, err := store.LeaveOut(was, now)
	if err != nil || !changed {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET left_out = ? WHERE `+oneDelivery, append([]any{is}, key...)...); err != nil {
		return err
	}
	for _, sum := range sums {
		if _, err := tx.ExecContext(ctx, `INSERT INTO left_out (organization, integration, name, reason, people) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET people = people + excluded.people`, k.Organization, k.Integration, sum.Name, sum.Reason, sum.People); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM left_out WHERE organization = ? AND integration = ? AND people <= 0`, k.Organization, k.Integration)
	return err
}

func insertCalls(ctx context.Context, tx *transaction, calls []store.Call) error {
	for _, c := range calls {
		if err := insertCall(ctx, tx, c); err != nil {
			return err
		}
	}
	return nil
}

func insertCall(ctx context.Context, tx *transaction, c store.Call) error {
	subscriptions, err := store.ToJSON(c.Subscriptions)
	if err != nil {
		return err
	}
	attributes, err := store.ToJSON(c.Attributes)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO calls (organization, person, id, integration, operation, subscriptions, attributes, started_at, answered_at, outcome, detail, revision, salt)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET answered_at = excluded.answered_at, outcome = excluded.outcome, detail = excluded.detail
			WHERE calls.answered_at = 0 AND length(calls.erased) = 0`,
		c.Organization, c.Person[:], c.ID[:], c.Integration, c.Operation, subscriptions, attributes,
		int64(c.StartedAt), int64(c.AnsweredAt), c.Outcome, c.Detail, c.Revision, store.NewSalt())
	return err
}
