package postgres

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	leasesSQL = `SELECT licence, owner, epoch, expires_at, blocked_until, idle_since, held_since FROM licences
		WHERE (owner = $1 OR expires_at <= $2) AND EXISTS (SELECT 1 FROM integrations WHERE integrations.licence = licences.licence)
		ORDER BY licence FOR UPDATE`
	inFlightSQL = `SELECT organization, integration, target, person FROM deliveries WHERE organization = $1 AND integration = $2 AND state = 'in_flight'`
	// recoverSQL makes due what was in flight under a lease that changed hands;
	// see beginSQL for how it says so.
	recoverSQL = `UPDATE deliveries SET state = 'pending', class = 0, due_at = $5, version = version + 1, readback = 2, updated_at = $5
		WHERE ` + oneDelivery + ` AND CASE state WHEN 'in_flight' THEN true ELSE false END`
	holdingsSQL = `SELECT licence, CASE WHEN expires_at > $1 THEN owner ELSE '' END, held_since, expires_at,
		(SELECT count(*) FROM integrations WHERE integrations.licence = licences.licence)
		FROM licences WHERE licence > $2 AND EXISTS (SELECT 1 FROM integrations WHERE integrations.licence = licences.licence)
		ORDER BY licence LIMIT $3`
	holdsSQL = `SELECT 1 FROM licences WHERE licence = $1 AND owner = $2 AND epoch = $3 AND expires_at > $4 FOR SHARE`
)

// Acquire renews the leases that node holds and takes those that nobody does,
// up to its share among the nodes that did the same lately.
// Whatever was in flight under a lease that changes hands is due again, and
// its profile is read back after the next write, since the dead owner's call
// may still take effect (R15, R16).
func (e *Engine) Acquire(ctx context.Context, node string) (held []store.Lease, err error) {
	// Leases that cannot be renewed have to be known as lost in time.
	ctx, cancel := context.WithTimeout(ctx, store.LeaseLife/2)
	defer cancel()
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		e.setClock(tx.now)
		share, oldest, err := tx.share(ctx, node, e.knows)
		if err == nil {
			err = e.suffices(oldest)
		}
		if err != nil {
			return err
		}
		all, err := collect(ctx, tx, scanLease, leasesSQL, node, int64(tx.now))
		if err != nil {
			return err
		}
		if held, err = tx.spread(ctx, all, node, share); err != nil {
			return err
		}
		var b pgx.Batch
		for i := range held {
			l := &held[i]
			l.ExpiresAt = tx.now.Add(store.LeaseLife)
			b.Queue(`UPDATE licences SET owner = $2, epoch = $3, expires_at = $4, idle_since = $5, held_since = $6 WHERE licence = $1`,
				l.Licence, node, l.Epoch, int64(l.ExpiresAt), int64(tx.now), int64(l.HeldSince))
		}
		if err := tx.run(ctx, &b); err != nil {
			return err
		}
		return tx.recover(ctx, held)
	})
	if err != nil {
		return nil, err
	}
	return held, nil
}

func scanLease(row pgx.CollectableRow) (l store.Lease, err error) {
	err = row.Scan(&l.Licence, &l.Owner, &l.Epoch, &l.ExpiresAt, &l.BlockedUntil, &l.IdleSince, &l.HeldSince)
	return l, err
}

// share notes that node is there, and which version of the schema it knows. It
// tells how many licences it may hold, and which version it must know at least.
func (t *tx) share(ctx context.Context, node string, knows int64) (share int, oldest int64, err error) {
	var nodes, licences int
	var b pgx.Batch
	b.Queue(`INSERT INTO nodes (node, seen_at, knows) VALUES ($1, $2, $3) ON CONFLICT (node) DO UPDATE SET seen_at = excluded.seen_at`, node, int64(t.now), knows)
	// Whoever is gone is forgotten by one node at a time, after it was asked about:
	// see Gone.
	b.Queue(`DELETE FROM nodes WHERE node IN (SELECT node FROM nodes WHERE seen_at <= $1 FOR UPDATE SKIP LOCKED)`, int64(t.now.Add(-store.GoneFor)))
	b.Queue(`SELECT (SELECT count(*) FROM nodes WHERE seen_at > $1), (SELECT count(DISTINCT licence) FROM integrations)`, int64(t.now.Add(-store.LeaseLife))).
		QueryRow(func(row pgx.Row) error { return row.Scan(&nodes, &licences) })
	b.Queue(oldestSQL).QueryRow(func(row pgx.Row) error { return row.Scan(&oldest) })
	err = t.run(ctx, &b)
	return store.Share(licences, nodes), oldest, err
}

// spread gives leases to node up to its share, under a new epoch. Epochs grow
// over all licences and nodes, so that a result never fits the lease of another
// licence that an integration has moved to meanwhile.
func (t *tx) spread(ctx context.Context, all []store.Lease, node string, share int) (held []store.Lease, err error) {
	var epoch int64
	held = store.Spread(all, node, share, t.now, func(l *store.Lease) {
		if epoch == 0 {
			err = t.QueryRow(ctx, `SELECT nextval('epochs')`).Scan(&epoch)
		}
		l.Owner, l.Taken, l.Epoch = node, true, epoch
	})
	return held, err
}

