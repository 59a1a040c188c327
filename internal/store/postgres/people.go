package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	subjectsSQL = `SELECT ` + subjectColumns + ` FROM people p WHERE p.organization = $1 AND p.person = ANY($2::bytea[])`
	// The newest of a subject; Trace puts them in order.
	traceEventsSQL = `SELECT ` + store.EventColumns + ` FROM events
		WHERE organization = $1 AND person = $2 ORDER BY id DESC LIMIT $3`
	traceCallsSQL = `SELECT ` + store.CallColumns + ` FROM calls
		WHERE organization = $1 AND person = $2 ORDER BY id DESC LIMIT $3`
	payloadSQL = `SELECT salt, body FROM payloads WHERE organization = $1 AND id = $2`
)

// Person reads a person with the Didomi users linked to them; NotFound if
// nothing is known. What of the two is written at the same time is made due by
// whoever writes it.
func (e *Engine) Person(ctx context.Context, organization string, key store.PersonKey) (*store.Person, error) {
	own, err := query(ctx, e, scanSubject, subjectsSQL, organization, [][]byte{key[:]})
	if err != nil {
		return nil, err
	}
	if len(own) == 0 || own[0].Erased() {
		return nil, consent.Errorf(consent.NotFound, "postgres.Person", "nothing is known of this person")
	}
	if len(own[0].DidomiUsers) == 0 {
		return store.NewPerson(own[0], nil), nil
	}
	var keys [][]byte
	for id := range own[0].DidomiUsers {
		k := e.hasher.Person(organization, consent.Subject{DidomiUserID: id})
		keys = append(keys, k[:])
	}
	users, err := query(ctx, e, scanSubject, subjectsSQL, organization, keys)
	if err != nil {
		return nil, err
	}
	return store.NewPerson(own[0], users), nil
}

// Trace reads the newest events and calls of some subjects, at most limit of
// each, oldest first.
func (e *Engine) Trace(ctx context.Context, organization string, subjects []store.PersonKey, limit int) (t store.Trace, err error) {
	for _, k := range subjects {
		whose := store.SubjectKey{Organization: organization, Person: k}
		events, err := query(ctx, e, scanned(store.ScanEvent(whose)), traceEventsSQL, organization, k[:], limit)
		if err != nil {
			return t, err
		}
		calls, err := query(ctx, e, scanned(store.ScanCall(whose)), traceCallsSQL, organization, k[:], limit)
		if err != nil {
			return t, err
		}
		t.Events, t.Calls = append(t.Events, events...), append(t.Calls, calls...)
	}
	t.Sort()
	return t, nil
}

// Payload reads the payload of an event and the salt of its commitment;
// NotFound if there is none.
func (e *Engine) Payload(ctx context.Context, organization string, id store.ID) (salt [16]byte, body []byte, err error) {
	type payload struct{ salt, body []byte }
	p, ok, err := one(ctx, e, func(row pgx.CollectableRow) (p payload, err error) {
		err = row.Scan(&p.salt, &p.body)
		return p, err
	}, payloadSQL, organization, id[:])
	if err == nil && !ok {
		err = consent.Errorf(consent.NotFound, "postgres.Payload", "no such payload")
	}
	copy(salt[:], p.salt)
	return salt, p.body, err
}
