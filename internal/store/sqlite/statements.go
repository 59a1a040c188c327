package sqlite

import (
	"context"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// The statements of accepting.
const (
	rememberSQL = `INSERT INTO ledger (organization, slice, entity, content, person, seen_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	seenAtSQL   = `SELECT seen_at FROM ledger WHERE organization = ? AND slice = ? AND entity = ? AND content = ?`
	seeAgainSQL = `UPDATE ledger SET seen_at = ? WHERE organization = ? AND slice = ? AND entity = ? AND content = ?`

	traceEventSQL     = `UPDATE events SET trace = ? WHERE organization = ? AND id = ?`
	integrationsOfSQL = `SELECT id FROM integrations WHERE organization = ?`
)

var (
	saveSubjects = newMultiInsert(`INSERT INTO people (organization, person, user_id, didomi_id, state, didomi_users)`, `(?, ?, ?, ?, ?, ?)`,
		`ON CONFLICT DO UPDATE SET user_id = excluded.user_id, didomi_id = excluded.didomi_id, state = excluded.state, didomi_users = excluded.didomi_users`)
	insertEvents = newMultiInsert(`INSERT INTO events (organization, id, type, entity_id, person, regulation, consent_at, arrived_at, outcome, commitment)`,
		`(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, ``)
	insertPayloads = newMultiInsert(`INSERT INTO payloads (organization, id, salt, body)`, `(?, ?, ?, ?)`, ``)
)

// makeDue makes a delivery due, whatever it was doing. One that is being
// called stays so and is seen to have a newer version when the call ends. One
// that waits keeps its time, so that a flood of updates cannot defeat the
// back-off; only a withdrawal shortens it, to 5 s after the last attempt.
//
// One that is in a bulk load stays in it, and is compared again when the load
// ends; only a withdrawal goes at once (R22).
//
// held says that its grants wait for a yes (R23). Live consent is never held,
// neither what it makes due nor what is due because of it.
//
// SQLite makes a table for each list of three or more, so there are none.
var makeDue = newMultiInsert(`INSERT INTO deliveries (organization, integration, target, person, state, class, consent_at, due_at, updated_at, held, marks)`,
	`(?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?)`, `ON CONFLICT DO UPDATE SET
  version = version + 1, marks = marks + excluded.marks, held = excluded.held AND (held OR state <> 'pending' AND state <> 'in_flight' AND state <> 'sent'),
  consent_at = CASE WHEN state IN ('pending', 'waiting') AND class <= excluded.class
                    THEN CASE WHEN class < excluded.class THEN consent_at ELSE min(consent_at, excluded.consent_at) END
                    ELSE excluded.consent_at END,
  due_at = CASE WHEN state IN ('pending', 'waiting') AND class <= excluded.class THEN due_at ELSE excluded.due_at END,
  class = CASE WHEN state = 'pending' OR state = 'in_flight' OR state = 'waiting' OR state = 'sent' THEN min(class, excluded.class) ELSE excluded.class END,
  attempts = CASE WHEN state = 'failed' THEN 0 ELSE attempts END,
  next_at = CASE WHEN state <> 'waiting' THEN 0
                 WHEN excluded.class = 0 THEN min(next_at, attempted_at + 5000000)
                 ELSE next_at END,
  state = CASE WHEN state IN ('in_flight', 'waiting') OR state = 'sent' AND excluded.class > 0 THEN state ELSE 'pending' END`)

// dueRow is a delivery to be made due.
type dueRow struct {
	store.DeliveryKey
	class         store.Class
	consentAt, at consent.Time
	hold          bool // its grants wait for a yes
	marks         int  // events because of which it is due
}

func markDue(ctx context.Context, tx *transaction, rows ...dueRow) error {
	return makeDue.run(ctx, tx, len(rows), func(values []any, n int) []any {
		d := &rows[n]
		return append(values, d.Organization, d.Integration, string(d.Target), d.Person[:], int64(d.class), int64(d.consentAt), int64(d.at), int64(d.at), d.hold, d.marks)
	})
}
