package sqlite

import (
	"context"
	"database/sql"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Acquire renews the leases that node holds and takes those that nobody does.
// Whatever was in flight under a lease that changes hands is due again, and
// its profile is read back after the next write, since the dead owner's call
// may still take effect (R15, R16).
func (e *Engine) Acquire(ctx context.Context, node string) (held []store.Lease, err error) {
	err = e.inTx(ctx, func(tx *sql.Tx) error {
		now := consent.TimeOf(e.now())
		held, err = leasesWithin(ctx, tx, node, now)
		if err != nil {
			return err
		}
		for i := range held {
			l := &held[i]
			l.ExpiresAt = now.Add(store.LeaseLife)
			if _, err := tx.ExecContext(ctx, `UPDATE licences SET owner = ?, epoch = ?, expires_at = ?, idle_since = ? WHERE licence = ?`,
				node, l.Epoch, int64(l.ExpiresAt), int64(now), l.Licence); err != nil {
				return err
			}
			if !l.Taken {
				continue
			}
			if _, err := tx.ExecContext(ctx, recoverSQL, int64(now), l.Licence); err != nil {
				return err
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

// leasesWithin lists the leases that node holds or may take now. Epochs grow over
// all licences, so that a result never fits the lease of another licence that an
// integration has moved to meanwhile.
func leasesWithin(ctx context.Context, tx *sql.Tx, node string, now consent.Time) ([]store.Lease, error) {
	rows, err := tx.QueryContext(ctx, `SELECT licence, owner, epoch, expires_at, blocked_until, idle_since, (SELECT max(epoch) FROM licences) FROM licences
		WHERE (owner = ? OR expires_at <= ?) AND EXISTS (SELECT 1 FROM integrations WHERE integrations.licence = licences.licence)`, node, int64(now))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []store.Lease
	for rows.Next() {
		var l store.Lease
		var newest int64
		if err := rows.Scan(&l.Licence, &l.Owner, &l.Epoch, &l.ExpiresAt, &l.BlockedUntil, &l.IdleSince, &newest); err != nil {
			return nil, err
		}
		if l.Owner != node || l.ExpiresAt <= now {
			l.Owner, l.Taken = node, true
			l.Epoch = newest + 1
		}
		found = append(found, l)
	}
	return found, rows.Err()
}

// Release gives all leases of node back, so that another takes them at once.
func (e *Engine) Release(ctx context.Context, node string) error {
	return e.inTx(ctx, func(tx *sql.Tx) error {
		now := int64(consent.TimeOf(e.now()))
		_, err := tx.ExecContext(ctx, `UPDATE licences SET expires_at = 0, idle_since = ? WHERE owner = ?`, now, node)
		return err
	})
}

// Block keeps a licence from being called before a time, whoever holds it.
func (e *Engine) Block(ctx context.Context, l store.Lease, until consent.Time) error {
	return e.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE licences SET blocked_until = max(blocked_until, ?) WHERE licence = ? AND epoch = ?`,
			int64(until), l.Licence, l.Epoch)
		return err
	})
}

// holds tells within a transaction whether the lease is still the holder's.
func holds(ctx context.Context, tx *sql.Tx, l store.Lease, now consent.Time) (bool, error) {
	var ok bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM licences WHERE licence = ? AND owner = ? AND epoch = ? AND expires_at > ?)`,
		l.Licence, l.Owner, l.Epoch, int64(now)).Scan(&ok)
	return ok, err
}
