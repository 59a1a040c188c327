package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Privacy reads how an organization wants data to be kept; nothing set is the
// zero value.
func (e *Engine) Privacy(ctx context.Context, organization string) (p store.Privacy, err error) {
	text, ok, err := one(ctx, e, pgx.RowTo[string], `SELECT settings FROM privacy WHERE organization = $1`, organization)
	if err != nil || !ok {
		return p, err
	}
	return p, store.FromJSON(text, &p)
}

// SetPrivacy stores how an organization wants data to be kept.
func (e *Engine) SetPrivacy(ctx context.Context, organization string, p store.Privacy, changes ...store.Change) error {
	text, err := store.ToJSON(p)
	if err != nil {
		return err
	}
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO privacy (organization, settings) VALUES ($1, $2)
			ON CONFLICT (organization) DO UPDATE SET settings = excluded.settings`, organization, text); err != nil {
			return err
		}
		return tx.record(ctx, changes)
	})
}

// SetRetention stores what retention is about to remove, before it does.
func (e *Engine) SetRetention(ctx context.Context, organization string, r store.Retention, changes ...store.Change) error {
	text, err := store.ToJSON(r)
	if err != nil {
		return err
	}
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO audit_heads (organization, number, position, hash, epoch, cursors, horizons) VALUES ($1, 0, 0, '', 0, '', $2)
			ON CONFLICT (organization) DO UPDATE SET horizons = excluded.horizons`, organization, text); err != nil {
			return err
		}
		return tx.record(ctx, changes)
	})
}

// old says what of a kind is from before a horizon, $2: an id, a time, or the
// number of a link.
var old = map[store.Kept]struct{ where, key string }{
	store.KeptPayloads: {`payloads WHERE organization = $1 AND id < $2`, "id"},
	store.KeptEvents:   {`events WHERE organization = $1 AND id < $2`, "id"},
	store.KeptCalls:    {`calls WHERE organization = $1 AND answered_at < $2 AND id < $3`, "answered_at, person, id"},
	store.KeptLoads:    {`loads WHERE organization = $1 AND ended_at < $2 AND ended_at > 0 AND state = 'done'`, "integration, id"},
	store.KeptChanges:  {`changes WHERE organization = $1 AND id < $2 AND action NOT IN ('` + store.PersonErased + `', '` + store.RetentionKept + `')`, "id"},
	store.KeptChain:    {`audit_links WHERE organization = $1 AND number < $2`, "number"},
	store.KeptRefusals: {`import_refusals WHERE organization = $1 AND import IN (SELECT id FROM imports WHERE organization = $1 AND updated_at < $2)`, "import, file, number"},

	store.KeptReconciliations: {`reconciliations WHERE organization = $1 AND id < $2 AND state <> 'comparing'`, "integration, id"},
}

// oldArgs are the arguments of a question about what is old.
func oldArgs(organization string, kind store.Kept, before int64) []any {
	first := store.FirstID(consent.Time(before))
	switch kind {
	case store.KeptCalls:
		return []any{organization, before, first[:]}
	case store.KeptLoads, store.KeptChain, store.KeptRefusals:
		return []any{organization, before}
	}
	return []any{organization, first[:]}
}

// AnyOld tells whether there is something of a kind from before a horizon.
func (e *Engine) AnyOld(ctx context.Context, organization string, kind store.Kept, before int64) (bool, error) {
	any, _, err := one(ctx, e, pgx.RowTo[bool], `SELECT EXISTS (SELECT 1 FROM `+old[kind].where+`)`, oldArgs(organization, kind, before)...)
	return any, err
}

