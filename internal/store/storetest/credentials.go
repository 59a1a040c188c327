package storetest

import (
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var credentials = group{
	"webhook clients":                       clients,
	"a client gets another secret":          clientRotated,
	"a client is removed by its own":        clientRemoved,
	"a key is found by what it begins with": apiKeys,
	"keys come in pages":                    apiKeyPages,
	"a key is revoked by its own":           apiKeyRevoked,
	"when a key was used does not go back":  apiKeyUsed,
}

func clients(b *bench) {
	c := store.WebhookClient{Organization: acme, ClientID: "c1", SecretHash: [32]byte{1, 31: 0xff}, CreatedAt: at(3)}
	b.must(b.AddWebhookClient(b.Context(), c))
	c2 := store.WebhookClient{Organization: globex, ClientID: "c2", CreatedAt: at(4)}
	b.must(b.AddWebhookClient(b.Context(), c2))
	for _, want := range []store.WebhookClient{c, c2} {
		got, err := b.WebhookClient(b.Context(), want.ClientID)
		b.must(err)
		b.same(want.ClientID, *got, want)
	}
	_, err := b.WebhookClient(b.Context(), "c3")
	b.kind(err, consent.NotFound)
	stolen := c
	stolen.Organization = globex
	b.kind(b.AddWebhookClient(b.Context(), stolen), consent.Conflict)
	got, err := b.WebhookClient(b.Context(), "c1")
	b.must(err)
	b.same("whose it is", got.Organization, acme)
}

func clientRotated(b *bench) {
	c := store.WebhookClient{Organization: acme, ClientID: "c1", Header: true, SecretHash: [32]byte{1}, CreatedAt: at(3)}
	b.must(b.AddWebhookClient(b.Context(), c))
	b.kind(b.RotateWebhookClient(b.Context(), globex, "c1", [32]byte{9}, at(9)), consent.NotFound)
	b.must(b.RotateWebhookClient(b.Context(), acme, "c1", [32]byte{2}, at(9), changeOf(acme, "", "rotated")))
	c.SecretHash, c.PreviousHash, c.PreviousUntil = [32]byte{2}, [32]byte{1}, at(9)
	got, err := b.WebhookClient(b.Context(), "c1")
	b.must(err)
	b.same("the client", *got, c)
	b.must(b.RotateWebhookClient(b.Context(), acme, "c1", [32]byte{3}, at(12)))
	got, err = b.WebhookClient(b.Context(), "c1")
	b.must(err)
	b.same("the secret before", got.PreviousHash, [32]byte{2})
	b.lastChange(acme, "rotated")
}

func clientRemoved(b *bench) {
	for i, organization := range []string{acme, acme, globex} {
		b.must(b.AddWebhookClient(b.Context(), store.WebhookClient{Organization: organization, ClientID: string(rune('a' + i)), CreatedAt: at(i)}))
	}
	b.kind(b.RemoveWebhookClient(b.Context(), globex, "a"), consent.NotFound)
	b.must(b.RemoveWebhookClient(b.Context(), acme, "a", changeOf(acme, "", "removed")))
	_, err := b.WebhookClient(b.Context(), "a")
	b.kind(err, consent.NotFound)
	left, err := b.WebhookClients(b.Context(), acme)
	b.must(err)
	if len(left) != 1 || left[0].ClientID != "b" {
		b.Errorf("left are %+v", left)
	}
	b.lastChange(acme, "removed")
}

// lastChange wants the newest change of an organization to be this one.
func (b *bench) lastChange(organization, action string) {
	b.Helper()
	found, err := b.Changes(b.Context(), organization, "", store.ID{}, 1)
	b.must(err)
	if len(found) != 1 || found[0].Action != action {
		b.Errorf("the newest change is %+v, not %s", found, action)
	}
}

// apiKey makes a key that lives for an hour.
func (b *bench) apiKey(organization, id string) store.APIKey {
	b.Helper()
	k := store.APIKey{
		Organization: organization, ID: id, Hash: [32]byte{1, 31: id[0]}, Name: "for " + id, Role: "viewer", CreatedBy: "boss@example.com",
		CreatedAt: b.now(), ExpiresAt: b.now().Add(time.Hour),
	}
	b.must(b.AddAPIKey(b.Context(), k, changeOf(organization, "", "key added")))
	return k
}

func apiKeys(b *bench) {
	for _, want := range []store.APIKey{b.apiKey(acme, "k1"), b.apiKey(globex, "k2"), b.apiKey(store.Everywhere, "k3")} {
		got, err := b.APIKey(b.Context(), want.ID)
		b.must(err)
		b.same(want.ID, *got, want)
		b.lastChange(want.Organization, "key added")
	}
	_, err := b.APIKey(b.Context(), "k4")
	b.kind(err, consent.NotFound)
	stolen := store.APIKey{Organization: globex, ID: "k1"}
	b.kind(b.AddAPIKey(b.Context(), stolen), consent.Conflict)
}

func apiKeyPages(b *bench) {
	for _, id := range []string{"k1", "k2", "k3"} {
		b.apiKey(acme, id)
	}
	b.apiKey(globex, "k4")
	for after, want := range map[string]int{"": 2, "k1": 2, "k2": 1, "k3": 0} {
		got, err := b.APIKeys(b.Context(), acme, after, 2)
		b.must(err)
		b.same("after "+after, len(got), want)
	}
}

func apiKeyRevoked(b *bench) {
	b.apiKey(acme, "k1")
	b.kind(b.RevokeAPIKey(b.Context(), globex, "k1"), consent.NotFound)
	b.must(b.RevokeAPIKey(b.Context(), acme, "k1", changeOf(acme, "", "key revoked")))
	_, err := b.APIKey(b.Context(), "k1")
	b.kind(err, consent.NotFound)
	b.kind(b.RevokeAPIKey(b.Context(), acme, "k1"), consent.NotFound)
	b.lastChange(acme, "key revoked")
}

func apiKeyUsed(b *bench) {
	b.apiKey(acme, "k1")
	for _, used := range []consent.Time{at(5), at(9), at(7)} {
		b.must(b.UseAPIKey(b.Context(), acme, "k1", used))
	}
	got, err := b.APIKey(b.Context(), "k1")
	b.must(err)
	b.same("used", got.UsedAt, at(9))
}
