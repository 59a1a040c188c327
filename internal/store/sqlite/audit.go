package sqlite

import (
	"context"
	"errors"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	sealed = `EXISTS (SELECT 1 FROM audit_records a WHERE a.organization = ?1 AND a.kind = `

	unsealedEventsSQL = `SELECT ` + store.AuditEventColumns + `, ` + sealed + `'event' AND a.id = e.id)
		FROM events e WHERE organization = ?1 AND id > ?2 AND id < ?3 ORDER BY id LIMIT ?4`
	unsealedChangesSQL = `SELECT ` + store.ChangeColumns + `, ` + sealed + `'change' AND a.id = c.id)
		FROM changes c WHERE organization = ?1 AND id > ?2 AND id < ?3 ORDER BY id LIMIT ?4`
	unsealedCallsSQL = `SELECT ` + store.AuditCallColumns + `, ` + sealed + `'call' AND a.id = c.id AND a.person = c.person)
		FROM calls c INDEXED BY calls_by_answer WHERE organization = ?1 AND answered_at < ?5 AND (answered_at, person, id) > (?2, ?3, ?4)
		ORDER BY answered_at, person, id LIMIT ?6`
	unsealedBegunSQL = `SELECT ` + store.AuditCallColumns + `, ` + sealed + `'begun' AND a.id = c.id AND a.person = c.person)
		FROM calls c INDEXED BY calls_by_answer WHERE organization = ?1 AND answered_at = 0 AND id < ?2 ORDER BY person, id`

	insertLinkSQL   = `INSERT INTO audit_links (` + store.AuditLinkColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertRecordSQL = `INSERT INTO audit_records (organization, ` + store.AuditRecordColumns + `) VALUES (?, ?, ?, ?, ?, ?)`
	auditHeadSQL    = `SELECT ` + store.AuditHeadColumns + ` FROM audit_heads WHERE organization = ?`
	auditLinksSQL   = `SELECT ` + store.AuditLinkColumns + ` FROM audit_links WHERE organization = ? AND number > ? ORDER BY number LIMIT ?`
	auditLinkSQL    = `SELECT ` + store.AuditLinkColumns + ` FROM audit_links INDEXED BY audit_links_by_first WHERE organization = ? AND first <= ? ORDER BY first DESC LIMIT 1`
	auditRecordsSQL = `SELECT ` + store.AuditRecordColumns + ` FROM audit_records WHERE organization = ? AND position BETWEEN ? AND ? ORDER BY position`
	sealedAtSQL     = `SELECT ` + store.AuditRecordColumns + ` FROM audit_records INDEXED BY audit_records_by_id WHERE organization = ?1 AND kind = ?2 AND id = ?3 AND (?4 = x'' OR person = ?4)`
	auditEventSQL   = `SELECT ` + store.AuditEventColumns + ` FROM events WHERE organization = ? AND id = ?`
	auditChangeSQL  = `SELECT ` + store.ChangeColumns + ` FROM changes WHERE organization = ? AND id = ?`
	auditCallSQL    = `SELECT ` + store.AuditCallColumns + ` FROM calls WHERE organization = ? AND person = ? AND id = ?`
)

// Unsealed walks over records of a kind from after a cursor to before a time,
// at most limit, and tells which are sealed already. Calls are those that are
// answered.
func (e *Engine) Unsealed(ctx context.Context, organization string, kind store.AuditKind, after []byte, until consent.Time, limit int) ([]store.NotSealed, error) {
	var is bool
	mark := func(scan func(store.Row) (store.AuditRecord, error)) func(store.Row) (store.NotSealed, error) {
		return func(row store.Row) (store.NotSealed, error) {
			r, err := scan(row)
			return store.NotSealed{AuditRecord: r, Sealed: is}, err
		}
	}
	before := store.FirstID(until)
	switch kind {
	case store.AuditEvent:
		return query(ctx, e.read, mark(store.ScanAuditEvent(organization, &is)), unsealedEventsSQL, organization, blob(after), before[:], limit)
	case store.AuditChange:
		return query(ctx, e.read, mark(store.ScanAuditChange(&is)), unsealedChangesSQL, organization, blob(after), before[:], limit)
	case store.AuditBegun:
		return query(ctx, e.read, mark(store.ScanAuditCall(organization, &is)), unsealedBegunSQL, organization, before[:])
	}
	answered, person, id := store.ReadCallCursor(after)
	return query(ctx, e.read, mark(store.ScanAuditCall(organization, &is)), unsealedCallsSQL, organization, int64(answered), person[:], id[:], int64(until), limit)
}

// AuditHead reads the end of a chain; a new one if there is none.
func (e *Engine) AuditHead(ctx context.Context, organization string) (*store.AuditHead, error) {
	h, ok, err := one(ctx, e.read, store.ScanAuditHead, auditHeadSQL, organization)
	if err == nil && !ok {
		h = &store.AuditHead{Organization: organization}
	}
	return h, err
}

