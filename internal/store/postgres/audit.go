package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	// sealed and once ask of each row for itself: of EXISTS, PostgreSQL may read
	// all that an organization has sealed.
	sealed = `(SELECT true FROM audit_records a WHERE a.organization = $1 AND a.kind = `
	once   = ` LIMIT 1) IS NOT NULL`

	unsealedEventsSQL = `SELECT ` + store.AuditEventColumns + `, ` + sealed + `'event' AND a.id = e.id` + once + `
		FROM events e WHERE organization = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4`
	unsealedChangesSQL = `SELECT ` + store.ChangeColumns + `, ` + sealed + `'change' AND a.id = c.id` + once + `
		FROM changes c WHERE organization = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4`
	unsealedCallsSQL = `SELECT ` + store.AuditCallColumns + `, ` + sealed + `'call' AND a.id = c.id AND a.person = c.person` + once + `
		FROM calls c WHERE organization = $1 AND answered_at < $5 AND (answered_at, person, id) > ($2, $3, $4)
		ORDER BY answered_at, person, id LIMIT $6`
	unsealedBegunSQL = `SELECT ` + store.AuditCallColumns + `, ` + sealed + `'begun' AND a.id = c.id AND a.person = c.person` + once + `
		FROM calls c WHERE organization = $1 AND answered_at = 0 AND id < $2 ORDER BY person, id`

	auditHeadSQL    = `SELECT ` + store.AuditHeadColumns + ` FROM audit_heads WHERE organization = $1`
	auditLinksSQL   = `SELECT ` + store.AuditLinkColumns + ` FROM audit_links WHERE organization = $1 AND number > $2 ORDER BY number LIMIT $3`
	auditLinkSQL    = `SELECT ` + store.AuditLinkColumns + ` FROM audit_links WHERE organization = $1 AND first <= $2 ORDER BY first DESC LIMIT 1`
	auditRecordsSQL = `SELECT ` + store.AuditRecordColumns + ` FROM audit_records WHERE organization = $1 AND position BETWEEN $2 AND $3 ORDER BY position`
	sealedAtSQL     = `SELECT ` + store.AuditRecordColumns + ` FROM audit_records WHERE organization = $1 AND kind = $2 AND id = $3`
	auditEventsSQL  = `SELECT ` + store.AuditEventColumns + ` FROM events WHERE organization = $1 AND id = ANY($2::bytea[])`
	auditChangesSQL = `SELECT ` + store.ChangeColumns + ` FROM changes WHERE organization = $1 AND id = ANY($2::bytea[])`
	auditCallsSQL   = `SELECT ` + store.AuditCallColumns + ` FROM calls WHERE organization = $1 AND (person, id) IN (SELECT * FROM unnest($2::bytea[], $3::bytea[]))`
	claimAuditSQL   = `INSERT INTO audit_heads AS h (organization, number, position, hash, epoch, cursors, sealer, claimed_until)
		VALUES ($1, 0, 0, '', 1, '', $2, $3)
		ON CONFLICT (organization) DO UPDATE SET epoch = h.epoch + CASE WHEN h.sealer <> excluded.sealer THEN 1 ELSE 0 END,
			sealer = excluded.sealer, claimed_until = excluded.claimed_until
		WHERE h.sealer = excluded.sealer OR h.claimed_until <= $4
		RETURNING ` + store.AuditHeadColumns
	insertRecordsSQL = `INSERT INTO audit_records (organization, ` + store.AuditRecordColumns + `)
		SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[])`
)

// Unsealed walks over records of a kind from after a cursor to before a time,
// at most limit, and tells which are sealed already. Calls are those that are
// answered.
func (e *Engine) Unsealed(ctx context.Context, organization string, kind store.AuditKind, after []byte, until consent.Time, limit int) ([]store.NotSealed, error) {
	var is bool
	mark := func(scan func(store.Row) (store.AuditRecord, error)) pgx.RowToFunc[store.NotSealed] {
		return func(row pgx.CollectableRow) (store.NotSealed, error) {
			r, err := scan(row)
			return store.NotSealed{AuditRecord: r, Sealed: is}, err
		}
	}
	before := store.FirstID(until)
	switch kind {
	case store.AuditEvent:
		return query(ctx, e, mark(store.ScanAuditEvent(organization, &is)), unsealedEventsSQL, organization, blob(after), before[:], limit)
	case store.AuditChange:
		return query(ctx, e, mark(store.ScanAuditChange(&is)), unsealedChangesSQL, organization, blob(after), before[:], limit)
	case store.AuditBegun:
		return query(ctx, e, mark(store.ScanAuditCall(organization, &is)), unsealedBegunSQL, organization, before[:])
	}
	answered, person, id := store.ReadCallCursor(after)
	return query(ctx, e, mark(store.ScanAuditCall(organization, &is)), unsealedCallsSQL, organization, int64(answered), person[:], id[:], int64(until), limit)
}

// AuditHead reads the end of a chain; a new one if there is none.
func (e *Engine) AuditHead(ctx context.Context, organization string) (*store.AuditHead, error) {
	h, ok, err := one(ctx, e, scanned(store.ScanAuditHead), auditHeadSQL, organization)
	if err == nil && !ok {
		h = &store.AuditHead{Organization: organization}
	}
	return h, err
}

// ClaimAudit gives the right to add to a chain to a node for a time, unless
// another has it: ok tells. The head is as it is then.
func (e *Engine) ClaimAudit(ctx context.Context, organization, node string, life time.Duration) (h *store.AuditHead, ok bool, err error) {
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		found, err := collect(ctx, tx, scanned(store.ScanAuditHead), claimAuditSQL, organization, node, int64(tx.now.Add(life)), int64(tx.now))
		if ok = len(found) == 1; ok {
			h = found[0]
		}
		return err
	})
	return h, ok && err == nil, err
}

