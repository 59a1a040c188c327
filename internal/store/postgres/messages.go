package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	selectMessages = `SELECT ` + store.MessageColumns + ` FROM messages WHERE `
	insertMessage  = `INSERT INTO messages (` + store.MessageColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, 0, 0, $15, '', '') ON CONFLICT DO NOTHING`
	nextMessages  = selectMessages + `organization = $1 AND integration = $2 AND rank = $3 AND state = 'pending' AND next_at <= $4 ORDER BY next_at LIMIT $5`
	messagesOf    = selectMessages + `organization = $1 AND id < $2 ORDER BY id DESC LIMIT $3`
	messagesIn    = selectMessages + `organization = $1 AND state = $4 AND id < $2 ORDER BY id DESC LIMIT $3`
	countMessages = `SELECT count(*) FROM (SELECT 1 FROM messages WHERE organization = $1 AND state = $2 LIMIT $3) AS m`
	sameMessage   = selectMessages + `organization = $1 AND person = $2 AND type = $3 AND event = $4`
	mailedSince   = `SELECT EXISTS (SELECT 1 FROM messages WHERE organization = $1 AND person = $2 AND attempts > 0 AND greatest(next_at, ended_at) >= $3)`

	beginMessageSQL = `UPDATE messages SET state = 'in_flight', epoch = $1, attempts = attempts + 1, next_at = $2
		WHERE organization = $3 AND id = $4 AND state = 'pending' AND attempts = $5`
	// A call is named by its lease's epoch and its number: a result that comes
	// late still counts, unless it was begun anew.
	endMessageSQL = `UPDATE messages SET state = $1, next_at = $2, reason = $3, interaction = $4,
			ended_at = CASE WHEN $1 = 'pending' THEN 0 ELSE $5::bigint END, body = CASE WHEN $1 = 'sent' THEN ''::bytea ELSE body END
		WHERE organization = $6 AND id = $7 AND epoch = $8 AND attempts = $9 AND state IN ('in_flight', 'unclear', 'pending')
			AND ($1 <> 'pending' OR body <> ''::bytea)`
	dropOldSQL = `UPDATE messages SET state = 'dropped', ended_at = $3, next_at = 0,
			reason = 'it became too old before it could be sent' || CASE WHEN reason = '' THEN '' ELSE '; the last attempt: ' || reason END
		WHERE organization = $1 AND integration = $2 AND state = 'pending' AND expires_at <= $3`
	forgetBodySQL = `UPDATE messages SET body = '' WHERE organization = $1 AND integration = $2 AND state IN ('failed', 'unclear', 'dropped') AND body <> '' AND ended_at <= $3`
	tendingSQL    = `SELECT EXISTS (SELECT 1 FROM messages WHERE organization = $1 AND integration = $2 AND state = 'pending' AND expires_at <= $3)
		OR EXISTS (SELECT 1 FROM messages WHERE organization = $1 AND integration = $2 AND state IN ('failed', 'unclear', 'dropped') AND body <> '' AND ended_at <= $4)
		OR EXISTS (SELECT 1 FROM messages WHERE organization = $1 AND integration = $2 AND state = 'in_flight' AND next_at <= $5)`
	// interruptedSQL is for those of a lease that changed hands: whether they were
	// sent nobody knows.
	interruptedSQL = `UPDATE messages SET state = CASE WHEN again THEN 'pending' ELSE 'unclear' END, ended_at = CASE WHEN again THEN 0 ELSE $3::bigint END,
			next_at = CASE WHEN again THEN $3::bigint ELSE 0 END, reason = '` + store.Interrupted + `'
		WHERE organization = $1 AND integration = $2 AND state = 'in_flight'`
	// strandedSQL is for those whose end could not be recorded.
	strandedSQL = interruptedSQL + ` AND next_at <= $4`
	// orphanedSQL ends the messages of an integration that is gone: those in flight
	// may have been sent.
	orphanedSQL = `UPDATE messages SET state = CASE state WHEN 'pending' THEN 'dropped' ELSE 'unclear' END, ended_at = $3, next_at = 0, body = '', reason = '` + store.Orphaned + `'
		WHERE organization = $1 AND integration = $2 AND state IN ('pending', 'in_flight')`
)

// queueIntent stores a message unless there is one with the same type, event and
// person.
func queueIntent(b *pgx.Batch, m *store.Message) *pgx.QueuedQuery {
	return b.Queue(insertMessage, m.Organization, m.ID[:], m.Integration, m.Email, string(m.Type), m.Person[:], m.Event[:], string(m.Origin), int16(m.Rank),
		string(m.State), m.Again, int64(m.CreatedAt), int64(m.ExpiresAt), int64(m.NextAt), blob(m.Body))
}

// Request stores a message that somebody asks for. If there is one with the same
// type, event and person, it is given instead, and fresh is false.
func (e *Engine) Request(ctx context.Context, m store.Message, changes ...store.Change) (is *store.Message, fresh bool, err error) {
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		if err := tx.shareOrganization(ctx, m.Organization); err != nil {
			return err
		}
		var there bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM integrations WHERE organization = $1 AND id = $2)`, m.Organization, m.Integration).Scan(&there); err != nil {
			return err
		}
		if !there {
			return consent.Errorf(consent.NotFound, "postgres.Request", "no such integration")
		}
		var b pgx.Batch
		queueIntent(&b, &m)
		results := tx.SendBatch(ctx, &b)
		tag, err := results.Exec()
		if closing := results.Close(); err == nil {
			err = closing
		}
		if fresh = tag.RowsAffected() == 1; err == nil && fresh {
			err = tx.record(ctx, changes)
		}
		return err
	})
	if err != nil || fresh {
		return &m, fresh, err
	}
	is, _, err = one(ctx, e, scanned(store.ScanMessage), sameMessage, m.Organization, m.Person[:], string(m.Type), m.Event[:])
	return is, false, err
}

