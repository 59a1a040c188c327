package sqlite

import (
	"context"
	"errors"
	"strings"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Privacy reads how an organization wants data to be kept; nothing set is the
// zero value.
func (e *Engine) Privacy(ctx context.Context, organization string) (p store.Privacy, err error) {
	var text string
	err = e.read.QueryRowContext(ctx, `SELECT settings FROM privacy WHERE organization = ?`, organization).Scan(&text)
	if err = ignoreNoRows(err); err != nil {
		return p, classify(err)
	}
	return p, store.FromJSON(text, &p)
}

// SetPrivacy stores how an organization wants data to be kept.
func (e *Engine) SetPrivacy(ctx context.Context, organization string, p store.Privacy, changes ...store.Change) error {
	text, err := store.ToJSON(p)
	if err != nil {
		return err
	}
	return e.inTx(ctx, func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO privacy (organization, settings) VALUES (?, ?) ON CONFLICT DO UPDATE SET settings = excluded.settings`,
			organization, text); err != nil {
			return err
		}
		return record(ctx, tx, changes)
	})
}

// SetRetention stores what retention is about to remove, before it does.
func (e *Engine) SetRetention(ctx context.Context, organization string, r store.Retention, changes ...store.Change) error {
	text, err := store.ToJSON(r)
	if err != nil {
		return err
	}
	return e.inTx(ctx, func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO audit_heads (organization, number, position, hash, epoch, cursors, horizons) VALUES (?, 0, 0, x'', 0, '', ?)
			ON CONFLICT DO UPDATE SET horizons = excluded.horizons`, organization, text); err != nil {
			return err
		}
		return record(ctx, tx, changes)
	})
}

// What is old of each kind. ?2 is the first id of the time before which it is,
// ?3 the time itself; of the chain ?3 is the number of the first link to stay.
var oldSQL = map[store.Kept]string{
	store.KeptPayloads: `payloads WHERE organization = ?1 AND id < ?2`,
	store.KeptEvents:   `events WHERE organization = ?1 AND id < ?2`,
	store.KeptCalls:    `calls WHERE organization = ?1 AND answered_at < ?3 AND id < ?2`,
	store.KeptLoads:    `loads WHERE organization = ?1 AND state = 'done' AND ended_at < ?3 AND ended_at > 0`,
	store.KeptChanges:  `changes WHERE organization = ?1 AND id < ?2 AND action NOT IN ('` + store.PersonErased + `', '` + store.RetentionKept + `')`,
	store.KeptChain:    `audit_links WHERE organization = ?1 AND number < ?3`,
	store.KeptRefusals: `import_refusals WHERE organization = ?1 AND import IN (SELECT id FROM imports WHERE organization = ?1 AND updated_at < ?3)`,

	store.KeptReconciliations: `reconciliations WHERE organization = ?1 AND id < ?2 AND state <> 'comparing'`,
}

var oldKeys = map[store.Kept]string{
	store.KeptPayloads: "id", store.KeptEvents: "id", store.KeptCalls: "person, id", store.KeptLoads: "integration, id", store.KeptChanges: "id", store.KeptChain: "number",
	store.KeptRefusals: "import, file, number", store.KeptReconciliations: "integration, id",
}

// oldHeldSQL are the rows of the reconciliations that are old; ?4 bounds them.
const oldHeldSQL = `DELETE FROM held_blocks WHERE organization = ?1 AND (integration, run, slice, number) IN (
	SELECT h.integration, h.run, h.slice, h.number FROM reconciliations r CROSS JOIN held_blocks h ON h.organization = r.organization AND h.integration = r.integration AND h.run = r.id
	WHERE r.organization = ?1 AND r.id < ?2 AND r.state <> 'comparing' LIMIT ?4)`