// recover makes due what was in flight under leases that changed hands. Nothing
// is begun under them meanwhile, for their rows are locked.
func (t *tx) recover(ctx context.Context, held []store.Lease) error {
	var taken []string
	for _, l := range held {
		if l.Taken {
			taken = append(taken, l.Licence)
		}
	}
	if len(taken) == 0 {
		return nil
	}
	integrations, err := collect(ctx, t, pgx.RowToStructByPos[store.IntegrationKey], `SELECT organization, id FROM integrations WHERE licence = ANY($1)`, taken)
	if err != nil {
		return err
	}
	var found []store.DeliveryKey
	var b pgx.Batch
	for _, k := range integrations {
		b.Queue(inFlightSQL, k.Organization, k.ID).Query(func(rows pgx.Rows) error {
			keys, err := pgx.CollectRows(rows, scanKey)
			found = append(found, keys...)
			return err
		})
	}
	if err := t.run(ctx, &b); err != nil {
		return err
	}
	slices.SortFunc(found, func(x, y store.DeliveryKey) int { // as Accept locks them
		return cmp.Or(cmp.Compare(x.Organization, y.Organization), bytes.Compare(x.Person[:], y.Person[:]), cmp.Compare(x.Integration, y.Integration), cmp.Compare(x.Target, y.Target))
	})
	b = pgx.Batch{}
	for _, k := range found {
		b.Queue(recoverSQL, append(deliveryKey(k), int64(t.now))...)
	}
	for _, k := range integrations {
		b.Queue(interruptedSQL, k.Organization, k.ID, int64(t.now))
	}
	return t.run(ctx, &b)
}

func scanKey(row pgx.CollectableRow) (k store.DeliveryKey, err error) {
	var person []byte
	if err = row.Scan(&k.Organization, &k.Integration, &k.Target, &person); err == nil {
		k.Person = store.PersonKey(person)
	}
	return k, err
}

// Gone tells when nodes were last there that ended without saying so, or cannot reach
// the database: those that were last seen after one time and before another, the
// earliest first, at most 100, and for as long as store.GoneFor.
func (e *Engine) Gone(ctx context.Context, after, before consent.Time) ([]consent.Time, error) {
	return query(ctx, e, pgx.RowTo[consent.Time], `SELECT seen_at FROM nodes WHERE seen_at > $1 AND seen_at < $2 ORDER BY seen_at LIMIT 100`, int64(after), int64(before))
}

// Vacant tells whether there is a lease that nobody holds.
func (e *Engine) Vacant(ctx context.Context) (bool, error) {
	now, err := e.Now(ctx)
	if err != nil {
		return false, err
	}
	vacant, _, err := one(ctx, e, pgx.RowTo[bool], `SELECT EXISTS (SELECT 1 FROM licences
		WHERE expires_at <= $1 AND EXISTS (SELECT 1 FROM integrations WHERE integrations.licence = licences.licence))`, int64(now))
	return vacant, err
}

// Holdings lists the licences that somebody uses, from after the one given, and
// who delivers for them.
func (e *Engine) Holdings(ctx context.Context, after string, limit int) ([]store.Holding, error) {
	now, err := e.Now(ctx)
	if err != nil {
		return nil, err
	}
	return query(ctx, e, func(row pgx.CollectableRow) (h store.Holding, err error) {
		if err = row.Scan(&h.Licence, &h.Node, &h.Since, &h.ExpiresAt, &h.Integrations); h.Node == "" {
			h.Since, h.ExpiresAt = 0, 0
		}
		return h, err
	}, holdingsSQL, int64(now), after, limit)
}

// Yield gives one lease back, if it is still its owner's.
func (e *Engine) Yield(ctx context.Context, l store.Lease) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, `UPDATE licences SET expires_at = 0, idle_since = $4 WHERE licence = $1 AND owner = $2 AND epoch = $3`,
			l.Licence, l.Owner, l.Epoch, int64(tx.now))
		return err
	})
}

// Release gives all leases of node back, so that another takes them at once.
func (e *Engine) Release(ctx context.Context, node string) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM nodes WHERE node = $1`, node); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE licences SET expires_at = 0, idle_since = $2 WHERE licence IN (
			SELECT licence FROM licences WHERE owner = $1 ORDER BY licence FOR UPDATE)`, node, int64(tx.now))
		return err
	})
}

// Block keeps a licence from being called before a time, whoever holds it.
func (e *Engine) Block(ctx context.Context, l store.Lease, until consent.Time) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, `UPDATE licences SET blocked_until = greatest(blocked_until, $3) WHERE licence = $1 AND epoch = $2`,
			l.Licence, l.Epoch, int64(until))
		return err
	})
}

// holds tells whether the lease is still the holder's, and keeps it so until
// the transaction ends: whoever takes it sees what was done under it.
func (t *tx) holds(ctx context.Context, l store.Lease) (bool, error) {
	rows, err := collect(ctx, t, pgx.RowTo[int], holdsSQL, l.Licence, l.Owner, l.Epoch, int64(t.now))
	return len(rows) > 0, err
}

// underLease runs f in a transaction if the lease is held, and gives Conflict
// otherwise.
func (e *Engine) underLease(ctx context.Context, l store.Lease, op string, f func(ctx context.Context, tx *tx) error) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		if ok, err := tx.holds(ctx, l); err != nil {
			return err
		} else if !ok {
			return store.LeaseGone(op)
		}
		return f(ctx, tx)
	})
}