// AppendAudit adds a link with its records to the chain that ends with the
// head, and stores how far the head's cursors have come. Calls without a salt
// get the one that their digest was made with; whoever is to be erased is
// noted. Conflict if the chain has another end, or somebody else seals.
func (e *Engine) AppendAudit(ctx context.Context, h *store.AuditHead, l store.AuditLink, records []store.AuditRecord, erase []store.PersonKey) error {
	cursors, err := store.ToJSON(h.Cursors)
	if err != nil {
		return err
	}
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		tag, err := tx.Exec(ctx, `UPDATE audit_heads SET number = $1, position = $2, hash = $3, cursors = $4
			WHERE organization = $5 AND number = $6 AND epoch = $7 AND claimed_until > $8`,
			l.Number, l.Last, l.Hash[:], cursors, h.Organization, h.Number, h.Epoch, int64(tx.now))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return store.ErrSealedElsewhere("postgres.AppendAudit")
		}
		var b pgx.Batch
		b.Queue(`INSERT INTO audit_links (`+store.AuditLinkColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			h.Organization, l.Number, l.First, l.Last, int64(l.At), l.Previous[:], l.Root[:], l.Hash[:], l.Key, l.Signature)
		var positions []int64
		var kinds []string
		var ids, people, digests [][]byte
		for i := range records {
			r := &records[i]
			positions, kinds = append(positions, r.Position), append(kinds, string(r.Kind))
			ids, people, digests = append(ids, r.ID[:]), append(people, r.Person[:]), append(digests, r.Digest[:])
			if r.Call != nil && r.Call.Resalted {
				b.Queue(`UPDATE calls SET salt = $1 WHERE organization = $2 AND person = $3 AND id = $4 AND salt = '' AND erased = ''`,
					r.Call.Salt, h.Organization, r.Person[:], r.ID[:])
			}
		}
		b.Queue(insertRecordsSQL, h.Organization, positions, kinds, ids, people, digests)
		for _, p := range erase {
			b.Queue(`INSERT INTO erasures (organization, person, requested_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, h.Organization, p[:], int64(tx.now))
		}
		return tx.run(ctx, &b)
	})
}

// AuditLinks lists the links of a chain, the oldest first, from after one.
func (e *Engine) AuditLinks(ctx context.Context, organization string, after int64, limit int) ([]store.AuditLink, error) {
	return query(ctx, e, scanned(store.ScanAuditLink), auditLinksSQL, organization, after, limit)
}

// AuditLinkOf reads the link that a position is in; NotFound if there is none.
func (e *Engine) AuditLinkOf(ctx context.Context, organization string, position int64) (store.AuditLink, error) {
	l, ok, err := one(ctx, e, scanned(store.ScanAuditLink), auditLinkSQL, organization, position)
	if err == nil && (!ok || l.Last < position) {
		err = consent.Errorf(consent.NotFound, "postgres.AuditLinkOf", "no such link")
	}
	return l, err
}

// AuditRecords reads what is sealed at positions, with the records themselves
// where they are still there.
func (e *Engine) AuditRecords(ctx context.Context, organization string, first, last int64) ([]store.AuditRecord, error) {
	records, err := query(ctx, e, scanned(store.ScanAuditRecord), auditRecordsSQL, organization, first, last)
	if err != nil {
		return nil, err
	}
	type key struct {
		kind   store.AuditKind
		id     store.ID
		person store.PersonKey
	}
	keyOf := func(r *store.AuditRecord) key {
		switch r.Kind {
		case store.AuditEvent, store.AuditChange:
			return key{kind: r.Kind, id: r.ID}
		}
		return key{store.AuditCall, r.ID, r.Person}
	}
	var events, changes, calls, people [][]byte
	for i := range records {
		switch r := &records[i]; r.Kind {
		case store.AuditEvent:
			events = append(events, r.ID[:])
		case store.AuditChange:
			changes = append(changes, r.ID[:])
		default:
			calls, people = append(calls, r.ID[:]), append(people, r.Person[:])
		}
	}
	there := make(map[key]*store.AuditRecord, len(records))
	for _, q := range []struct {
		ids  [][]byte
		scan func(store.Row) (store.AuditRecord, error)
		text string
		args []any
	}{
		{events, store.ScanAuditEvent(organization), auditEventsSQL, []any{organization, events}},
		{changes, store.ScanAuditChange(), auditChangesSQL, []any{organization, changes}},
		{calls, store.ScanAuditCall(organization), auditCallsSQL, []any{organization, people, calls}},
	} {
		if len(q.ids) == 0 {
			continue
		}
		found, err := query(ctx, e, scanned(q.scan), q.text, q.args...)
		if err != nil {
			return nil, err
		}
		for i := range found {
			there[keyOf(&found[i])] = &found[i]
		}
	}
	for i := range records {
		if found := there[keyOf(&records[i])]; found != nil {
			records[i].Event, records[i].Change, records[i].Call = found.Event, found.Change, found.Call
		}
	}
	return records, nil
}

// SealedAt finds a record in the chain; ok is false if it is not sealed. A load
// is a call of many people: calls are found with the person.
func (e *Engine) SealedAt(ctx context.Context, organization string, kind store.AuditKind, id store.ID, person store.PersonKey) (store.AuditRecord, bool, error) {
	if kind == store.AuditCall || kind == store.AuditBegun {
		return one(ctx, e, scanned(store.ScanAuditRecord), sealedAtSQL+` AND person = $4`, organization, string(kind), id[:], person[:])
	}
	return one(ctx, e, scanned(store.ScanAuditRecord), sealedAtSQL, organization, string(kind), id[:])
}