// AnyOld tells whether there is something of a kind from before a horizon.
func (e *Engine) AnyOld(ctx context.Context, organization string, kind store.Kept, before int64) (any bool, err error) {
	first := store.FirstID(consent.Time(before))
	err = e.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM `+oldSQL[kind]+`)`, organization, first[:], before).Scan(&any)
	return any, classify(err)
}

// RemoveOld removes some of what is from before a horizon, at most limit rows,
// and tells how many are gone.
func (e *Engine) RemoveOld(ctx context.Context, organization string, kind store.Kept, before int64, limit int) (n int64, err error) {
	first := store.FirstID(consent.Time(before))
	err = e.inTx(ctx, func(tx *transaction) error {
		remove := func(text string) (int64, error) {
			res, err := tx.ExecContext(ctx, text, organization, first[:], before, limit)
			if err != nil {
				return 0, err
			}
			return res.RowsAffected()
		}
		switch kind {
		case store.KeptEvents:
			if _, err := remove(`DELETE FROM payloads WHERE organization = ?1 AND id IN (SELECT id FROM ` + oldSQL[kind] + ` ORDER BY id LIMIT ?4)`); err != nil {
				return err
			}
		case store.KeptReconciliations:
			if n, err = remove(oldHeldSQL); err != nil || n > 0 {
				return err
			}
		case store.KeptChain:
			if n, err = remove(`DELETE FROM audit_records WHERE organization = ?1 AND position IN (
				SELECT position FROM audit_records WHERE organization = ?1
				AND position < coalesce((SELECT first FROM audit_links WHERE organization = ?1 AND number = ?3), 0) ORDER BY position LIMIT ?4)`); err != nil || n > 0 {
				return err
			}
		}
		table, _, _ := strings.Cut(oldSQL[kind], " ")
		n, err = remove(`DELETE FROM ` + table + ` WHERE organization = ?1 AND (` + oldKeys[kind] + `) IN (
			SELECT ` + oldKeys[kind] + ` FROM ` + oldSQL[kind] + ` ORDER BY ` + oldKeys[kind] + ` LIMIT ?4)`)
		return err
	})
	return n, err
}

// Erasures lists whom Didomi's deletions ask to erase.
func (e *Engine) Erasures(ctx context.Context, organization string, after store.PersonKey, limit int) ([]store.PersonKey, error) {
	return query(ctx, e.read, scanPerson, `SELECT person FROM erasures WHERE organization = ? AND person > ? ORDER BY person LIMIT ?`, organization, after[:], limit)
}

// ForgetErasure removes somebody from the list of those who are to be erased.
func (e *Engine) ForgetErasure(ctx context.Context, k store.SubjectKey) error {
	return e.inTx(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, forgetErasureSQL, k.Organization, k.Person[:])
		return err
	})
}

const forgetErasureSQL = `DELETE FROM erasures WHERE organization = ? AND person = ?`

// Erase makes all that is personal about somebody, and about the Didomi users
// linked to them, unreadable: what was said and chosen, the ids, what was sent
// and what is known of profiles. What stays are keyed hashes, commitments whose
// salts are gone, and a tombstone. It tells how many rows were erased.
//
// NotFound if nothing is known of them; Conflict while it cannot be done yet.
func (e *Engine) Erase(ctx context.Context, x store.Erasure, change func([]store.PersonKey) store.Change) (n int, err error) {
	err = e.inTx(ctx, func(tx *transaction) error {
		subjects, userID, err := e.toErase(ctx, tx, &x)
		if err != nil {
			return err
		}
		deliveries, err := query(ctx, tx, store.ScanDelivery, selectDeliveries+deliveriesOf, x.Organization, x.Person[:])
		if err != nil {
			return err
		}
		if err := x.Refuse(deliveries); err != nil {
			return err
		}
		for _, d := range deliveries {
			if err := recordLeftOut(ctx, tx, d.DeliveryKey, nil); err != nil {
				return err
			}
			if err := execAll(ctx, tx, deliveryKey(d.DeliveryKey),
				`DELETE FROM deliveries WHERE `+oneDelivery, `DELETE FROM load_rows WHERE organization = ?1 AND integration = ?2 AND person = ?4 AND ?3 = 'actito'`); err != nil {
				return err
			}
		}
		for _, s := range subjects {
			erased, err := e.eraseHistory(ctx, tx, x.Organization, s.Key)
			if err != nil {
				return err
			}
			n += erased
		}
		if err := eraseAround(ctx, tx, x.Organization, subjects, userID); err != nil {
			return err
		}
		people := store.KeysOf(subjects)
		store.Bury(subjects, consent.TimeOf(e.now()))
		if err := e.acceptTx(tx).SaveSubjects(ctx, subjects); err != nil {
			return err
		}
		for _, p := range people {
			if _, err := tx.ExecContext(ctx, forgetErasureSQL, x.Organization, p[:]); err != nil {
				return err
			}
		}
		return record(ctx, tx, []store.Change{change(people)})
	})
	return n, err
}

// toErase reads whom an erasure is about: the person, to whom a Didomi user may
// lead, and the users linked to them. It gives the person's id.
func (e *Engine) toErase(ctx context.Context, tx *transaction, x *store.Erasure) ([]*store.Subject, string, error) {
	load := func(keys ...store.SubjectKey) ([]*store.Subject, error) {
		return e.acceptTx(tx).LoadSubjects(ctx, keys)
	}
	own, err := load(x.SubjectKey)
	if err == nil && len(own) == 1 && own[0].State.LinkedTo() != "" {
		x.Person = e.hasher.Person(x.Organization, consent.Subject{OrganizationUserID: own[0].State.LinkedTo()})
		own, err = load(x.SubjectKey)
	}
	if err != nil || len(own) == 0 || own[0].Erased() {
		return nil, "", errors.Join(err, consent.Errorf(consent.NotFound, "sqlite.Erase", "nothing is known of this person"))
	}
	var keys []store.SubjectKey
	for id := range own[0].DidomiUsers {
		keys = append(keys, store.SubjectKey{Organization: x.Organization, Person: e.hasher.Person(x.Organization, consent.Subject{DidomiUserID: id})})
	}
	users, err := load(keys...)
	if err != nil {
		return nil, "", err
	}
	users = store.Linked(own[0], users)
	if x.IfGone && !own[0].State.Gone() && !store.AllGone(users) {
		return nil, "", store.ErrNotGone("sqlite.Erase")
	}
	return append(own, users...), own[0].OrganizationUserID, nil
}

// eraseHistory erases what events and calls say of a subject.
func (e *Engine) eraseHistory(ctx context.Context, tx *transaction, organization string, person store.PersonKey) (n int, err error) {
	events, err := query(ctx, tx, store.ScanAuditEvent(organization), `SELECT `+store.AuditEventColumns+` FROM events INDEXED BY events_by_person
		WHERE organization = ? AND person = ? ORDER BY id`, organization, person[:])
	if err != nil {
		return 0, err
	}
	for _, r := range events {
		entity := e.hasher.EntityOf(&r.Event.Event)
		if r.Event.Erased() {
			entity = r.Event.ErasedEntity
		}
		if _, err := tx.ExecContext(ctx, `UPDATE events SET entity_id = '', erased = ? WHERE organization = ? AND id = ?`, entity[:], organization, r.ID[:]); err != nil {
			return 0, err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM payloads WHERE organization = ? AND id = ?`, organization, r.ID[:]); err != nil {
			return 0, err
		}
	}
	calls, err := query(ctx, tx, store.ScanAuditCall(organization), `SELECT `+store.AuditCallColumns+` FROM calls WHERE organization = ? AND person = ? AND erased = x''`,
		organization, person[:])
	if err != nil {
		return 0, err
	}
	for _, r := range calls {
		if len(r.Call.Salt) == 0 {
			r.Call.Salt = store.NewSalt() // it is not sealed yet
		}
		if _, err := tx.ExecContext(ctx, `UPDATE calls SET subscriptions = '', attributes = '', detail = '', salt = x'', erased = ? WHERE organization = ? AND person = ? AND id = ?`,
			r.Call.Commitments(), organization, person[:], r.ID[:]); err != nil {
			return 0, err
		}
	}
	return len(events) + len(calls), nil
}

