package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Person reads a person with the Didomi users linked to them; NotFound if
// nothing is known.
func (e *Engine) Person(ctx context.Context, organization string, key store.PersonKey) (*store.Person, error) {
	var own *store.Subject
	var users []*store.Subject
	err := e.read.inTx(ctx, func(tx *transaction) (err error) {
		found, err := loadSubjects(ctx, tx, []store.SubjectKey{{Organization: organization, Person: key}})
		if err != nil || len(found) == 0 || found[0].Erased() {
			return err
		}
		own = found[0]
		var keys []store.SubjectKey
		for id := range own.DidomiUsers {
			keys = append(keys, store.SubjectKey{Organization: organization, Person: e.hasher.Person(organization, consent.Subject{DidomiUserID: id})})
		}
		users, err = loadSubjects(ctx, tx, keys)
		return err
	})
	if err != nil {
		return nil, classify(err)
	}
	if own == nil {
		return nil, consent.Errorf(consent.NotFound, "sqlite.Person", "nothing is known of this person")
	}
	return store.NewPerson(own, users), nil
}

func scanBytes(row store.Row) (b []byte, err error) {
	err = row.Scan(&b)
	return b, err
}

func scanPerson(row store.Row) (k store.PersonKey, err error) {
	var b []byte
	err = row.Scan(&b)
	copy(k[:], b)
	return k, err
}

// Trace reads the newest events and calls of some subjects, at most limit of
// each, oldest first.
func (e *Engine) Trace(ctx context.Context, organization string, subjects []store.PersonKey, limit int) (t store.Trace, err error) {
	for _, k := range subjects {
		whose := store.SubjectKey{Organization: organization, Person: k}
		events, err := query(ctx, e.read, store.ScanEvent(whose), traceEventsSQL, organization, k[:], limit)
		if err != nil {
			return t, err
		}
		calls, err := query(ctx, e.read, store.ScanCall(whose), traceCallsSQL, organization, k[:], limit)
		if err != nil {
			return t, err
		}
		t.Events, t.Calls = append(t.Events, events...), append(t.Calls, calls...)
	}
	t.Sort()
	return t, nil
}

// The newest of a subject; Trace puts them in order. Left to itself SQLite
// would rather walk through all events of the organization.
const (
	traceEventsSQL = `SELECT ` + store.EventColumns + ` FROM events INDEXED BY events_by_person
		WHERE organization = ? AND person = ? ORDER BY id DESC LIMIT ?`
	traceCallsSQL = `SELECT ` + store.CallColumns + ` FROM calls
		WHERE organization = ? AND person = ? ORDER BY id DESC LIMIT ?`
)

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
