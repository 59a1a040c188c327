package sqlite

import (
	"context"
	"maps"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Acquire renews the leases that node holds and takes those that nobody does,
// up to its share among the nodes that did the same lately.
// Whatever was in flight under a lease that changes hands is due again, and
// its profile is read back after the next write, since the dead owner's call
// may still take effect (R15, R16).
func (e *Engine) Acquire(ctx context.Context, node string) (held []store.Lease, err error) {
	err = e.inTx(ctx, func(tx *transaction) error {
		now := consent.TimeOf(e.now())
		var licences int
		if err := tx.QueryRowContext(ctx, `SELECT count(DISTINCT licence) FROM integrations`).Scan(&licences); err != nil {
			return err
		}
		all, newest, err := leasesWithin(ctx, tx, node, now)
		if err != nil {
			return err
		}
		// Epochs grow over all licences, so that a result never fits the lease of
		// another licence that an integration has moved to meanwhile.
		held = store.Spread(all, node, store.Share(licences, e.nodes(node, now)), now, func(l *store.Lease) {
			l.Owner, l.Taken, l.Epoch = node, true, newest+1
		})
		for i := range held {
			l := &held[i]
			l.ExpiresAt = now.Add(store.LeaseLife)
			if _, err := tx.ExecContext(ctx, `UPDATE licences SET owner = ?, epoch = ?, expires_at = ?, idle_since = ?, held_since = ? WHERE licence = ?`,
				node, l.Epoch, int64(l.ExpiresAt), int64(now), int64(l.HeldSince), l.Licence); err != nil {
				return err
			}
			if !l.Taken {
				continue
			}
			for _, interrupted := range []string{recoverSQL, interruptedSQL} {
				if _, err := tx.ExecContext(ctx, interrupted, int64(now), l.Licence); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return held, err
}

// recoverSQL makes due what was in flight under a lease that changed hands. The
// index is named, for SQLite would rather walk through all deliveries.
const recoverSQL = `UPDATE deliveries INDEXED BY deliveries_in_flight SET state = 'pending', class = 0, due_at = ?1, version = version + 1, readback = 2, updated_at = ?1
	WHERE state = 'in_flight' AND (organization, integration) IN (SELECT organization, id FROM integrations WHERE licence = ?2)`

// nodes notes that node is there, and counts those that are. There is one
// process, so that it need not be stored.
func (e *Engine) nodes(node string, now consent.Time) int {
	e.seen[node] = now
	maps.DeleteFunc(e.seen, func(_ string, at consent.Time) bool { return at.Add(store.LeaseLife) <= now })
	return len(e.seen)
}

// leasesWithin lists the leases that node holds or may take now, and the newest
// epoch of all.
func leasesWithin(ctx context.Context, tx *transaction, node string, now consent.Time) (found []store.Lease, newest int64, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT licence, owner, epoch, expires_at, blocked_until, idle_since, held_since, (SELECT max(epoch) FROM licences) FROM licences
		WHERE (owner = ? OR expires_at <= ?) AND EXISTS (SELECT 1 FROM integrations WHERE integrations.licence = licences.licence)
		ORDER BY licence`, node, int64(now))
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var l store.Lease
		if err := rows.Scan(&l.Licence, &l.Owner, &l.Epoch, &l.ExpiresAt, &l.BlockedUntil, &l.IdleSince, &l.HeldSince, &newest); err != nil {
			return nil, 0, err
		}
		found = append(found, l)
	}
	return found, newest, rows.Err()
}

// Vacant tells whether there is a lease that nobody holds.
func (e *Engine) Vacant(ctx context.Context) (vacant bool, err error) {
	err = e.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM licences
		WHERE expires_at <= ? AND EXISTS (SELECT 1 FROM integrations WHERE integrations.licence = licences.licence))`,
		int64(consent.TimeOf(e.now()))).Scan(&vacant)
	return vacant, classify(err)
}

// Holdings lists the licences that somebody uses, from after the one given, and
// who delivers for them.
func (e *Engine) Holdings(ctx context.Context, after string, limit int) ([]store.Holding, error) {
	rows, err := e.read.QueryContext(ctx, `SELECT licence, CASE WHEN expires_at > ? THEN owner ELSE '' END, held_since, expires_at,
		(SELECT count(*) FROM integrations WHERE integrations.licence = licences.licence)
		FROM licences WHERE licence > ? AND EXISTS (SELECT 1 FROM integrations WHERE integrations.licence = licences.licence)
		ORDER BY licence LIMIT ?`, int64(consent.TimeOf(e.now())), after, limit)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	var found []store.Holding
	for rows.Next() {
		var h store.Holding
		if err := rows.Scan(&h.Licence, &h.Node, &h.Since, &h.ExpiresAt, &h.Integrations); err != nil {
			return nil, classify(err)
		}
		if h.Node == "" {
			h.Since, h.ExpiresAt = 0, 0
		}
		found = append(found, h)
	}
	return found, classify(rows.Err())
}

// Yield gives one lease back, if it is still its owner's.
func (e *Engine) Yield(ctx context.Context, l store.Lease) error {
	return e.inTx(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, `UPDATE licences SET expires_at = 0, idle_since = ? WHERE licence = ? AND owner = ? AND epoch = ?`,
			int64(consent.TimeOf(e.now())), l.Licence, l.Owner, l.Epoch)
		return err
	})
}

// Release gives all leases of node back, so that another takes them at once.
func (e *Engine) Release(ctx context.Context, node string) error {
	return e.inTx(ctx, func(tx *transaction) error {
		delete(e.seen, node)
		now := int64(consent.TimeOf(e.now()))
		_, err := tx.ExecContext(ctx, `UPDATE licences SET expires_at = 0, idle_since = ? WHERE owner = ?`, now, node)
		return err
	})
}

// Block keeps a licence from being called before a time, whoever holds it.
func (e *Engine) Block(ctx context.Context, l store.Lease, until consent.Time) error {
	return e.inTx(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, `UPDATE licences SET blocked_until = max(blocked_until, ?) WHERE licence = ? AND epoch = ?`,
			int64(until), l.Licence, l.Epoch)
		return err
	})
}

// holds tells within a transaction whether the lease is still the holder's.
func holds(ctx context.Context, tx *transaction, l store.Lease, now consent.Time) (bool, error) {
	var ok bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM licences WHERE licence = ? AND owner = ? AND epoch = ? AND expires_at > ?)`,
		l.Licence, l.Owner, l.Epoch, int64(now)).Scan(&ok)
	return ok, err
}

// Gone tells nothing: a database in a directory has one node, and nobody is there
// when that is not.
func (*Engine) Gone(context.Context, consent.Time, consent.Time) ([]consent.Time, error) {
	return nil, nil
}
