package sqlite

import (
	"context"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	selectMessages = `SELECT ` + store.MessageColumns + ` FROM messages WHERE `
	insertMessage  = `INSERT INTO messages (` + store.MessageColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?, '', '') ON CONFLICT DO NOTHING`
	nextMessages   = selectMessages + `organization = ? AND integration = ? AND rank = ? AND state = 'pending' AND next_at <= ? ORDER BY next_at LIMIT ?`
	messagesOf     = selectMessages + `organization = ? AND id < ? ORDER BY id DESC LIMIT ?`
	messagesIn     = `SELECT ` + store.MessageColumns + ` FROM messages INDEXED BY messages_by_state WHERE organization = ? AND state = ? AND id < ? ORDER BY id DESC LIMIT ?`
	countMessages  = `SELECT count(*) FROM (SELECT 1 FROM messages INDEXED BY messages_by_state WHERE organization = ? AND state = ? LIMIT ?)`
	sameMessage    = selectMessages + `organization = ? AND person = ? AND type = ? AND event = ?`
	mailedSince    = `SELECT EXISTS (SELECT 1 FROM messages INDEXED BY messages_once WHERE organization = ? AND person = ? AND attempts > 0 AND max(next_at, ended_at) >= ?)`

	beginMessageSQL = `UPDATE messages SET state = 'in_flight', epoch = ?1, attempts = attempts + 1, next_at = ?2
		WHERE organization = ?3 AND id = ?4 AND state = 'pending' AND attempts = ?5`
	// A call is named by its lease's epoch and its number: a result that comes
	// late still counts, unless it was begun anew.
	endMessageSQL = `UPDATE messages SET state = ?1, next_at = ?2, reason = ?3, interaction = ?4,
			ended_at = CASE WHEN ?1 = 'pending' THEN 0 ELSE ?5 END, body = CASE WHEN ?1 = 'sent' THEN x'' ELSE body END
		WHERE organization = ?6 AND id = ?7 AND epoch = ?8 AND attempts = ?9 AND state IN ('in_flight', 'unclear', 'pending')
			AND (?1 <> 'pending' OR body <> x'')`
	dropOldSQL = `UPDATE messages SET state = 'dropped', ended_at = ?1, next_at = 0,
			reason = 'it became too old before it could be sent' || CASE WHEN reason = '' THEN '' ELSE '; the last attempt: ' || reason END
		WHERE organization = ?2 AND integration = ?3 AND state = 'pending' AND expires_at <= ?1`
	forgetBodySQL = `UPDATE messages SET body = x'' WHERE organization = ? AND integration = ? AND state IN ('failed', 'unclear', 'dropped') AND body <> x'' AND ended_at <= ?`
	tendingSQL    = `SELECT EXISTS (SELECT 1 FROM messages WHERE organization = ?1 AND integration = ?2 AND state = 'pending' AND expires_at <= ?3)
		OR EXISTS (SELECT 1 FROM messages WHERE organization = ?1 AND integration = ?2 AND state IN ('failed', 'unclear', 'dropped') AND body <> x'' AND ended_at <= ?4)
		OR EXISTS (SELECT 1 FROM messages WHERE organization = ?1 AND integration = ?2 AND state = 'in_flight' AND next_at <= ?5)`
	interruptedSet = `UPDATE messages INDEXED BY messages_in_flight SET state = CASE WHEN again THEN 'pending' ELSE 'unclear' END, ended_at = CASE WHEN again THEN 0 ELSE ?1 END,
			next_at = CASE WHEN again THEN ?1 ELSE 0 END, reason = '` + store.Interrupted + `' WHERE state = 'in_flight' AND `
	// interruptedSQL is for those of a lease that changed hands: whether they were
	// sent nobody knows.
	interruptedSQL = interruptedSet + `(organization, integration) IN (SELECT organization, id FROM integrations WHERE licence = ?2)`
	// strandedSQL is for those whose end could not be recorded.
	strandedSQL = interruptedSet + `organization = ?2 AND integration = ?3 AND next_at <= ?4`
)

// intend stores a message unless there is one with the same type, event and
// person, and tells whether it did.
func intend(ctx context.Context, tx *transaction, m *store.Message) (bool, error) {
	res, err := tx.ExecContext(ctx, insertMessage, m.Organization, m.ID[:], m.Integration, m.Email, string(m.Type), m.Person[:], m.Event[:], string(m.Origin), int64(m.Rank),
		string(m.State), m.Again, int64(m.CreatedAt), int64(m.ExpiresAt), int64(m.NextAt), blob(m.Body))
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// Request stores a message that somebody asks for. If there is one with the same
// type, event and person, it is given instead, and fresh is false.
func (e *Engine) Request(ctx context.Context, m store.Message, changes ...store.Change) (is *store.Message, fresh bool, err error) {
	err = e.inTx(ctx, func(tx *transaction) error {
		var there bool
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM integrations WHERE organization = ? AND id = ?)`, m.Organization, m.Integration).Scan(&there); err != nil {
			return err
		}
		if !there {
			return consent.Errorf(consent.NotFound, "sqlite.Request", "no such integration")
		}
		if fresh, err = intend(ctx, tx, &m); err != nil {
			return err
		}
		if fresh {
			err = record(ctx, tx, changes)
		}
		return err
	})
	if err != nil || fresh {
		return &m, fresh, err
	}
	is, _, err = one(ctx, e.read, store.ScanMessage, sameMessage, m.Organization, m.Person[:], string(m.Type), m.Event[:])
	return is, false, err
}

