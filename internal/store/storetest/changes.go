package storetest

import (
	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var recorded = group{
	"all of a change comes back":                   changeStored,
	"the newest first, in pages":                   changePages,
	"a change and its record are one":              changeWithRecord,
	"what is refused is not recorded":              refusedUnrecorded,
	"the record outlives the integration":          recordOutlives,
	"an organization sees its own changes":         changesApart,
	"an approval that comes too late is no change": lateApproval,
}

// recorded lists the changes in an organization, or of an integration.
func (b *bench) recorded(organization, integration string) []store.Change {
	b.Helper()
	found, err := b.Changes(b.Context(), organization, integration, store.ID{}, 100)
	b.must(err)
	return found
}

func changeOf(organization, integration, action string) store.Change {
	return store.Change{Organization: organization, ID: store.NewID(), Integration: integration, At: noon, By: "ana@example.com", Action: action}
}

func changeStored(b *bench) {
	c := changeOf(acme, "i", "changed")
	c.Details = []store.Detail{{Name: "a", Was: "1", Is: "ü\x00"}, {Name: "b"}}
	b.must(b.SetFeature(b.Context(), acme, true, c))
	c.Details[0].Is = b.recorded(acme, "")[0].Details[0].Is // what a text cannot hold becomes another sign
	b.same("changes", b.recorded(acme, ""), []store.Change{c})
}

func changePages(b *bench) {
	var all []store.Change
	for _, integration := range []string{"i", "j", "i", "", "i"} {
		c := changeOf(acme, integration, "changed")
		all = append([]store.Change{c}, all...)
		b.must(b.SetFeature(b.Context(), acme, true, c))
	}
	b.same("all", b.recorded(acme, ""), all)
	first, err := b.Changes(b.Context(), acme, "", store.ID{}, 2)
	b.must(err)
	b.same("first", first, all[:2])
	next, err := b.Changes(b.Context(), acme, "", first[1].ID, 2)
	b.must(err)
	b.same("next", next, all[2:4])
	of, err := b.Changes(b.Context(), acme, "i", all[0].ID, 1)
	b.must(err)
	b.same("of one integration", of, all[2:3])
}

func changeWithRecord(b *bench) {
	i := b.integration(acme, "i")
	k := store.IntegrationKey{Organization: acme, ID: "i"}
	want := []store.Change{}
	step := func(action string, f func(store.Change) error) {
		b.Helper()
		c := changeOf(acme, "i", action)
		b.must(f(c))
		want = append([]store.Change{c}, want...)
		b.same(action, b.recorded(acme, "i"), want)
	}
	step("created", func(c store.Change) error { return b.CreateIntegration(b.Context(), i, c) })
	step("changed", func(c store.Change) error {
		i.Revision++
		return b.UpdateIntegration(b.Context(), i, c)
	})
	step("switched", func(c store.Change) error { return b.Switch(b.Context(), k, store.Paused, c) })
	step("replayed", func(c store.Change) error {
		b.accept(acme, event("e1", noon, yes("p")))
		return b.MakeDue(b.Context(), b.deliveryKey(k, "ana"), store.Ordinary, noon, c)
	})
	step("approved", func(c store.Change) error {
		r, _, err := b.Reprojection(b.Context(), k)
		b.must(err)
		return b.AdvanceReprojection(b.Context(), r, nil, c)
	})
	step("client", func(c store.Change) error {
		return b.AddWebhookClient(b.Context(), store.WebhookClient{Organization: acme, ClientID: "c"}, c)
	})
	step("invited", func(c store.Change) error {
		return b.Invite(b.Context(), store.Invitation{Organization: acme, ID: "a", ExpiresAt: at(9)}, c)
	})
	step("deleted", func(c store.Change) error { return b.DeleteIntegration(b.Context(), k, c) })
}

func refusedUnrecorded(b *bench) {
	k := b.integrate(acme, "i")
	i, err := b.Integration(b.Context(), k)
	b.must(err)
	i.Revision += 5
	b.kind(b.UpdateIntegration(b.Context(), i, changeOf(acme, "i", "x")), consent.Conflict)
	b.kind(b.CreateIntegration(b.Context(), b.integration(acme, "i"), changeOf(acme, "i", "x")), consent.Conflict)
	nowhere := store.IntegrationKey{Organization: acme, ID: "nowhere"}
	b.kind(b.Switch(b.Context(), nowhere, store.Paused, changeOf(acme, "i", "x")), consent.NotFound)
	b.kind(b.DeleteIntegration(b.Context(), nowhere, changeOf(acme, "i", "x")), consent.NotFound)
	b.kind(b.MakeDue(b.Context(), b.deliveryKey(k, "nobody"), store.Ordinary, noon, changeOf(acme, "i", "x")), consent.NotFound)
	b.kind(b.SetRole(b.Context(), acme, "nobody", "viewer", changeOf(acme, "", "x")), consent.NotFound)
	b.same("recorded", len(b.recorded(acme, "")), 0)
}

func recordOutlives(b *bench) {
	i := b.integration(acme, "i")
	b.must(b.CreateIntegration(b.Context(), i, changeOf(acme, "i", "created")))
	b.must(b.DeleteIntegration(b.Context(), store.IntegrationKey{Organization: acme, ID: "i"}, changeOf(acme, "i", "deleted")))
	b.same("recorded", len(b.recorded(acme, "i")), 2)
}

func changesApart(b *bench) {
	b.must(b.SetFeature(b.Context(), acme, true, changeOf(acme, "i", "x")))
	b.same("of another", len(b.recorded(globex, "")), 0)
	b.same("of another's integration", len(b.recorded(globex, "i")), 0)
}

func lateApproval(b *bench) {
	k := b.integrate(acme, "i")
	r, _, err := b.Reprojection(b.Context(), k)
	b.must(err)
	late := r
	late.StartedAt--
	b.must(b.AdvanceReprojection(b.Context(), late, nil, changeOf(acme, "i", "approved")))
	b.same("recorded", len(b.recorded(acme, "i")), 0)
}
