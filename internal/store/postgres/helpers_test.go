package postgres

import (
	"fmt"
	"testing"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var hasher = store.NewHasher([]byte("a key for tests"))

// ready opens a database for what the conformance suite does not cover.
func ready(t *testing.T, address string) *Engine {
	t.Helper()
	e := open(t, address, Options{})
	e.UseHasher(hasher)
	return e
}

// says is a webhook by which a person says something of the purpose p.
func says(id, person string, on bool, at consent.Time) store.Inbound {
	return store.Inbound{
		Organization: "acme", Canonical: []byte(id), Payload: []byte("payload of " + id),
		Message: &consent.Message{
			Type: consent.EventCreated, EntityID: id, OrganizationUserID: person, Regulation: "gdpr", CreatedAt: at,
			Choices: []consent.Said{{Choice: consent.Choice{Kind: consent.OfPurpose, Purpose: "p"}, Enabled: on}},
		},
	}
}

// deletes is the webhook that deletes an event.
func deletes(id string) store.Inbound {
	return store.Inbound{
		Organization: "acme", Canonical: []byte("deletion of " + id), Payload: []byte("{}"),
		Message: &consent.Message{Type: consent.EventDeleted, EntityID: id, Regulation: "gdpr"},
	}
}

func person(id string) store.PersonKey {
	return hasher.Person("acme", consent.Subject{OrganizationUserID: id})
}

// on tells whether the purpose p is on for a person.
func on(t *testing.T, e *Engine, id string) bool {
	t.Helper()
	p, err := e.Person(t.Context(), "acme", person(id))
	if err != nil {
		t.Fatal(err)
	}
	return p.View().Choices[0].Enabled
}

func integrate(t *testing.T, e *Engine, id string) store.IntegrationKey {
	t.Helper()
	i := &store.Integration{Organization: "acme", ID: id, Status: store.Active, Revision: 1, Licence: "licence"}
	if err := e.CreateIntegration(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	return store.IntegrationKey{Organization: "acme", ID: id}
}

// number reads a number from the database.
func number(t *testing.T, e *Engine, text string, args ...any) (n int64) {
	t.Helper()
	if err := e.pool.QueryRow(t.Context(), text, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// wantTransient expects the failure of a database that may work again.
func wantTransient(t *testing.T, err error) {
	t.Helper()
	if err == nil || consent.KindOf(err) != consent.Transient || consent.RetryAfter(err) == 0 {
		t.Errorf("got error %v, want a transient one that says when to come again", err)
	}
}

func name(parts ...any) string { return fmt.Sprint(parts...) }
