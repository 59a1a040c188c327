package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	nextNewsSQL = `SELECT id, arrived_at, attempts, body FROM news
		WHERE organization = ? AND integration = ? AND next_at <= ? ORDER BY next_at, id LIMIT ?`
	byProfileSQL = `SELECT person FROM deliveries INDEXED BY deliveries_by_profile WHERE organization = ? AND integration = ? AND profile = ? AND profile <> '' LIMIT 1`
	// A load's call is as old as the load, and its effect as young as its answer.
	ownCallsSQL = `SELECT subscriptions, max(started_at, answered_at) FROM (
			SELECT * FROM calls WHERE organization = ? AND person = ? ORDER BY id DESC LIMIT 50)
		WHERE max(started_at, answered_at) > ? AND integration = ? AND operation IN ('update', 'create', 'load') AND outcome IN ('', 'ok', 'unclear')`
	ownRowsSQL = `SELECT l.columns, r.cells, l.created_at FROM loads l INDEXED BY loads_open
		CROSS JOIN load_rows r INDEXED BY load_rows_by_person ON r.organization = l.organization AND r.integration = l.integration AND r.load = l.id
		WHERE l.organization = ? AND l.integration = ? AND l.state <> 'done' AND r.person = ?`
)

// Hear stores news that were not told before, as they came.
func (e *Engine) Hear(ctx context.Context, batch []store.News) (fresh int, err error) {
	err = e.inTx(ctx, func(tx *sql.Tx) error {
		fresh = 0
		now := consent.TimeOf(e.now())
		t := &acceptTx{e: e, tx: tx, bound: map[*sql.Stmt]prepared{}}
		for i := range batch {
			n := &batch[i]
			entry := n.Entry(e.hasher, now)
			if isNew, err := t.remember(ctx, &entry); err != nil {
				return err
			} else if !isNew {
				continue
			}
			body, err := toJSON(n.Told)
			if err != nil {
				return err
			}
			id := store.NewID()
			if _, err := tx.ExecContext(ctx, `INSERT INTO news (organization, integration, id, arrived_at, next_at, body) VALUES (?, ?, ?, ?, ?, ?)`,
				n.Organization, n.ID, id[:], int64(now), int64(n.First(now)), []byte(body)); err != nil {
				return err
			}
			fresh++
		}
		return nil
	})
	return fresh, err
}

// NextNews gives news of an integration that are due: refusals that were not
// looked into yet, then the oldest.
func (e *Engine) NextNews(ctx context.Context, k store.IntegrationKey, limit int) ([]*store.News, error) {
	rows, err := e.read.QueryContext(ctx, nextNewsSQL, k.Organization, k.ID, int64(consent.TimeOf(e.now())), limit)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	var found []*store.News
	for rows.Next() {
		n := &store.News{IntegrationKey: k}
		var id, body []byte
		if err := rows.Scan(&id, &n.ArrivedAt, &n.Attempts, &body); err != nil {
			return nil, classify(err)
		}
		n.NewsID = store.ID(id)
		if err := fromJSON(string(body), &n.Told); err != nil {
			return nil, err
		}
		found = append(found, n)
	}
	return found, classify(rows.Err())
}

// Postpone lets news wait until a time. Conflict if the lease has gone.
func (e *Engine) Postpone(ctx context.Context, l store.Lease, n *store.News, until consent.Time) error {
	return e.underLease(ctx, l, "sqlite.Postpone", func(tx *sql.Tx, _ consent.Time) error {
		_, err := tx.ExecContext(ctx, `UPDATE news SET next_at = ?, attempts = attempts + 1 WHERE organization = ? AND integration = ? AND id = ?`,
			int64(until), n.Organization, n.ID, n.NewsID[:])
		return err
	})
}

