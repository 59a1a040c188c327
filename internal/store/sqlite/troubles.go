package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// What is asked of people in trouble. The condition on both states lets the
// index of them be used.
const (
	troubled      = `organization = ? AND integration = ? AND target = ? AND state IN ('failed', 'unmatched') AND state = ?`
	troubledIndex = `deliveries INDEXED BY deliveries_troubled`
	reason        = `substr(last_error, 1, 200)`

	firstReasonSQL   = `SELECT ` + reason + ` FROM ` + troubledIndex + ` WHERE ` + troubled + ` ORDER BY ` + reason + ` LIMIT 1`
	nextReasonSQL    = `SELECT ` + reason + ` FROM ` + troubledIndex + ` WHERE ` + troubled + ` AND ` + reason + ` > ? ORDER BY ` + reason + ` LIMIT 1`
	countReasonSQL   = `SELECT count(*) FROM (SELECT 1 FROM ` + troubledIndex + ` WHERE ` + troubled + ` AND ` + reason + ` = ? LIMIT ?)`
	countTroubleSQL  = `SELECT count(*) FROM (SELECT 1 FROM ` + troubledIndex + ` WHERE ` + troubled + ` LIMIT ?)`
	troubledSQL      = `SELECT ` + store.DeliveryColumns + ` FROM ` + troubledIndex + ` WHERE ` + troubled + ` AND ` + reason + ` > ? ORDER BY ` + reason + `, person LIMIT ?`
	troubledByWhy    = `SELECT ` + store.DeliveryColumns + ` FROM ` + troubledIndex + ` WHERE ` + troubled + ` AND ` + reason + ` = ? AND person > ? ORDER BY person LIMIT ?`
	countInFlightSQL = `SELECT count(*) FROM deliveries INDEXED BY deliveries_in_flight WHERE organization = ? AND integration = ? AND state = 'in_flight'`
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
	err = e.read.QueryRowContext(ctx, firstReasonSQL, k.Organization, k.ID, to, state).Scan(&t.Reason)
	for n := 0; err == nil && n < store.MostReasons; n++ {
		if err = e.read.QueryRowContext(ctx, countReasonSQL, k.Organization, k.ID, to, state, t.Reason, store.MostTroubled).Scan(&t.People); err != nil {
			break
		}
		found = append(found, t)
		err = e.read.QueryRowContext(ctx, nextReasonSQL, k.Organization, k.ID, to, state, t.Reason).Scan(&t.Reason)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, classify(err)
	}
	return found, nil
}

// Troubled lists those whom only names, by reason and key, from after one.
func (e *Engine) Troubled(ctx context.Context, k store.IntegrationKey, only store.Only, after store.TroubleCursor, limit int) ([]*store.Delivery, error) {
	to, state := string(only.Towards()), string(only.State)
	if only.Reason != "" {
		return query(ctx, e.read, store.ScanDelivery, troubledByWhy, k.Organization, k.ID, to, state, only.Reason, after.Person[:], limit)
	}
	// The rest of the reason, and then the others: both from the index.
	found, err := query(ctx, e.read, store.ScanDelivery, troubledByWhy, k.Organization, k.ID, to, state, after.Reason, after.Person[:], limit)
	if err != nil || len(found) == limit {
		return found, err
	}
	others, err := query(ctx, e.read, store.ScanDelivery, troubledSQL, k.Organization, k.ID, to, state, after.Reason, limit-len(found))
	return append(found, others...), err
}

// States counts the people of an integration who are in flight, failed or
// unmatched.
func (e *Engine) States(ctx context.Context, k store.IntegrationKey) (store.Standings, error) {
	var s store.Standings
	if err := e.read.QueryRowContext(ctx, countInFlightSQL, k.Organization, k.ID).Scan(&s.InFlight); err != nil {
		return s, classify(err)
	}
	for _, of := range s.Troubled() {
		if err := e.read.QueryRowContext(ctx, countTroubleSQL, k.Organization, k.ID, string(of.Target), string(of.State), store.MostTroubled).Scan(of.People); err != nil {
			return s, classify(err)
		}
	}
	return s, nil
}

// StartRetry begins a re-projection of those alone whom only names. Conflict
// while another is under way, or compares everybody and waits for a yes; it takes
// the place of one of some that waits.
func (e *Engine) StartRetry(ctx context.Context, k store.IntegrationKey, only store.Only, changes ...store.Change) error {
	return e.inTx(ctx, func(tx *transaction) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO reprojections (organization, integration, state, cursor, started_at, only_since, only_target, only_state, only_reason, only_from, only_to)
			SELECT ?1, ?2, 'counting', x'', ?3, ?3, ?4, ?5, ?6, ?7, ?8 WHERE EXISTS (SELECT 1 FROM integrations WHERE organization = ?1 AND id = ?2)
			ON CONFLICT DO UPDATE SET state = 'counting', cursor = x'', people = 0, withdrawals = 0, grants = 0,
				started_at = max(excluded.started_at, started_at + 1), only_since = max(excluded.started_at, started_at + 1),
				only_target = excluded.only_target, only_state = excluded.only_state, only_reason = excluded.only_reason,
				only_from = excluded.only_from, only_to = excluded.only_to
			WHERE only_since = started_at AND state = 'asking'`,
			k.Organization, k.ID, int64(consent.TimeOf(e.now())), string(only.Target), string(only.State), only.Reason, int64(only.From), int64(only.To))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, store.ErrComparing("sqlite.StartRetry"))
		}
		return record(ctx, tx, changes)
	})
}

const effectsSQL = `SELECT at, withdrawal, step, people FROM effects WHERE organization = ? AND integration = ? AND at >= ? ORDER BY at`

// AddEffects counts what came into effect, and forgets what is old. Nothing is
// counted of an integration that is deleted. Conflict if the lease has gone.
func (e *Engine) AddEffects(ctx context.Context, l store.Lease, k store.IntegrationKey, effects []store.Effect) error {
	return e.underLease(ctx, l, "sqlite.AddEffects", func(tx *transaction, now consent.Time) error {
		for _, x := range effects {
			if _, err := tx.ExecContext(ctx, `INSERT INTO effects (organization, integration, at, withdrawal, step, people)
				SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM integrations WHERE organization = ?1 AND id = ?2)
				ON CONFLICT DO UPDATE SET people = people + excluded.people`,
				k.Organization, k.ID, int64(x.At), x.Withdrawal, x.Step, x.People); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM effects WHERE organization = ? AND integration = ? AND at < ?`, k.Organization, k.ID, int64(now.Add(-store.EffectsKept)))
		return err
	})
}

// Effects gives what came into effect from a time on, the oldest first.
func (e *Engine) Effects(ctx context.Context, k store.IntegrationKey, since consent.Time) ([]store.Effect, error) {
	return query(ctx, e.read, store.ScanEffect, effectsSQL, k.Organization, k.ID, int64(since))
}
