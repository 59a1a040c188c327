package sqlite

import (
	"context"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	countDueSQL = `SELECT count(*) FROM (SELECT 1 FROM deliveries
		WHERE organization = ? AND integration = ? AND target = ? AND class = ? AND state = 'pending' LIMIT ?)`
	duePage = `organization = ? AND integration = ? AND target = ? AND class = ? AND state = 'pending' AND (attempts > 0) = 0
		AND (consent_at, person) > (?, ?) ORDER BY consent_at, person LIMIT ?`
)

// Queue tells what is due in a class.
func (e *Engine) Queue(ctx context.Context, k store.IntegrationKey, target store.Target, class store.Class) (q store.Queue, err error) {
	err = e.read.QueryRowContext(ctx, countDueSQL, k.Organization, k.ID, string(target), int64(class), store.MostCounted).Scan(&q.Due)
	if err != nil || q.Due == 0 {
		return q, classify(err)
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
	return e.deliveriesWhere(ctx, duePage, k.Organization, k.ID, string(target), int64(class),
		int64(after.ConsentAt), after.Person[:], limit)
}

// Counts gives what was ever counted of an integration, by name.
func (e *Engine) Counts(ctx context.Context, k store.IntegrationKey) (map[string]int64, error) {
	type entry struct {
		name string
		n    int64
	}
	found, err := query(ctx, e.read, func(row store.Row) (c entry, err error) {
		err = row.Scan(&c.name, &c.n)
		return c, err
	}, `SELECT name, n FROM counts WHERE organization = ? AND integration = ?`, k.Organization, k.ID)
	counts := make(map[string]int64, len(found))
	for _, c := range found {
		counts[c.name] = c.n
	}
	return counts, err
}

// count adds to the counts of an integration.
func count(ctx context.Context, tx *transaction, k store.IntegrationKey, t store.Tally) error {
	for name, n := range t {
		if n == 0 {
			continue
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO counts (organization, integration, name, n) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET n = n + excluded.n`, k.Organization, k.ID, name, n); err != nil {
			return err
		}
	}
	return nil
}

// marksOf reads how often a delivery was made due since it was last looked at.
func marksOf(ctx context.Context, tx *transaction, key []any) (marks int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT marks FROM deliveries WHERE `+oneDelivery, key...).Scan(&marks)
	return marks, ignoreNoRows(err)
}

// ReportPlan stores what the holder of a lease says of its plan, for whoever
// asks another node.
func (e *Engine) ReportPlan(ctx context.Context, l store.Lease, plan []byte) error {
	return e.underLease(ctx, l, "sqlite.ReportPlan", func(tx *transaction, _ consent.Time) error {
		_, err := tx.ExecContext(ctx, `UPDATE licences SET plan = ? WHERE licence = ?`, string(plan), l.Licence)
		return err
	})
}

// Plan gives what the holder of a licence last said of its plan; nil if it
// never did.
func (e *Engine) Plan(ctx context.Context, licence string) ([]byte, error) {
	var plan string
	err := e.read.QueryRowContext(ctx, `SELECT plan FROM licences WHERE licence = ?`, licence).Scan(&plan)
	if err = ignoreNoRows(err); err != nil || plan == "" {
		return nil, classify(err)
	}
	return []byte(plan), nil
}
