package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/store"
)

const (
	countDueSQL = `SELECT count(*) FROM (SELECT 1 FROM deliveries
		WHERE organization = $1 AND integration = $2 AND target = $3 AND class = $4 AND state = 'pending' LIMIT $5) AS due`
	duePage = `organization = $1 AND integration = $2 AND target = $3 AND class = $4 AND state = 'pending' AND tried = false
		AND (consent_at, person) > ($5, $6) ORDER BY consent_at, person LIMIT $7`
)

// Queue tells what is due in a class.
func (e *Engine) Queue(ctx context.Context, k store.IntegrationKey, target store.Target, class store.Class) (q store.Queue, err error) {
	q.Due, _, err = one(ctx, e, pgx.RowTo[int64], countDueSQL, k.Organization, k.ID, string(target), int16(class), store.MostCounted)
	if err != nil || q.Due == 0 {
		return q, err
	}
	head, err := e.NextDue(ctx, k, target, class, 1)
	if err == nil && len(head) > 0 {
		q.Head = head[0].DueAt
	}
	return q, err
}

// DuePage lists what is due in a class and was not tried yet, in the order of
// NextDue, from after a place; the zero cursor is the beginning.
func (e *Engine) DuePage(ctx context.Context, k store.IntegrationKey, target store.Target, class store.Class, after store.DueCursor, limit int) ([]*store.Delivery, error) {
	return query(ctx, e, scanDelivery, selectDeliveries+duePage, k.Organization, k.ID, string(target), int16(class),
		int64(after.ConsentAt), after.Person[:], limit)
}

// Counts gives what was ever counted of an integration, by name.
func (e *Engine) Counts(ctx context.Context, k store.IntegrationKey) (map[string]int64, error) {
	type count struct {
		name string
		n    int64
	}
	found, err := query(ctx, e, func(row pgx.CollectableRow) (c count, err error) {
		err = row.Scan(&c.name, &c.n)
		return c, err
	}, `SELECT name, n FROM counts WHERE organization = $1 AND integration = $2`, k.Organization, k.ID)
	counts := make(map[string]int64, len(found))
	for _, c := range found {
		counts[c.name] = c.n
	}
	return counts, err
}

// ReportPlan stores what the holder of a lease says of its plan, for whoever
// asks another node.
func (e *Engine) ReportPlan(ctx context.Context, l store.Lease, plan []byte) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		// The row is locked for writing at once: two that share it first could
		// not both go on.
		tag, err := tx.Exec(ctx, `UPDATE licences SET plan = $5 WHERE licence = $1 AND owner = $2 AND epoch = $3 AND expires_at > $4`,
			l.Licence, l.Owner, l.Epoch, int64(tx.now), string(plan))
		if err == nil && tag.RowsAffected() == 0 {
			return store.LeaseGone("postgres.ReportPlan")
		}
		return err
	})
}

// Plan gives what the holder of a licence last said of its plan; nil if it
// never did.
func (e *Engine) Plan(ctx context.Context, licence string) ([]byte, error) {
	plan, _, err := one(ctx, e, pgx.RowTo[string], `SELECT plan FROM licences WHERE licence = $1`, licence)
	if err != nil || plan == "" {
		return nil, err
	}
	return []byte(plan), nil
}