// SettleNews records what news turned out to be, and forgets them. Conflict if
// the lease has gone.
func (e *Engine) SettleNews(ctx context.Context, l store.Lease, h store.Heard) error {
	return e.underLease(ctx, l, "sqlite.SettleNews", func(tx *sql.Tx, now consent.Time) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM news WHERE organization = ? AND integration = ? AND id = ?`, h.Organization, h.ID, h.NewsID[:])
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err // settled before
		}
		if len(h.Statements) > 0 {
			t := &acceptTx{e: e, tx: tx, bound: map[*sql.Stmt]prepared{}}
			if _, err := store.Accept(ctx, t, e.hasher, h.Statements, now); err != nil {
				return err
			}
		}
		if h.Person == (store.PersonKey{}) {
			return nil
		}
		return learn(ctx, tx, h, now)
	})
}

// learn records what news tell of the profile itself.
func learn(ctx context.Context, tx *sql.Tx, h store.Heard, now consent.Time) error {
	key := []any{h.Organization, h.ID, string(store.TargetActito), h.Person[:]}
	d, err := scanDelivery(tx.QueryRowContext(ctx, selectDeliveries+oneDelivery, key...))
	if errors.Is(err, sql.ErrNoRows) {
		return nil // nothing is known of the person yet
	} else if err != nil {
		return err
	}
	text, err := toJSON(h.Learn(d.Known, now))
	if err != nil {
		return err
	}
	profile := cmp.Or(h.ProfileID, d.ProfileID)
	if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET known = ?, profile = ? WHERE `+oneDelivery, append([]any{text, profile}, key...)...); err != nil {
		return err
	}
	if h.Doubt.Empty() && (!h.Again || d.State != store.Unmatched) {
		return nil
	}
	_, err = tx.ExecContext(ctx, markDueSQL, h.Organization, h.ID, h.Person[:], int64(store.LiveWithdrawal), int64(h.ArrivedAt), int64(now), d.HoldGrants, 0, string(store.TargetActito))
	return err
}

// OwnWrites gives our own writes to a profile since a time.
func (e *Engine) OwnWrites(ctx context.Context, k store.IntegrationKey, p store.PersonKey, since consent.Time) (map[string][]consent.OwnWrite, error) {
	writes := make(map[string][]consent.OwnWrite)
	add := func(subscriptions map[string]bool, at consent.Time) {
		for name, on := range subscriptions {
			writes[name] = append(writes[name], consent.OwnWrite{On: on, At: at})
		}
	}
	if err := e.ownCalls(ctx, k, p, since, add); err != nil {
		return nil, classify(err)
	}
	if err := e.ownRows(ctx, k, p, add); err != nil {
		return nil, classify(err)
	}
	for _, list := range writes {
		slices.SortStableFunc(list, func(a, b consent.OwnWrite) int { return int(a.At - b.At) })
	}
	return writes, nil
}

func (e *Engine) ownCalls(ctx context.Context, k store.IntegrationKey, p store.PersonKey, since consent.Time, add func(map[string]bool, consent.Time)) error {
	rows, err := e.read.QueryContext(ctx, ownCallsSQL, k.Organization, p[:], int64(since), k.ID)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		var at consent.Time
		if err := rows.Scan(&text, &at); err != nil {
			return err
		}
		var subscriptions map[string]bool
		if err := fromJSON(text, &subscriptions); err != nil {
			return err
		}
		add(subscriptions, at)
	}
	return rows.Err()
}

func (e *Engine) ownRows(ctx context.Context, k store.IntegrationKey, p store.PersonKey, add func(map[string]bool, consent.Time)) error {
	rows, err := e.read.QueryContext(ctx, ownRowsSQL, k.Organization, k.ID, p[:])
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var columns, digits string
		var at consent.Time
		if err := rows.Scan(&columns, &digits, &at); err != nil {
			return err
		}
		var names []string
		if err := fromJSON(columns, &names); err != nil {
			return err
		}
		add((&store.LoadRow{On: values(digits)}).Difference(names).Subscriptions, at)
	}
	return rows.Err()
}

// PersonOfProfile finds whose profile it is by Actito's own id.
func (e *Engine) PersonOfProfile(ctx context.Context, k store.IntegrationKey, profileID string) (p store.PersonKey, err error) {
	var person []byte
	err = e.read.QueryRowContext(ctx, byProfileSQL, k.Organization, k.ID, profileID).Scan(&person)
	if errors.Is(err, sql.ErrNoRows) {
		return p, consent.Errorf(consent.NotFound, "sqlite.PersonOfProfile", "nobody is known by this profile")
	} else if err != nil {
		return p, classify(err)
	}
	return store.PersonKey(person), nil
}