// Message reads one message; NotFound if there is none.
func (e *Engine) Message(ctx context.Context, organization string, id store.ID) (*store.Message, error) {
	m, ok, err := one(ctx, e.read, store.ScanMessage, selectMessages+`organization = ? AND id = ?`, organization, id[:])
	if err == nil && !ok {
		err = consent.Errorf(consent.NotFound, "sqlite.Message", "no such message")
	}
	return m, err
}

// Messages lists those of an organization: see store.MessageList.
func (e *Engine) Messages(ctx context.Context, organization string, state store.MessageState, before store.ID, limit int) ([]*store.Message, error) {
	if state == "" {
		return query(ctx, e.read, store.ScanMessage, messagesOf, organization, store.Newest(before), limit)
	}
	return query(ctx, e.read, store.ScanMessage, messagesIn, organization, string(state), store.Newest(before), limit)
}

// MessagesOf lists the messages to somebody, the newest first.
func (e *Engine) MessagesOf(ctx context.Context, organization string, p store.PersonKey, limit int) ([]*store.Message, error) {
	return query(ctx, e.read, store.ScanMessage, selectMessages+`organization = ? AND person = ? ORDER BY id DESC LIMIT ?`, organization, p[:], limit)
}

// MessageCounts counts the messages in each state: see store.MessageList.
func (e *Engine) MessageCounts(ctx context.Context, organization string) (map[store.MessageState]int64, error) {
	counts := make(map[store.MessageState]int64)
	for _, state := range store.MessageStates {
		var n int64
		if err := e.read.QueryRowContext(ctx, countMessages, organization, string(state), store.MostCountedMessages).Scan(&n); err != nil {
			return nil, classify(err)
		}
		counts[state] = n
	}
	return counts, nil
}

// SendAgain makes a message due that was not sent, or perhaps was, until a time.
// Conflict if it is not in one of those states, or nothing is left of it.
func (e *Engine) SendAgain(ctx context.Context, organization string, id store.ID, expires consent.Time, changes ...store.Change) error {
	return e.inTx(ctx, func(tx *transaction) error {
		res, err := tx.ExecContext(ctx, `UPDATE messages SET state = 'pending', next_at = ?1, expires_at = ?2, ended_at = 0, reason = ''
			WHERE organization = ?3 AND id = ?4 AND state IN ('failed', 'unclear', 'dropped') AND body <> x''`,
			int64(consent.TimeOf(e.now())), int64(expires), organization, id[:])
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, store.NotRepeatable("sqlite.SendAgain"))
		}
		return record(ctx, tx, changes)
	})
}

// MailedSince tells whether a message to somebody was handed over, perhaps, at a
// time or after it.
func (e *Engine) MailedSince(ctx context.Context, organization string, p store.PersonKey, since consent.Time) (mailed bool, err error) {
	err = e.read.QueryRowContext(ctx, mailedSince, organization, p[:], int64(since)).Scan(&mailed)
	return mailed, classify(err)
}