const (
	removePayloadsSQL = `DELETE FROM payloads WHERE organization = $1 AND id = ANY(ARRAY(SELECT id FROM events WHERE organization = $1 AND id < $2 ORDER BY id LIMIT $3))`
	removeHeldSQL     = `DELETE FROM held_blocks WHERE ctid = ANY(ARRAY(
		SELECT h.ctid FROM reconciliations r JOIN held_blocks h ON h.organization = r.organization AND h.integration = r.integration AND h.run = r.id
		WHERE r.organization = $1 AND r.id < $2 AND r.state <> 'comparing' LIMIT $3))`
	removeRecordsSQL = `DELETE FROM audit_records WHERE organization = $1 AND position = ANY(ARRAY(
		SELECT position FROM audit_records WHERE organization = $1
		AND position < coalesce((SELECT first FROM audit_links WHERE organization = $1 AND number = $2), 0) ORDER BY position LIMIT $3))`
)

// RemoveOld removes some of what is from before a horizon, at most limit rows,
// and tells how many are gone.
func (e *Engine) RemoveOld(ctx context.Context, organization string, kind store.Kept, before int64, limit int) (n int64, err error) {
	args := append(oldArgs(organization, kind, before), limit)
	table, _, _ := strings.Cut(old[kind].where, " ")
	last := map[bool]string{true: "$4", false: "$3"}[kind == store.KeptCalls]
	text := `DELETE FROM ` + table + ` WHERE ctid = ANY(ARRAY(SELECT ctid FROM ` + old[kind].where + ` ORDER BY ` + old[kind].key + ` LIMIT ` + last + ` FOR UPDATE SKIP LOCKED))`
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		switch kind {
		case store.KeptEvents:
			if _, err := tx.Exec(ctx, removePayloadsSQL, args...); err != nil {
				return err
			}
		case store.KeptReconciliations:
			tag, err := tx.Exec(ctx, removeHeldSQL, args...)
			if n = tag.RowsAffected(); err != nil || n > 0 {
				return err
			}
		case store.KeptChain:
			tag, err := tx.Exec(ctx, removeRecordsSQL, args...)
			if n = tag.RowsAffected(); err != nil || n > 0 {
				return err
			}
		}
		tag, err := tx.Exec(ctx, text, args...)
		n = tag.RowsAffected()
		return err
	})
	return n, err
}

func scanPersonKey(row pgx.CollectableRow) (k store.PersonKey, err error) {
	var b []byte
	err = row.Scan(&b)
	copy(k[:], b)
	return k, err
}

// Erasures lists whom Didomi's deletions ask to erase.
func (e *Engine) Erasures(ctx context.Context, organization string, after store.PersonKey, limit int) ([]store.PersonKey, error) {
	return query(ctx, e, scanPersonKey, `SELECT person FROM erasures WHERE organization = $1 AND person > $2 ORDER BY person LIMIT $3`, organization, after[:], limit)
}

const forgetErasureSQL = `DELETE FROM erasures WHERE organization = $1 AND person = $2`

// ForgetErasure removes somebody from the list of those who are to be erased.
func (e *Engine) ForgetErasure(ctx context.Context, k store.SubjectKey) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, forgetErasureSQL, k.Organization, k.Person[:])
		return err
	})
}

