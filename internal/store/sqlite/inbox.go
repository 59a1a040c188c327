package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Enqueue puts webhooks into the inbox, to be merged by Merge.
func (e *Engine) Enqueue(ctx context.Context, batch []store.Inbound) error {
	for i := range batch {
		if err := store.Check(batch[i].Message); err != nil {
			return err
		}
	}
	return e.inTx(ctx, func(tx *transaction) error {
		now := consent.TimeOf(e.now())
		for i := range batch {
			in := &batch[i]
			e.seq++
			if _, err := tx.ExecContext(ctx, enqueueSQL, in.Organization, int64(store.LaneOf(in)), e.seq, int64(now), blob(in.Payload)); err != nil {
				return err
			}
			if len(in.Trace) == 0 {
				continue
			}
			if _, err := tx.ExecContext(ctx, traceQueuedSQL, in.Trace, in.Organization, int64(store.LaneOf(in)), e.seq); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	enqueueSQL            = `INSERT INTO inbox (organization, lane, seq, arrived_at, body) VALUES (?, ?, ?, ?, ?)`
	traceQueuedSQL        = `UPDATE inbox SET trace = ? WHERE organization = ? AND lane = ? AND seq = ?`
	nextInboxSQL          = `SELECT seq, arrived_at, body, trace FROM inbox WHERE organization = ? AND lane = ? ORDER BY seq LIMIT ?`
	takeInboxSQL          = `DELETE FROM inbox WHERE organization = ? AND lane = ? AND seq BETWEEN ? AND ?`
	asideSQL              = `UPDATE inbox SET lane = 2, reason = ? WHERE organization = ? AND lane = ? AND seq = ?`
	nextInOrganizationSQL = `SELECT organization FROM inbox WHERE organization > ? ORDER BY organization LIMIT 1`
	laneEndsSQL           = `SELECT (SELECT seq FROM inbox WHERE organization = ?1 AND lane = ?2 ORDER BY seq LIMIT 1),
		(SELECT arrived_at FROM inbox WHERE organization = ?1 AND lane = ?2 ORDER BY seq LIMIT 1),
		(SELECT seq FROM inbox WHERE organization = ?1 AND lane = ?2 ORDER BY seq DESC LIMIT 1)`
)

// Merge merges the oldest webhooks of a lane, at most limit, in one
// transaction with their leaving the inbox. What cannot be decoded is set
// aside.
//
// Alone among the writes it does not wait for the disk: a merge that is lost
// with the power leaves its webhooks in the inbox, and whatever is written
// after it is on disk only together with it.
func (e *Engine) Merge(ctx context.Context, k store.InboxKey, limit int, decode store.Decode) (m store.Merged, err error) {
	first := int64(0)
	err = e.commit(ctx, func(tx *transaction) error {
		queued, err := query(ctx, tx, func(row store.Row) (store.Queued, error) {
			q := store.Queued{Organization: k.Organization}
			err := row.Scan(&q.Seq, &q.ArrivedAt, &q.Payload, &q.Trace)
			return q, err
		}, nextInboxSQL, k.Organization, int64(k.Lane), limit)
		if err != nil || len(queued) == 0 {
			return err
		}
		first = queued[0].Seq
		var aside map[int64]string
		if m, aside, err = store.MergeQueued(ctx, e.acceptTx(tx), e.hasher, queued, decode, consent.TimeOf(e.now())); err != nil {
			return err
		}
		for seq, reason := range aside {
			if _, err := tx.ExecContext(ctx, asideSQL, reason, k.Organization, int64(k.Lane), seq); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, takeInboxSQL, k.Organization, int64(k.Lane), queued[0].Seq, queued[len(queued)-1].Seq)
		return err
	})
	if err != nil {
		m = store.Merged{}
	}
	m.First = first
	return m, err
}

// SetAside takes a webhook out of the way, with the reason why it cannot be
// merged, unless it has left the lane meanwhile.
func (e *Engine) SetAside(ctx context.Context, k store.InboxKey, seq int64, reason string) error {
	return e.inTx(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, asideSQL, reason, k.Organization, int64(k.Lane), seq)
		return err
	})
}

// RetryAside puts back what was set aside: a newer version of the program may
// know what to do with it.
func (e *Engine) RetryAside(ctx context.Context) error {
	organizations, err := e.waiting(ctx)
	if err != nil {
		return err
	}
	return e.inTx(ctx, func(tx *transaction) error {
		for _, organization := range organizations {
			if _, err := tx.ExecContext(ctx, `UPDATE inbox SET lane = 0, reason = '' WHERE organization = ? AND lane = 2`, organization); err != nil {
				return err
			}
		}
		return nil
	})
}

// waiting lists the organizations that have something in their inbox. It jumps
// from one to the next, however much each has.
func (e *Engine) waiting(ctx context.Context) (organizations []string, err error) {
	for last := ""; ; {
		err := e.read.QueryRowContext(ctx, nextInOrganizationSQL, last).Scan(&last)
		if errors.Is(err, sql.ErrNoRows) {
			return organizations, nil
		} else if err != nil {
			return nil, classify(err)
		}
		organizations = append(organizations, last)
	}
}

// Backlogs tells what waits in the lanes of an organization's inbox, or of all
// inboxes if the organization is empty. Lanes in which nothing waits are left
// out.
func (e *Engine) Backlogs(ctx context.Context, organization string) ([]store.Backlog, error) {
	organizations := []string{organization}
	if organization == "" {
		var err error
		if organizations, err = e.waiting(ctx); err != nil {
			return nil, err
		}
	}
	var backlogs []store.Backlog
	for _, organization := range organizations {
		for _, lane := range []store.Lane{store.UrgentLane, store.OrdinaryLane, store.AsideLane} {
			var first, oldest, last sql.NullInt64
			if err := e.read.QueryRowContext(ctx, laneEndsSQL, organization, int64(lane)).Scan(&first, &oldest, &last); err != nil {
				return nil, classify(err)
			}
			if first.Valid {
				k := store.InboxKey{Organization: organization, Lane: lane}
				backlogs = append(backlogs, store.Backlog{InboxKey: k, First: first.Int64, Last: last.Int64, Oldest: consent.Time(oldest.Int64)})
			}
		}
	}
	return backlogs, nil
}

// lastSeq gives the highest sequence number in use.
func (e *Engine) lastSeq(ctx context.Context) (int64, error) {
	backlogs, err := e.Backlogs(ctx, "")
	var last int64
	for _, b := range backlogs {
		last = max(last, b.Last)
	}
	return last, err
}