// NextMessages gives what may be sent now in a rank, the oldest first.
func (e *Engine) NextMessages(ctx context.Context, k store.IntegrationKey, rank store.Rank, limit int) ([]*store.Message, error) {
	return query(ctx, e.read, store.ScanMessage, nextMessages, k.Organization, k.ID, int64(rank), int64(consent.TimeOf(e.now())), limit)
}

// BeginMessage puts a message in flight, if the lease is held and it was not
// begun since it was read; otherwise ok is false and nothing is changed. Whoever
// got no answer may ask again.
func (e *Engine) BeginMessage(ctx context.Context, l store.Lease, m *store.Message, call store.Call) (ok bool, err error) {
	err = e.inTx(ctx, func(tx *transaction) error {
		now := consent.TimeOf(e.now())
		if ok, err = holds(ctx, tx, l, now); err != nil || !ok {
			return err
		}
		res, err := tx.ExecContext(ctx, beginMessageSQL, l.Epoch, int64(now), m.Organization, m.ID[:], m.Attempts)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		if ok = n == 1; !ok {
			return tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM messages WHERE organization = ? AND id = ? AND state = 'in_flight' AND epoch = ? AND attempts = ?)`,
				m.Organization, m.ID[:], l.Epoch, m.Attempts+1).Scan(&ok)
		}
		return insertCall(ctx, tx, call)
	})
	return ok && err == nil, err
}

// EndMessage records how the call that sends a message ended. If the lease has
// gone meanwhile, it still counts where nobody has begun anew: what was sent was
// sent. The message is as it was given to BeginMessage.
func (e *Engine) EndMessage(ctx context.Context, l store.Lease, end store.MessageEnd) error {
	return e.inTx(ctx, func(tx *transaction) error {
		now := int64(consent.TimeOf(e.now()))
		m := end.Message
		if _, err := tx.ExecContext(ctx, endMessageSQL, string(end.State), int64(end.NextAt), end.Reason, end.Interaction, now,
			m.Organization, m.ID[:], l.Epoch, m.Attempts+1); err != nil {
			return err
		}
		if end.State == store.MessageSent {
			// Actito has made the profile if there was none (R20).
			if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 'pending', next_at = 0, version = version + 1
				WHERE organization = ? AND integration = ? AND target = 'actito' AND person = ? AND state = 'unmatched'`, m.Organization, m.Integration, m.Person[:]); err != nil {
				return err
			}
		}
		return insertCall(ctx, tx, end.Call)
	})
}

// DropMessage drops a message that was not begun, with the reason.
func (e *Engine) DropMessage(ctx context.Context, l store.Lease, m *store.Message, reason string) error {
	return e.underLease(ctx, l, "sqlite.DropMessage", func(tx *transaction, now consent.Time) error {
		_, err := tx.ExecContext(ctx, `UPDATE messages SET state = 'dropped', reason = ?, ended_at = ?, next_at = 0 WHERE organization = ? AND id = ? AND state = 'pending'`,
			reason, int64(now), m.Organization, m.ID[:])
		return err
	})
}

// TendMessages drops what has become too old, forgets what messages said that
// nobody asked for again, and tells how many were dropped.
func (e *Engine) TendMessages(ctx context.Context, l store.Lease, k store.IntegrationKey) (dropped int64, err error) {
	now := consent.TimeOf(e.now())
	forget, stranded := int64(now.Add(-store.KeepBody)), int64(now.Add(-store.LongestCall))
	var some bool
	if err := e.read.QueryRowContext(ctx, tendingSQL, k.Organization, k.ID, int64(now), forget, stranded).Scan(&some); err != nil || !some {
		return 0, classify(err)
	}
	err = e.underLease(ctx, l, "sqlite.TendMessages", func(tx *transaction, now consent.Time) error {
		res, err := tx.ExecContext(ctx, dropOldSQL, int64(now), k.Organization, k.ID)
		if err != nil {
			return err
		}
		if dropped, err = res.RowsAffected(); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, strandedSQL, int64(now), k.Organization, k.ID, stranded); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, forgetBodySQL, k.Organization, k.ID, forget)
		return err
	})
	return dropped, err
}