// Message reads one message; NotFound if there is none.
func (e *Engine) Message(ctx context.Context, organization string, id store.ID) (*store.Message, error) {
	m, ok, err := one(ctx, e, scanned(store.ScanMessage), selectMessages+`organization = $1 AND id = $2`, organization, id[:])
	if err == nil && !ok {
		err = consent.Errorf(consent.NotFound, "postgres.Message", "no such message")
	}
	return m, err
}

// Messages lists those of an organization: see store.MessageList.
func (e *Engine) Messages(ctx context.Context, organization string, state store.MessageState, before store.ID, limit int) ([]*store.Message, error) {
	if state == "" {
		return query(ctx, e, scanned(store.ScanMessage), messagesOf, organization, store.Newest(before), limit)
	}
	return query(ctx, e, scanned(store.ScanMessage), messagesIn, organization, store.Newest(before), limit, string(state))
}

// MessagesOf lists the messages to somebody, the newest first.
func (e *Engine) MessagesOf(ctx context.Context, organization string, p store.PersonKey, limit int) ([]*store.Message, error) {
	return query(ctx, e, scanned(store.ScanMessage), selectMessages+`organization = $1 AND person = $2 ORDER BY id DESC LIMIT $3`, organization, p[:], limit)
}

// MessageCounts counts the messages in each state: see store.MessageList.
func (e *Engine) MessageCounts(ctx context.Context, organization string) (map[store.MessageState]int64, error) {
	counts := make(map[store.MessageState]int64)
	for _, state := range store.MessageStates {
		n, _, err := one(ctx, e, pgx.RowTo[int64], countMessages, organization, string(state), store.MostCountedMessages)
		if err != nil {
			return nil, err
		}
		counts[state] = n
	}
	return counts, nil
}

// SendAgain makes a message due that was not sent, or perhaps was, until a time.
// Conflict if it is not in one of those states, or nothing is left of it.
func (e *Engine) SendAgain(ctx context.Context, organization string, id store.ID, expires consent.Time, changes ...store.Change) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		tag, err := tx.Exec(ctx, `UPDATE messages SET state = 'pending', next_at = $1, expires_at = $2, ended_at = 0, reason = ''
			WHERE organization = $3 AND id = $4 AND state IN ('failed', 'unclear', 'dropped') AND body <> ''`, int64(tx.now), int64(expires), organization, id[:])
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return store.NotRepeatable("postgres.SendAgain")
		}
		return tx.record(ctx, changes)
	})
}

// MailedSince tells whether a message to somebody was handed over, perhaps, at a
// time or after it.
func (e *Engine) MailedSince(ctx context.Context, organization string, p store.PersonKey, since consent.Time) (bool, error) {
	mailed, _, err := one(ctx, e, pgx.RowTo[bool], mailedSince, organization, p[:], int64(since))
	return mailed, err
}

