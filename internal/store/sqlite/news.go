package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	hearSQL = `INSERT INTO news (organization, integration, id, arrived_at, next_at, body, entity, content, named) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9
		WHERE EXISTS (SELECT 1 FROM integrations WHERE organization = ?1 AND id = ?2)`
	nextNewsSQL = `SELECT ` + store.NewsColumns + ` FROM news
		WHERE organization = ? AND integration = ? AND next_at <= ? ORDER BY next_at, id LIMIT ?`
	toldSQL      = `SELECT seen_at FROM ledger WHERE organization = ? AND slice = ? AND entity = ? AND content = ?`
	byProfileSQL = `SELECT person FROM deliveries INDEXED BY deliveries_by_profile WHERE organization = ? AND integration = ? AND profile = ? AND profile <> '' LIMIT 1`
	// A load's call is as old as the load, and its effect as young as its answer.
	ownCallsSQL = `SELECT subscriptions, max(started_at, answered_at) FROM (
			SELECT * FROM calls WHERE organization = ? AND person = ? ORDER BY id DESC LIMIT 50)
		WHERE max(started_at, answered_at) > ? AND integration = ? AND operation IN ('update', 'create', 'load') AND outcome IN ('', 'ok', 'unclear')`
	ownRowsSQL = `SELECT l.columns, r.cells, l.created_at FROM loads l INDEXED BY loads_open
		CROSS JOIN load_rows r INDEXED BY load_rows_by_person ON r.organization = l.organization AND r.integration = l.integration AND r.load = l.id
		WHERE l.organization = ? AND l.integration = ? AND l.state <> 'done' AND r.person = ?`
)

// Hear stores news as they came. Of an integration that is gone nothing is kept.
func (e *Engine) Hear(ctx context.Context, batch []store.News) error {
	return e.inTx(ctx, func(tx *transaction) error {
		now := consent.TimeOf(e.now())
		for i := range batch {
			n, id := &batch[i], store.NewID()
			body, err := store.ToJSON(n.Told)
			if err != nil {
				return err
			}
			known := n.Identify(e.hasher)
			if _, err := tx.ExecContext(ctx, hearSQL, n.Organization, n.ID, id[:], int64(now), int64(n.First(now)), []byte(body),
				known.Entity[:], known.Content[:], known.Named); err != nil {
				return err
			}
		}
		return nil
	})
}

// NextNews gives news of an integration that are due: refusals that were not
// looked into yet, then the oldest.
func (e *Engine) NextNews(ctx context.Context, k store.IntegrationKey, limit int) ([]*store.News, error) {
	return query(ctx, e.read, store.ScanNews(k), nextNewsSQL, k.Organization, k.ID, int64(consent.TimeOf(e.now())), limit)
}

// Repeated tells whether the same news were settled before.
func (e *Engine) Repeated(ctx context.Context, n *store.News) (bool, error) {
	seen, ok, err := one(ctx, e.read, scanTime, toldSQL, n.Organization, ledgerSlice(n.Entry().Person), n.Entity[:], n.Content[:])
	return ok && n.RepeatedBy(seen), err
}

// Postpone lets news wait until a time. Conflict if the lease has gone.
func (e *Engine) Postpone(ctx context.Context, l store.Lease, n *store.News, until consent.Time) error {
	return e.underLease(ctx, l, "sqlite.Postpone", func(tx *transaction, _ consent.Time) error {
		_, err := tx.ExecContext(ctx, `UPDATE news SET next_at = ?, attempts = attempts + 1 WHERE organization = ? AND integration = ? AND id = ?`,
			int64(until), n.Organization, n.ID, n.NewsID[:])
		return err
	})
}

// SettleNews records what news turned out to be, unless the same were settled
// before. It forgets them, and remembers that they were. Conflict if the lease
// has gone.
func (e *Engine) SettleNews(ctx context.Context, l store.Lease, h store.Heard) error {
	return e.underLease(ctx, l, "sqlite.SettleNews", func(tx *transaction, now consent.Time) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM news WHERE organization = ? AND integration = ? AND id = ?`, h.Organization, h.ID, h.NewsID[:])
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err // settled before
		}
		if fresh, err := h.Remember(ctx, e.acceptTx(tx)); err != nil || !fresh {
			return err
		}
		if len(h.Statements) > 0 {
			if _, err := store.Accept(ctx, e.acceptTx(tx), e.hasher, h.Statements, now); err != nil {
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
func learn(ctx context.Context, tx *transaction, h store.Heard, now consent.Time) error {
	key := []any{h.Organization, h.ID, string(store.TargetActito), h.Person[:]}
	d, err := store.ScanDelivery(tx.QueryRowContext(ctx, selectDeliveries+oneDelivery, key...))
	if errors.Is(err, sql.ErrNoRows) {
		return nil // nothing is known of the person yet
	} else if err != nil {
		return err
	}
	text, err := store.ToJSON(h.Learn(d.Known, now))
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
	return markDue(ctx, tx, dueRow{d.DeliveryKey, store.LiveWithdrawal, h.ArrivedAt, now, d.HoldGrants, 0})
}

// OwnWrites gives our own writes to a profile since a time.
func (e *Engine) OwnWrites(ctx context.Context, k store.IntegrationKey, p store.PersonKey, since consent.Time) (map[string][]consent.OwnWrite, error) {
	calls, err := query(ctx, e.read, store.ScanCallWritten, ownCallsSQL, k.Organization, p[:], int64(since), k.ID)
	if err != nil {
		return nil, err
	}
	rows, err := query(ctx, e.read, store.ScanRowWritten, ownRowsSQL, k.Organization, k.ID, p[:])
	if err != nil {
		return nil, err
	}
	return store.OwnWrites(calls, rows), nil
}

// PersonOfProfile finds whose profile it is by Actito's own id.
func (e *Engine) PersonOfProfile(ctx context.Context, k store.IntegrationKey, profileID string) (p store.PersonKey, err error) {
	p, ok, err := one(ctx, e.read, scanPerson, byProfileSQL, k.Organization, k.ID, profileID)
	if err == nil && !ok {
		err = consent.Errorf(consent.NotFound, "sqlite.PersonOfProfile", "nobody is known by this profile")
	}
	return p, err
}