// Erase makes all that is personal about somebody, and about the Didomi users
// linked to them, unreadable: what was said and chosen, the ids, what was sent
// and what is known of profiles. What stays are keyed hashes, commitments whose
// salts are gone, and a tombstone. It tells how many rows were erased.
//
// NotFound if nothing is known of them; Conflict while it cannot be done yet.
//
// Whoever accepts something about them meanwhile has the rows of people first:
// what was accepted before is erased too, what comes after is new.
func (e *Engine) Erase(ctx context.Context, x store.Erasure, change func([]store.PersonKey) store.Change) (n int, err error) {
	asked := x.Person
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		n, x.Person = 0, asked
		// Whoever merges moves staged rows from one block to another meanwhile.
		if _, err := tx.Exec(ctx, lockStagedSQL, x.Organization); err != nil {
			return err
		}
		subjects, userID, err := e.toErase(ctx, tx, &x)
		if err != nil {
			return err
		}
		deliveries, err := collect(ctx, tx, scanDelivery, selectDeliveries+deliveriesOf+` FOR UPDATE`, x.Organization, x.Person[:])
		if err != nil {
			return err
		}
		if err := x.Refuse(deliveries); err != nil {
			return err
		}
		sums := newChanges()
		for _, d := range deliveries {
			was, err := store.ToJSON(d.LeftOut)
			if err != nil {
				return err
			}
			if err := sums.leaveOut(d.DeliveryKey, was, nil); err != nil {
				return err
			}
		}
		if err := sums.store(ctx, tx); err != nil {
			return err
		}
		var b pgx.Batch
		for _, d := range deliveries {
			b.Queue(`DELETE FROM deliveries WHERE `+oneDelivery, deliveryKey(d.DeliveryKey)...)
			b.Queue(`DELETE FROM load_rows WHERE organization = $1 AND integration = $2 AND person = $3`, d.Organization, d.Integration, d.Person[:])
		}
		for _, s := range subjects {
			erased, err := e.eraseHistory(ctx, tx, &b, x.Organization, s.Key)
			if err != nil {
				return err
			}
			n += erased
		}
		if err := eraseAround(ctx, tx, &b, x.Organization, subjects, userID); err != nil {
			return err
		}
		people := store.KeysOf(subjects)
		store.Bury(subjects, tx.now)
		for _, s := range subjects {
			state, err := s.State.MarshalBinary()
			if err != nil {
				return err
			}
			b.Queue(forgetErasureSQL, x.Organization, s.Key[:])
			b.Queue(`UPDATE people SET user_id = '', didomi_id = '', didomi_users = '', state = $3 WHERE organization = $1 AND person = $2`, x.Organization, s.Key[:], state)
		}
		if err := queueChanges(&b, []store.Change{change(people)}); err != nil {
			return err
		}
		return tx.run(ctx, &b)
	})
	return n, err
}

// toErase reads and locks whom an erasure is about: the person, to whom a
// Didomi user may lead, and the users linked to them. It gives the person's id.
func (e *Engine) toErase(ctx context.Context, tx *tx, x *store.Erasure) ([]*store.Subject, string, error) {
	load := func(people ...store.PersonKey) ([]*store.Subject, error) {
		var organizations []string
		var keys [][]byte
		for i := range people {
			organizations, keys = append(organizations, x.Organization), append(keys, people[i][:])
		}
		return collect(ctx, tx, scanSubject, lockSubjectsSQL, organizations, keys)
	}
	// A Didomi user is looked at without a lock: nobody who has locked one locks a
	// person after it (R9).
	found, err := collect(ctx, tx, scanSubject, subjectsSQL, x.Organization, [][]byte{x.Person[:]})
	if err != nil {
		return nil, "", err
	}
	if len(found) == 1 && found[0].State.LinkedTo() != "" {
		x.Person = e.hasher.Person(x.Organization, consent.Subject{OrganizationUserID: found[0].State.LinkedTo()})
	}
	own, err := load(x.Person)
	if err != nil || len(own) == 0 || own[0].Erased() {
		return nil, "", errors.Join(err, consent.Errorf(consent.NotFound, "postgres.Erase", "nothing is known of this person"))
	}
	var keys []store.PersonKey
	for id := range own[0].DidomiUsers {
		keys = append(keys, e.hasher.Person(x.Organization, consent.Subject{DidomiUserID: id}))
	}
	users, err := load(keys...)
	if err != nil {
		return nil, "", err
	}
	users = store.Linked(own[0], users)
	if x.IfGone && !own[0].State.Gone() && !store.AllGone(users) {
		return nil, "", store.ErrNotGone("postgres.Erase")
	}
	return append(own, users...), own[0].OrganizationUserID, nil
}