// NextMessages gives what may be sent now in a rank, the oldest first.
func (e *Engine) NextMessages(ctx context.Context, k store.IntegrationKey, rank store.Rank, limit int) ([]*store.Message, error) {
	now, err := e.Now(ctx)
	if err != nil {
		return nil, err
	}
	return query(ctx, e, scanned(store.ScanMessage), nextMessages, k.Organization, k.ID, int16(rank), int64(now), limit)
}

// BeginMessage puts a message in flight, if the lease is held and it was not
// begun since it was read; otherwise ok is false and nothing is changed. Whoever
// got no answer may ask again.
func (e *Engine) BeginMessage(ctx context.Context, l store.Lease, m *store.Message, call store.Call) (ok bool, err error) {
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		if ok, err = tx.holds(ctx, l); err != nil || !ok {
			return err
		}
		tag, err := tx.Exec(ctx, beginMessageSQL, l.Epoch, int64(tx.now), m.Organization, m.ID[:], m.Attempts)
		if err != nil {
			return err
		}
		if ok = tag.RowsAffected() == 1; !ok {
			return tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM messages WHERE organization = $1 AND id = $2 AND state = 'in_flight' AND epoch = $3 AND attempts = $4)`,
				m.Organization, m.ID[:], l.Epoch, m.Attempts+1).Scan(&ok)
		}
		return tx.traceCall(ctx, call)
	})
	return ok && err == nil, err
}

// traceCall stores one call for the trace.
func (t *tx) traceCall(ctx context.Context, call store.Call) error {
	var b pgx.Batch
	if err := queueCalls(&b, call); err != nil {
		return err
	}
	return t.run(ctx, &b)
}

// EndMessage records how the call that sends a message ended. If the lease has
// gone meanwhile, it still counts where nobody has begun anew: what was sent was
// sent. The message is as it was given to BeginMessage.
func (e *Engine) EndMessage(ctx context.Context, l store.Lease, end store.MessageEnd) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		m := end.Message
		if end.State == store.MessageSent {
			// Actito has made the profile if there was none (R20). Deliveries are
			// locked before messages, as when a lease changes hands.
			if _, err := tx.Exec(ctx, `UPDATE deliveries SET state = 'pending', next_at = 0, version = version + 1
				WHERE organization = $1 AND integration = $2 AND target = 'actito' AND person = $3 AND state = 'unmatched'`, m.Organization, m.Integration, m.Person[:]); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, endMessageSQL, string(end.State), int64(end.NextAt), plain(end.Reason), plain(end.Interaction), int64(tx.now),
			m.Organization, m.ID[:], l.Epoch, m.Attempts+1); err != nil {
			return err
		}
		return tx.traceCall(ctx, end.Call)
	})
}

// DropMessage drops a message that was not begun, with the reason.
func (e *Engine) DropMessage(ctx context.Context, l store.Lease, m *store.Message, reason string) error {
	return e.underLease(ctx, l, "postgres.DropMessage", func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, `UPDATE messages SET state = 'dropped', reason = $3, ended_at = $4, next_at = 0 WHERE organization = $1 AND id = $2 AND state = 'pending'`,
			m.Organization, m.ID[:], plain(reason), int64(tx.now))
		return err
	})
}

// TendMessages drops what has become too old, forgets what messages said that
// nobody asked for again, and tells how many were dropped.
func (e *Engine) TendMessages(ctx context.Context, l store.Lease, k store.IntegrationKey) (dropped int64, err error) {
	now, err := e.Now(ctx)
	if err != nil {
		return 0, err
	}
	forget, stranded := int64(now.Add(-store.KeepBody)), int64(now.Add(-store.LongestCall))
	if some, _, err := one(ctx, e, pgx.RowTo[bool], tendingSQL, k.Organization, k.ID, int64(now), forget, stranded); err != nil || !some {
		return 0, err
	}
	err = e.underLease(ctx, l, "postgres.TendMessages", func(ctx context.Context, tx *tx) error {
		tag, err := tx.Exec(ctx, dropOldSQL, k.Organization, k.ID, int64(tx.now))
		if err != nil {
			return err
		}
		dropped = tag.RowsAffected()
		var b pgx.Batch
		b.Queue(strandedSQL, k.Organization, k.ID, int64(tx.now), stranded)
		b.Queue(forgetBodySQL, k.Organization, k.ID, forget)
		return tx.run(ctx, &b)
	})
	return dropped, err
}
