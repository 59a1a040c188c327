package sqlite

// The statements of accepting.
const (
	rememberSQL = `INSERT INTO ledger (organization, entity, content, person, seen_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	seenAtSQL   = `SELECT seen_at FROM ledger WHERE organization = ? AND entity = ? AND content = ?`
	seeAgainSQL = `UPDATE ledger SET seen_at = ? WHERE organization = ? AND entity = ? AND content = ?`

	loadSubjectSQL = `SELECT user_id, didomi_id, state, didomi_users FROM people WHERE organization = ? AND person = ?`
	saveSubjectSQL = `INSERT INTO people (organization, person, user_id, didomi_id, state, didomi_users) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET user_id = excluded.user_id, didomi_id = excluded.didomi_id, state = excluded.state, didomi_users = excluded.didomi_users`

	insertEventSQL = `INSERT INTO events (organization, id, type, entity_id, person, regulation, consent_at, arrived_at, outcome, commitment)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertPayloadSQL  = `INSERT INTO payloads (organization, id, salt, body) VALUES (?, ?, ?, ?)`
	traceEventSQL     = `UPDATE events SET trace = ? WHERE organization = ? AND id = ?`
	integrationsOfSQL = `SELECT id FROM integrations WHERE organization = ?`
)

// markDueSQL makes a delivery due, whatever it was doing. One that is being
// called stays so and is seen to have a newer version when the call ends. One
// that waits keeps its time, so that a flood of updates cannot defeat the
// back-off; only a withdrawal shortens it, to 5 s after the last attempt.
//
// One that is in a bulk load stays in it, and is compared again when the load
// ends; only a withdrawal goes at once (R22).
//
// held says that its grants wait for a yes (R23). Live consent is never held,
// neither what it makes due nor what is due because of it.
const markDueSQL = `INSERT INTO deliveries (organization, integration, target, person, state, class, consent_at, due_at, updated_at, held, marks)
VALUES (?1, ?2, ?9, ?3, 'pending', ?4, ?5, ?6, ?6, ?7, ?8)
ON CONFLICT DO UPDATE SET
  version = version + 1, marks = marks + excluded.marks, held = excluded.held AND (held OR state NOT IN ('pending', 'in_flight', 'sent')),
  consent_at = CASE WHEN state IN ('pending', 'waiting') AND class <= excluded.class
                    THEN CASE WHEN class < excluded.class THEN consent_at ELSE min(consent_at, excluded.consent_at) END
                    ELSE excluded.consent_at END,
  due_at = CASE WHEN state IN ('pending', 'waiting') AND class <= excluded.class THEN due_at ELSE excluded.due_at END,
  class = CASE WHEN state IN ('pending', 'in_flight', 'waiting', 'sent') THEN min(class, excluded.class) ELSE excluded.class END,
  attempts = CASE WHEN state = 'failed' THEN 0 ELSE attempts END,
  next_at = CASE WHEN state <> 'waiting' THEN 0
                 WHEN excluded.class = 0 THEN min(next_at, attempted_at + 5000000)
                 ELSE next_at END,
  state = CASE WHEN state IN ('in_flight', 'waiting') OR state = 'sent' AND excluded.class > 0 THEN state ELSE 'pending' END`