// eraseHistory erases what events and calls say of a subject.
func (e *Engine) eraseHistory(ctx context.Context, tx *tx, b *pgx.Batch, organization string, person store.PersonKey) (n int, err error) {
	events, err := collect(ctx, tx, scanned(store.ScanAuditEvent(organization)), `SELECT `+store.AuditEventColumns+` FROM events
		WHERE organization = $1 AND person = $2 ORDER BY id`, organization, person[:])
	if err != nil {
		return 0, err
	}
	for _, r := range events {
		entity := e.hasher.EntityOf(&r.Event.Event)
		if r.Event.Erased() {
			entity = r.Event.ErasedEntity
		}
		b.Queue(`UPDATE events SET entity_id = '', erased = $3 WHERE organization = $1 AND id = $2`, organization, r.ID[:], entity[:])
		b.Queue(`DELETE FROM payloads WHERE organization = $1 AND id = $2`, organization, r.ID[:])
	}
	calls, err := collect(ctx, tx, scanned(store.ScanAuditCall(organization)), `SELECT `+store.AuditCallColumns+` FROM calls
		WHERE organization = $1 AND person = $2 AND erased = '' ORDER BY id`, organization, person[:])
	if err != nil {
		return 0, err
	}
	for _, r := range calls {
		if len(r.Call.Salt) == 0 {
			r.Call.Salt = store.NewSalt() // it is not sealed yet
		}
		b.Queue(`UPDATE calls SET subscriptions = '', attributes = '', detail = '', salt = '', erased = $4 WHERE organization = $1 AND person = $2 AND id = $3`,
			organization, person[:], r.ID[:], r.Call.Commitments())
	}
	return len(events) + len(calls), nil
}

// eraseAround erases what messages to somebody, files and comparisons say of
// them. That a message was sent stays, under keyed hashes.
func eraseAround(ctx context.Context, tx *tx, b *pgx.Batch, organization string, subjects []*store.Subject, userID string) error {
	for _, s := range subjects {
		states, err := collect(ctx, tx, pgx.RowTo[string], `SELECT state FROM messages WHERE organization = $1 AND person = $2 ORDER BY type, event FOR UPDATE`, organization, s.Key[:])
		if err != nil {
			return err
		}
		if slices.Contains(states, string(store.MessageInFlight)) {
			return store.ErrMailing()
		}
		b.Queue(`UPDATE messages SET body = '', interaction = '', reason = CASE WHEN state = 'sent' THEN '' ELSE '`+store.ErasedMessage+`' END,
			ended_at = CASE WHEN state = 'pending' THEN next_at ELSE ended_at END, state = CASE WHEN state = 'pending' THEN 'dropped' ELSE state END
			WHERE organization = $1 AND person = $2`, organization, s.Key[:])
		if err := errors.Join(eraseHeld(ctx, tx, b, organization, s.Key), eraseStaged(ctx, tx, b, organization, s.Key)); err != nil {
			return err
		}
	}
	if userID == "" {
		return nil
	}
	b.Queue(`DELETE FROM inbox WHERE organization = $1 AND lane = 2 AND position($2 IN body) > 0`, organization, store.Quoted(userID))
	b.Queue(`UPDATE import_refusals SET reason = '`+store.ErasedRefusal+`' WHERE organization = $1 AND position($2 IN reason) > 0`, organization, userID)
	found, err := collect(ctx, tx, scanReconciliation, selectReconciliations+`organization = $1 AND position($2 IN body) > 0 ORDER BY integration, id FOR UPDATE`,
		organization, string(store.Quoted(userID)))
	if err != nil {
		return err
	}
	for _, r := range found {
		body, err := r.Forget(userID)
		if err != nil {
			return err
		}
		// Whoever compares goes on from what is stored now.
		b.Queue(`UPDATE reconciliations SET body = $4, version = version + 1 WHERE organization = $1 AND integration = $2 AND id = $3`, organization, r.ID, r.RunID[:], plain(body))
	}
	return nil
}
