package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Person reads a person with the Didomi users linked to them; NotFound if
// nothing is known.
func (e *Engine) Person(ctx context.Context, organization string, key store.PersonKey) (*store.Person, error) {
	tx, err := e.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, classify(err)
	}
	defer tx.Rollback()                        // nothing was written
	stmt := tx.StmtContext(ctx, e.readSubject) // ends with the transaction
	own, err := loadSubject(ctx, stmt, store.SubjectKey{Organization: organization, Person: key})
	if err != nil {
		return nil, classify(err)
	}
	if own == nil {
		return nil, consent.Errorf(consent.NotFound, "sqlite.Person", "nothing is known of this person")
	}
	p := &store.Person{Subject: *own}
	for id := range own.DidomiUsers {
		k := e.hasher.Person(organization, consent.Subject{DidomiUserID: id})
		user, err := loadSubject(ctx, stmt, store.SubjectKey{Organization: organization, Person: k})
		if err != nil {
			return nil, classify(err)
		}
		if user != nil && user.State.LinkedTo() == own.OrganizationUserID {
			p.Linked = append(p.Linked, &user.State)
		}
	}
	return p, nil
}

const peoplePageSQL = `SELECT person FROM people WHERE organization = ? AND person > ? AND user_id <> '' ORDER BY person LIMIT ?`

// PeoplePage lists the keys of identified people, from after a key; an empty
// one is the start.
func (e *Engine) PeoplePage(ctx context.Context, organization string, after []byte, limit int) ([]store.PersonKey, error) {
	rows, err := e.read.QueryContext(ctx, peoplePageSQL, organization, blob(after), limit)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	var keys []store.PersonKey
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, classify(err)
		}
		keys = append(keys, store.PersonKey(b))
	}
	return keys, classify(rows.Err())
}

// Trace reads the newest events and calls of some subjects, at most limit of
// each, oldest first.
func (e *Engine) Trace(ctx context.Context, organization string, subjects []store.PersonKey, limit int) (t store.Trace, err error) {
	for _, k := range subjects {
		if err := e.traceEvents(ctx, organization, k, limit, &t); err != nil {
			return t, classify(err)
		}
		if err := e.traceCalls(ctx, organization, k, limit, &t); err != nil {
			return t, classify(err)
		}
	}
	slices.SortFunc(t.Events, func(a, b store.Event) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	slices.SortFunc(t.Calls, func(a, b store.Call) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return t, nil
}

// The newest of a subject; Trace puts them in order. Left to itself SQLite
// would rather walk through all events of the organization.
const (
	traceEventsSQL = `SELECT id, type, entity_id, regulation, consent_at, arrived_at, outcome, commitment FROM events INDEXED BY events_by_person
		WHERE organization = ? AND person = ? ORDER BY id DESC LIMIT ?`
	traceCallsSQL = `SELECT id, integration, operation, subscriptions, attributes, started_at, answered_at, outcome, detail FROM calls
		WHERE organization = ? AND person = ? ORDER BY id DESC LIMIT ?`
)

func (e *Engine) traceEvents(ctx context.Context, organization string, k store.PersonKey, limit int, t *store.Trace) error {
	rows, err := e.read.QueryContext(ctx, traceEventsSQL, organization, k[:], limit)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		ev := store.Event{Organization: organization, Person: k}
		var id, commitment []byte
		if err := rows.Scan(&id, &ev.Type, &ev.EntityID, &ev.Regulation, &ev.ConsentAt, &ev.ArrivedAt, &ev.Outcome, &commitment); err != nil {
			return err
		}
		ev.ID = store.ID(id)
		copy(ev.Commitment[:], commitment)
		t.Events = append(t.Events, ev)
	}
	return rows.Err()
}

func (e *Engine) traceCalls(ctx context.Context, organization string, k store.PersonKey, limit int, t *store.Trace) error {
	rows, err := e.read.QueryContext(ctx, traceCallsSQL, organization, k[:], limit)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		c := store.Call{Organization: organization, Person: k}
		var id []byte
		var subscriptions, attributes string
		if err := rows.Scan(&id, &c.Integration, &c.Operation, &subscriptions, &attributes, &c.StartedAt, &c.AnsweredAt, &c.Outcome, &c.Detail); err != nil {
			return err
		}
		c.ID = store.ID(id)
		if err := fromJSON(subscriptions, &c.Subscriptions); err != nil {
			return err
		}
		if err := fromJSON(attributes, &c.Attributes); err != nil {
			return err
		}
		t.Calls = append(t.Calls, c)
	}
	return rows.Err()
}

// Payload reads the payload of an event and the salt of its commitment;
// NotFound if there is none.
func (e *Engine) Payload(ctx context.Context, organization string, id store.ID) (salt [16]byte, body []byte, err error) {
	var b []byte
	err = e.read.QueryRowContext(ctx, `SELECT salt, body FROM payloads WHERE organization = ? AND id = ?`, organization, id[:]).Scan(&b, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return salt, nil, consent.Errorf(consent.NotFound, "sqlite.Payload", "no such payload")
	}
	copy(salt[:], b)
	return salt, body, classify(err)
}