// ClaimAudit gives the right to add to a chain to a node for a time, unless
// another has it: ok tells. The head is as it is then.
func (e *Engine) ClaimAudit(ctx context.Context, organization, node string, life time.Duration) (h *store.AuditHead, ok bool, err error) {
	err = e.inTx(ctx, func(tx *transaction) error {
		now := consent.TimeOf(e.now())
		res, err := tx.ExecContext(ctx, `INSERT INTO audit_heads (organization, number, position, hash, epoch, cursors, sealer, claimed_until)
			VALUES (?1, 0, 0, x'', 1, '', ?2, ?3)
			ON CONFLICT DO UPDATE SET epoch = epoch + (sealer <> excluded.sealer), sealer = excluded.sealer, claimed_until = excluded.claimed_until
			WHERE sealer = excluded.sealer OR claimed_until <= ?4`, organization, node, int64(now.Add(life)), int64(now))
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if ok = n == 1; err != nil || !ok {
			return err
		}
		h, _, err = one(ctx, tx, store.ScanAuditHead, auditHeadSQL, organization)
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
	return e.inTx(ctx, func(tx *transaction) error {
		now := int64(consent.TimeOf(e.now()))
		res, err := tx.ExecContext(ctx, `UPDATE audit_heads SET number = ?, position = ?, hash = ?, cursors = ?
			WHERE organization = ? AND number = ? AND epoch = ? AND claimed_until > ?`,
			l.Number, l.Last, l.Hash[:], cursors, h.Organization, h.Number, h.Epoch, now)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, store.ErrSealedElsewhere("sqlite.AppendAudit"))
		}
		if _, err := tx.ExecContext(ctx, insertLinkSQL,
			h.Organization, l.Number, l.First, l.Last, int64(l.At), l.Previous[:], l.Root[:], l.Hash[:], l.Key, l.Signature); err != nil {
			return err
		}
		for i := range records {
			r := &records[i]
			if _, err := tx.ExecContext(ctx, insertRecordSQL,
				h.Organization, r.Position, string(r.Kind), r.ID[:], r.Person[:], r.Digest[:]); err != nil {
				return err
			}
			if r.Call != nil && r.Call.Resalted {
				if _, err := tx.ExecContext(ctx, `UPDATE calls SET salt = ? WHERE organization = ? AND person = ? AND id = ? AND salt = x'' AND erased = x''`,
					r.Call.Salt, h.Organization, r.Person[:], r.ID[:]); err != nil {
					return err
				}
			}
		}
		for _, p := range erase {
			if _, err := tx.ExecContext(ctx, `INSERT INTO erasures (organization, person, requested_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
				h.Organization, p[:], now); err != nil {
				return err
			}
		}
		return nil
	})
}

// AuditLinks lists the links of a chain, the oldest first, from after one.
func (e *Engine) AuditLinks(ctx context.Context, organization string, after int64, limit int) ([]store.AuditLink, error) {
	return query(ctx, e.read, store.ScanAuditLink, auditLinksSQL, organization, after, limit)
}

// AuditLinkOf reads the link that a position is in; NotFound if there is none.
func (e *Engine) AuditLinkOf(ctx context.Context, organization string, position int64) (store.AuditLink, error) {
	l, ok, err := one(ctx, e.read, store.ScanAuditLink, auditLinkSQL, organization, position)
	if err == nil && (!ok || l.Last < position) {
		err = consent.Errorf(consent.NotFound, "sqlite.AuditLinkOf", "no such link")
	}
	return l, err
}

// AuditRecords reads what is sealed at positions, with the records themselves
// where they are still there.
func (e *Engine) AuditRecords(ctx context.Context, organization string, first, last int64) ([]store.AuditRecord, error) {
	records, err := query(ctx, e.read, store.ScanAuditRecord, auditRecordsSQL, organization, first, last)
	if err != nil {
		return nil, err
	}
	for i := range records {
		r := &records[i]
		var found store.AuditRecord
		switch r.Kind {
		case store.AuditEvent:
			found, _, err = one(ctx, e.read, store.ScanAuditEvent(organization), auditEventSQL, organization, r.ID[:])
		case store.AuditChange:
			found, _, err = one(ctx, e.read, store.ScanAuditChange(), auditChangeSQL, organization, r.ID[:])
		default:
			found, _, err = one(ctx, e.read, store.ScanAuditCall(organization), auditCallSQL, organization, r.Person[:], r.ID[:])
		}
		if err != nil {
			return nil, err
		}
		r.Event, r.Change, r.Call = found.Event, found.Change, found.Call
	}
	return records, nil
}

// SealedAt finds a record in the chain; ok is false if it is not sealed. A load
// is a call of many people: calls are found with the person.
func (e *Engine) SealedAt(ctx context.Context, organization string, kind store.AuditKind, id store.ID, person store.PersonKey) (store.AuditRecord, bool, error) {
	whose := []byte{}
	if kind == store.AuditCall || kind == store.AuditBegun {
		whose = person[:]
	}
	return one(ctx, e.read, store.ScanAuditRecord, sealedAtSQL, organization, string(kind), id[:], whose)
}