// eraseAround erases what messages to somebody, files and comparisons say of
// them. That a message was sent stays, under keyed hashes.
func eraseAround(ctx context.Context, tx *transaction, organization string, subjects []*store.Subject, userID string) error {
	for _, s := range subjects {
		var sending bool
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM messages WHERE organization = ? AND person = ? AND state = 'in_flight')`, organization, s.Key[:]).Scan(&sending); err != nil {
			return err
		}
		if sending {
			return store.ErrMailing()
		}
		if err := execAll(ctx, tx, []any{organization, s.Key[:]},
			`UPDATE messages SET body = x'', interaction = '', reason = CASE WHEN state = 'sent' THEN '' ELSE '`+store.ErasedMessage+`' END,
				ended_at = CASE WHEN state = 'pending' THEN next_at ELSE ended_at END, state = CASE WHEN state = 'pending' THEN 'dropped' ELSE state END
				WHERE organization = ?1 AND person = ?2`); err != nil {
			return err
		}
		if err := errors.Join(eraseHeld(ctx, tx, organization, s.Key), eraseStaged(ctx, tx, organization, s.Key)); err != nil {
			return err
		}
	}
	if userID == "" {
		return nil
	}
	if err := execAll(ctx, tx, []any{organization, store.Quoted(userID), userID},
		`DELETE FROM inbox WHERE organization = ?1 AND lane = 2 AND instr(body, ?2) > 0`,
		`UPDATE import_refusals SET reason = '`+store.ErasedRefusal+`' WHERE organization = ?1 AND instr(reason, ?3) > 0`); err != nil {
		return err
	}
	found, err := query(ctx, tx, store.ScanReconciliation, selectReconciliations+`organization = ? AND instr(body, ?) > 0`, organization, string(store.Quoted(userID)))
	if err != nil {
		return err
	}
	for _, r := range found {
		body, err := r.Forget(userID)
		if err != nil {
			return err
		}
		// Whoever compares goes on from what is stored now.
		if _, err := tx.ExecContext(ctx, `UPDATE reconciliations SET body = ?, version = version + 1 WHERE organization = ? AND integration = ? AND id = ?`,
			body, organization, r.ID, r.RunID[:]); err != nil {
			return err
		}
	}
	return nil
}

func execAll(ctx context.Context, tx *transaction, args []any, statements ...string) error {
	for _, s := range statements {
		if _, err := tx.ExecContext(ctx, s, args...); err != nil {
			return err
		}
	}
	return nil
}
