package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// What is asked of people in trouble. The condition on both states, in the words
// of the index, lets it be used.
const (
	troubled = `organization = $1 AND integration = $2 AND target = $3 AND left(state, 9) IN ('failed', 'unmatched') AND (state COLLATE "C") = $4`
	why      = `(left(last_error, 200) COLLATE "C")`

	firstReasonSQL   = `SELECT ` + why + ` FROM deliveries WHERE ` + troubled + ` ORDER BY ` + why + ` LIMIT 1`
	nextReasonSQL    = `SELECT ` + why + ` FROM deliveries WHERE ` + troubled + ` AND ` + why + ` > $5 ORDER BY ` + why + ` LIMIT 1`
	countReasonSQL   = `SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE ` + troubled + ` AND ` + why + ` = $5 LIMIT $6) x`
	countTroubleSQL  = `SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE ` + troubled + ` LIMIT $5) x`
	troubledSQL      = selectDeliveries + troubled + ` AND (` + why + `, person) > ($5, $6) ORDER BY ` + why + `, person LIMIT $7`
	troubledByWhy    = selectDeliveries + troubled + ` AND ` + why + ` = $5 AND person > $6 ORDER BY person LIMIT $7`
	countInFlightSQL = `SELECT count(*) FROM deliveries WHERE organization = $1 AND integration = $2 AND state = 'in_flight'`
	effectsSQL       = `SELECT at, withdrawal, step, people FROM effects WHERE organization = $1 AND integration = $2 AND at >= $3 ORDER BY at`
)

// Troubles groups the people of an integration who failed or are unmatched by
// target and reason, at most MostReasons of each state.
func (e *Engine) Troubles(ctx context.Context, k store.IntegrationKey) ([]store.Trouble, error) {
	var found []store.Trouble
	for _, target := range store.Targets {
		for _, state := range store.TroubleStates {
			reasons, err := e.reasons(ctx, k, store.Trouble{Target: target, State: state})
			if err != nil {
				return nil, err
			}
			found = append(found, reasons...)
		}
	}
	return found, nil
}

// reasons gives the groups of one target and state.
func (e *Engine) reasons(ctx context.Context, k store.IntegrationKey, t store.Trouble) (found []store.Trouble, err error) {
	to, state := string(t.Target), string(t.State)
	var more bool
	t.Reason, more, err = one(ctx, e, pgx.RowTo[string], firstReasonSQL, k.Organization, k.ID, to, state)
	for n := 0; err == nil && more && n < store.MostReasons; n++ {
		if t.People, _, err = one(ctx, e, pgx.RowTo[int64], countReasonSQL, k.Organization, k.ID, to, state, t.Reason, store.MostTroubled); err != nil {
			break
		}
		found = append(found, t)
		t.Reason, more, err = one(ctx, e, pgx.RowTo[string], nextReasonSQL, k.Organization, k.ID, to, state, t.Reason)
	}
	return found, err
}

// Troubled lists those whom only names, by reason and key, from after one.
func (e *Engine) Troubled(ctx context.Context, k store.IntegrationKey, only store.Only, after store.TroubleCursor, limit int) ([]*store.Delivery, error) {
	text, reason := troubledSQL, after.Reason
	if only.Reason != "" {
		text, reason = troubledByWhy, only.Reason
	}
	return query(ctx, e, scanDelivery, text, k.Organization, k.ID, string(only.Towards()), string(only.State), plain(reason), after.Person[:], limit)
}

// States counts the people of an integration who are in flight, failed or
// unmatched.
func (e *Engine) States(ctx context.Context, k store.IntegrationKey) (s store.Standings, err error) {
	if s.InFlight, _, err = one(ctx, e, pgx.RowTo[int64], countInFlightSQL, k.Organization, k.ID); err != nil {
		return s, err
	}
	for _, of := range s.Troubled() {
		if *of.People, _, err = one(ctx, e, pgx.RowTo[int64], countTroubleSQL, k.Organization, k.ID, string(of.Target), string(of.State), store.MostTroubled); err != nil {
			return s, err
		}
	}
	return s, nil
}

// StartRetry begins a re-projection of those alone whom only names. Conflict
// while another is under way, or compares everybody and waits for a yes; it takes
// the place of one of some that waits.
func (e *Engine) StartRetry(ctx context.Context, k store.IntegrationKey, only store.Only, changes ...store.Change) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO reprojections AS r (organization, integration, state, cursor, started_at, only_since, only_target, only_state, only_reason, only_from, only_to)
			SELECT $1, $2, 'counting', '', $3, $3, $4, $5, $6, $7, $8 WHERE EXISTS (SELECT 1 FROM integrations WHERE organization = $1 AND id = $2)
			ON CONFLICT (organization, integration) DO UPDATE SET state = 'counting', cursor = '', people = 0, withdrawals = 0, grants = 0,
				started_at = greatest(excluded.started_at, r.started_at + 1), only_since = greatest(excluded.started_at, r.started_at + 1),
				only_target = excluded.only_target, only_state = excluded.only_state, only_reason = excluded.only_reason,
				only_from = excluded.only_from, only_to = excluded.only_to
			WHERE r.only_since = r.started_at AND r.state = 'asking'`,
			k.Organization, k.ID, int64(tx.now), string(only.Target), string(only.State), plain(only.Reason), int64(only.From), int64(only.To))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return store.ErrComparing("postgres.StartRetry")
		}
		return tx.record(ctx, changes)
	})
}

// AddEffects counts what came into effect, and forgets what is old. Nothing is
// counted of an integration that is deleted. Conflict if the lease has gone.
func (e *Engine) AddEffects(ctx context.Context, l store.Lease, k store.IntegrationKey, effects []store.Effect) error {
	return e.underLease(ctx, l, "postgres.AddEffects", func(ctx context.Context, tx *tx) error {
		if err := tx.shareOrganization(ctx, k.Organization); err != nil {
			return err
		}
		var b pgx.Batch
		for _, x := range effects {
			b.Queue(`INSERT INTO effects AS e (organization, integration, at, withdrawal, step, people)
				SELECT $1, $2, $3, $4, $5, $6 WHERE EXISTS (SELECT 1 FROM integrations WHERE organization = $1 AND id = $2)
				ON CONFLICT (organization, integration, at, withdrawal, step) DO UPDATE SET people = e.people + excluded.people`,
				k.Organization, k.ID, int64(x.At), x.Withdrawal, int16(x.Step), x.People) //nolint:gosec // there are few steps
		}
		b.Queue(`DELETE FROM effects WHERE organization = $1 AND integration = $2 AND at < $3`, k.Organization, k.ID, int64(tx.now.Add(-store.EffectsKept)))
		return tx.run(ctx, &b)
	})
}

// Effects gives what came into effect from a time on, the oldest first.
func (e *Engine) Effects(ctx context.Context, k store.IntegrationKey, since consent.Time) ([]store.Effect, error) {
	return query(ctx, e, scanned(store.ScanEffect), effectsSQL, k.Organization, k.ID, int64(since))
}
