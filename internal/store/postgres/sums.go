package postgres

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// queueCounts adds to the counts of an integration in the order of their names.
func queueCounts(b *pgx.Batch, k store.IntegrationKey, t store.Tally) {
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if t[name] == 0 {
			continue
		}
		b.Queue(`INSERT INTO counts AS c (organization, integration, name, n) VALUES ($1, $2, $3, $4)
			ON CONFLICT (organization, integration, name) DO UPDATE SET n = c.n + excluded.n`, k.Organization, k.ID, name, t[name])
	}
}

// changes collects what a transaction does to sums that many share. They are
// written last and sorted, so that they are locked for a moment only, and in
// one order.
type changes struct {
	texts  []leftOut // that become others
	sums   map[leftOutKey]int64
	counts map[store.IntegrationKey]store.Tally
}

// leftOut is what is left out of a delivery, as it is stored.
type leftOut struct {
	store.DeliveryKey
	text string
}

type leftOutKey struct {
	store.IntegrationKey
	name, reason string
}

func newChanges() *changes {
	return &changes{sums: make(map[leftOutKey]int64), counts: make(map[store.IntegrationKey]store.Tally)}
}

// count adds a tally.
func (c *changes) count(k store.IntegrationKey, t store.Tally) {
	if c.counts[k] == nil {
		c.counts[k] = store.Tally{}
	}
	for name, n := range t {
		c.counts[k][name] += n
	}
}

// leaveOut says what is left out of a person's delivery now, and was before.
func (c *changes) leaveOut(k store.DeliveryKey, was string, now []consent.LeftOut) error {
	is, sums, changed, err := store.LeaveOut(was, now)
	if err != nil || !changed {
		return err
	}
	c.texts = append(c.texts, leftOut{k, is})
	for _, sum := range sums {
		c.sums[leftOutKey{k.IntegrationKey(), plain(sum.Name), plain(sum.Reason)}] += sum.People
	}
	return nil
}

// store writes the changes, and calls with them.
func (c *changes) store(ctx context.Context, tx *tx, calls ...store.Call) error {
	var b pgx.Batch
	for _, l := range c.texts {
		b.Queue(`UPDATE deliveries SET left_out = $5 WHERE `+oneDelivery, append(deliveryKey(l.DeliveryKey), l.text)...)
	}
	keys := slices.SortedFunc(maps.Keys(c.sums), func(x, y leftOutKey) int {
		return cmp.Or(cmp.Compare(x.Organization, y.Organization), cmp.Compare(x.ID, y.ID), cmp.Compare(x.name, y.name), cmp.Compare(x.reason, y.reason))
	})
	for _, k := range keys {
		if c.sums[k] != 0 {
			b.Queue(`INSERT INTO left_out AS l (organization, integration, name, reason, people) VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT (organization, integration, name, reason) DO UPDATE SET people = l.people + excluded.people`,
				k.Organization, k.ID, k.name, k.reason, c.sums[k])
			if c.sums[k] < 0 {
				b.Queue(`DELETE FROM left_out WHERE organization = $1 AND integration = $2 AND name = $3 AND reason = $4 AND people <= 0`,
					k.Organization, k.ID, k.name, k.reason)
			}
		}
	}
	integrations := slices.SortedFunc(maps.Keys(c.counts), func(x, y store.IntegrationKey) int {
		return cmp.Or(cmp.Compare(x.Organization, y.Organization), cmp.Compare(x.ID, y.ID))
	})
	for _, k := range integrations {
		queueCounts(&b, k, c.counts[k])
	}
	if err := queueCalls(&b, calls...); err != nil {
		return err
	}
	return tx.run(ctx, &b)
}

func queueCalls(b *pgx.Batch, calls ...store.Call) error {
	for i := range calls {
		c := &calls[i]
		subscriptions, err := store.ToJSON(c.Subscriptions)
		if err != nil {
			return err
		}
		attributes, err := store.ToJSON(c.Attributes)
		if err != nil {
			return err
		}
		b.Queue(`INSERT INTO calls (organization, person, id, integration, operation, subscriptions, attributes, started_at, answered_at, outcome, detail, revision, salt)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
			ON CONFLICT (organization, person, id) DO UPDATE SET answered_at = excluded.answered_at, outcome = excluded.outcome, detail = excluded.detail
			WHERE calls.answered_at = 0 AND length(calls.erased) = 0`,
			c.Organization, c.Person[:], c.ID[:], c.Integration, c.Operation, subscriptions, attributes,
			int64(c.StartedAt), int64(c.AnsweredAt), plain(c.Outcome), plain(c.Detail), c.Revision, store.NewSalt())
	}
	return nil
}
