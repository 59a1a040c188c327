package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/store"
)

const (
	enqueueSQL = `INSERT INTO inbox (organization, lane, arrived_at, body)
		SELECT u.o, u.lane, $3, u.body FROM unnest($1::text[], $2::smallint[], $4::bytea[]) AS u(o, lane, body)`
	enqueueTracedSQL = `INSERT INTO inbox (organization, lane, arrived_at, body, trace)
		SELECT u.o, u.lane, $3, u.body, u.trace FROM unnest($1::text[], $2::smallint[], $4::bytea[], $5::bytea[]) AS u(o, lane, body, trace)`
	takeInboxSQL = `SELECT seq, arrived_at, body, trace FROM inbox WHERE organization = $1 AND lane = $2 ORDER BY seq LIMIT $3 FOR UPDATE SKIP LOCKED`
	leaveSQL     = `DELETE FROM inbox WHERE organization = $1 AND lane = $2 AND seq = ANY($3)`
	asideSQL     = `UPDATE inbox SET lane = 2, reason = $4 WHERE organization = $1 AND lane = $2 AND seq = $3`
	// It jumps from one organization to the next, however much each has.
	waitingSQL = `WITH RECURSIVE o(organization) AS (
			(SELECT organization FROM inbox ORDER BY organization LIMIT 1)
			UNION ALL
			SELECT (SELECT i.organization FROM inbox i WHERE i.organization > o.organization ORDER BY i.organization LIMIT 1)
			FROM o WHERE o.organization IS NOT NULL
		) SELECT organization FROM o WHERE organization IS NOT NULL`
	backlogsSQL = `SELECT o, lane, first.seq, first.arrived_at, last.seq
		FROM unnest($1::text[]) AS o CROSS JOIN unnest('{0,1,2}'::smallint[]) AS lane
		CROSS JOIN LATERAL (SELECT seq, arrived_at FROM inbox WHERE organization = o AND inbox.lane = lane.lane ORDER BY seq LIMIT 1) AS first
		CROSS JOIN LATERAL (SELECT seq FROM inbox WHERE organization = o AND inbox.lane = lane.lane ORDER BY seq DESC LIMIT 1) AS last
		ORDER BY o COLLATE "C", lane`
	retryAsideSQL = `UPDATE inbox SET lane = 0, reason = '' WHERE organization = ANY($1) AND lane = 2`
)

// Enqueue puts webhooks into the inbox, to be merged by Merge, on any node.
func (e *Engine) Enqueue(ctx context.Context, batch []store.Inbound) error {
	if len(batch) == 0 {
		return nil
	}
	var organizations []string
	var lanes []int16
	var bodies, traces [][]byte
	for i := range batch {
		if err := store.Check(batch[i].Message); err != nil {
			return err
		}
		organizations = append(organizations, batch[i].Organization)
		lanes, bodies = append(lanes, int16(store.LaneOf(&batch[i]))), append(bodies, blob(batch[i].Payload))
		traces = append(traces, blob(batch[i].Trace))
	}
	traced := slices.ContainsFunc(batch, func(in store.Inbound) bool { return len(in.Trace) > 0 })
	return e.inTx(ctx, func(ctx context.Context, tx *tx) (err error) {
		if traced {
			_, err = tx.Exec(ctx, enqueueTracedSQL, organizations, lanes, int64(tx.now), bodies, traces)
		} else {
			_, err = tx.Exec(ctx, enqueueSQL, organizations, lanes, int64(tx.now), bodies)
		}
		return err
	})
}

// Merge merges the oldest webhooks of a lane, at most limit, in one
// transaction with their leaving the inbox. What cannot be decoded is set
// aside. Several nodes may merge a lane at once: each takes what no other has,
// and removes exactly what it took, whatever was committed in between.
//
// Alone among the writes it does not wait for the disk: a merge that is lost
// with the power leaves its webhooks in the inbox, and whatever is committed
// after it is on disk only together with it.
func (e *Engine) Merge(ctx context.Context, k store.InboxKey, limit int, decode store.Decode) (m store.Merged, err error) {
	first := int64(0)
	err = e.inTxWith(ctx, []string{"SET LOCAL synchronous_commit TO off"}, func(ctx context.Context, tx *tx) error {
		m, first = store.Merged{}, 0
		queued, err := collect(ctx, tx, func(row pgx.CollectableRow) (store.Queued, error) {
			q := store.Queued{Organization: k.Organization}
			err := row.Scan(&q.Seq, &q.ArrivedAt, &q.Payload, &q.Trace)
			return q, err
		}, takeInboxSQL, k.Organization, int16(k.Lane), limit)
		if err != nil || len(queued) == 0 {
			return err
		}
		first = queued[0].Seq
		var aside map[int64]string
		if m, aside, err = store.MergeQueued(ctx, newAcceptTx(tx), e.hasher, queued, decode, tx.now); err != nil {
			return err
		}
		var b pgx.Batch
		var leaving []int64
		for _, q := range queued {
			if reason, set := aside[q.Seq]; set {
				b.Queue(asideSQL, k.Organization, int16(k.Lane), q.Seq, plain(reason))
			} else {
				leaving = append(leaving, q.Seq)
			}
		}
		b.Queue(leaveSQL, k.Organization, int16(k.Lane), leaving)
		return tx.run(ctx, &b)
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
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, asideSQL, k.Organization, int16(k.Lane), seq, plain(reason))
		return err
	})
}

// RetryAside puts back what was set aside: a newer version of the program may
// know what to do with it.
func (e *Engine) RetryAside(ctx context.Context) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		organizations, err := collect(ctx, tx, pgx.RowTo[string], waitingSQL)
		if err != nil || len(organizations) == 0 {
			return err
		}
		_, err = tx.Exec(ctx, retryAsideSQL, organizations)
		return err
	})
}

// Backlogs tells what waits in the lanes of an organization's inbox, or of all
// inboxes if the organization is empty. Lanes in which nothing waits are left
// out.
func (e *Engine) Backlogs(ctx context.Context, organization string) ([]store.Backlog, error) {
	organizations := []string{organization}
	if organization == "" {
		var err error
		if organizations, err = query(ctx, e, pgx.RowTo[string], waitingSQL); err != nil || len(organizations) == 0 {
			return nil, err
		}
	}
	return query(ctx, e, func(row pgx.CollectableRow) (b store.Backlog, err error) {
		err = row.Scan(&b.Organization, &b.Lane, &b.First, &b.Oldest, &b.Last)
		return b, err
	}, backlogsSQL, organizations)
}
