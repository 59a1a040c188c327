package postgres

import (
	"cmp"
	"context"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	hearSQL = `INSERT INTO news (organization, integration, id, arrived_at, next_at, body, entity, content, named)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
		WHERE EXISTS (SELECT 1 FROM integrations WHERE organization = $1 AND id = $2)`
	nextNewsSQL = `SELECT ` + store.NewsColumns + ` FROM news
		WHERE organization = $1 AND integration = $2 AND next_at <= $3 ORDER BY next_at, id LIMIT $4`
	toldSQL      = `SELECT seen_at FROM ledger WHERE organization = $1 AND entity = $2 AND content = $3`
	byProfileSQL = `SELECT person FROM deliveries WHERE organization = $1 AND integration = $2 AND profile = $3 AND profile <> '' LIMIT 1`
	// A load's call is as old as the load, and its effect as young as its answer.
	ownCallsSQL = `SELECT subscriptions, greatest(started_at, answered_at) FROM (
			SELECT * FROM calls WHERE organization = $1 AND person = $2 ORDER BY id DESC LIMIT 50) AS newest
		WHERE greatest(started_at, answered_at) > $3 AND integration = $4 AND operation IN ('update', 'create', 'load') AND outcome IN ('', 'ok', 'unclear')`
	ownRowsSQL = `SELECT l.columns, r.cells, l.created_at FROM loads l
		JOIN load_rows r ON r.organization = l.organization AND r.integration = l.integration AND r.load = l.id
		WHERE l.organization = $1 AND l.integration = $2 AND l.state <> 'done' AND r.organization = $1 AND r.integration = $2 AND r.person = $3`
)

// Hear stores news as they came. Of an integration that is gone nothing is kept:
// while they are stored, none is removed.
func (e *Engine) Hear(ctx context.Context, batch []store.News) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		var organizations []string
		for i := range batch {
			organizations = append(organizations, batch[i].Organization)
		}
		var b pgx.Batch
		classes, keys, alone := locksOf(nil, organizations)
		b.Queue(lockSQL, classes, keys, alone)
		for i := range batch {
			n, id := &batch[i], store.NewID()
			body, err := store.ToJSON(n.Told)
			if err != nil {
				return err
			}
			known := n.Identify(e.hasher)
			b.Queue(hearSQL, n.Organization, n.ID, id[:], int64(tx.now), int64(n.First(tx.now)), body, known.Entity[:], known.Content[:], known.Named)
		}
		return tx.run(ctx, &b)
	})
}

// NextNews gives news of an integration that are due: refusals that were not
// looked into yet, then the oldest.
func (e *Engine) NextNews(ctx context.Context, k store.IntegrationKey, limit int) ([]*store.News, error) {
	now, err := e.Now(ctx)
	if err != nil {
		return nil, err
	}
	return query(ctx, e, scanned(store.ScanNews(k)), nextNewsSQL, k.Organization, k.ID, int64(now), limit)
}

// Repeated tells whether the same news were settled before.
func (e *Engine) Repeated(ctx context.Context, n *store.News) (bool, error) {
	seen, ok, err := one(ctx, e, pgx.RowTo[consent.Time], toldSQL, n.Organization, n.Entity[:], n.Content[:])
	return ok && n.RepeatedBy(seen), err
}

// Postpone lets news wait until a time. Conflict if the lease has gone.
func (e *Engine) Postpone(ctx context.Context, l store.Lease, n *store.News, until consent.Time) error {
	return e.underLease(ctx, l, "postgres.Postpone", func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, `UPDATE news SET next_at = $4, attempts = attempts + 1 WHERE organization = $1 AND integration = $2 AND id = $3`,
			n.Organization, n.ID, n.NewsID[:], int64(until))
		return err
	})
}

// SettleNews records what news turned out to be, unless the same were settled
// before. It forgets them, and remembers that they were. Conflict if the lease
// has gone.
func (e *Engine) SettleNews(ctx context.Context, l store.Lease, h store.Heard) error {
	return e.underLease(ctx, l, "postgres.SettleNews", func(ctx context.Context, tx *tx) error {
		if err := tx.shareOrganization(ctx, h.Organization); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `DELETE FROM news WHERE organization = $1 AND integration = $2 AND id = $3`, h.Organization, h.ID, h.NewsID[:])
		if err != nil || tag.RowsAffected() == 0 {
			return err // settled before
		}
		if fresh, err := h.Remember(ctx, newAcceptTx(tx)); err != nil || !fresh {
			return err
		}
		if len(h.Statements) > 0 {
			if _, err := store.Accept(ctx, newAcceptTx(tx), e.hasher, h.Statements, tx.now); err != nil {
				return err
			}
		}
		if h.Person == (store.PersonKey{}) {
			return nil
		}
		return learn(ctx, tx, h)
	})
}

// learn records what news tell of the profile itself.
func learn(ctx context.Context, tx *tx, h store.Heard) error {
	key := []any{h.Organization, h.ID, string(store.TargetActito), h.Person[:]}
	found, err := collect(ctx, tx, scanDelivery, selectDeliveries+oneDelivery+` FOR UPDATE`, key...)
	if err != nil || len(found) == 0 {
		return err // nothing is known of the person yet
	}
	d := found[0]
	known, err := store.ToJSON(h.Learn(d.Known, tx.now))
	if err != nil {
		return err
	}
	var b pgx.Batch
	b.Queue(`UPDATE deliveries SET known = $5, profile = $6 WHERE `+oneDelivery, append(key, known, cmp.Or(plain(h.ProfileID), d.ProfileID))...)
	if !h.Doubt.Empty() || h.Again && d.State == store.Unmatched {
		queueMarks(&b, h.ID, store.TargetActito, []store.Due{{
			SubjectKey: store.SubjectKey{Organization: h.Organization, Person: h.Person}, Class: store.LiveWithdrawal,
			ConsentAt: h.ArrivedAt, At: tx.now, HoldGrants: d.HoldGrants,
		}}, nil)
	}
	return tx.run(ctx, &b)
}

// OwnWrites gives our own writes to a profile since a time.
func (e *Engine) OwnWrites(ctx context.Context, k store.IntegrationKey, p store.PersonKey, since consent.Time) (map[string][]consent.OwnWrite, error) {
	calls, err := query(ctx, e, scanned(store.ScanCallWritten), ownCallsSQL, k.Organization, p[:], int64(since), k.ID)
	if err != nil {
		return nil, err
	}
	rows, err := query(ctx, e, scanned(store.ScanRowWritten), ownRowsSQL, k.Organization, k.ID, p[:])
	if err != nil {
		return nil, err
	}
	return store.OwnWrites(calls, rows), nil
}

// PersonOfProfile finds whose profile it is by Actito's own id.
func (e *Engine) PersonOfProfile(ctx context.Context, k store.IntegrationKey, profileID string) (p store.PersonKey, err error) {
	person, ok, err := one(ctx, e, pgx.RowTo[[]byte], byProfileSQL, k.Organization, k.ID, plain(profileID))
	if err != nil {
		return p, err
	}
	if !ok {
		return p, consent.Errorf(consent.NotFound, "postgres.PersonOfProfile", "nobody is known by this profile")
	}
	return store.PersonKey(person), nil
}
