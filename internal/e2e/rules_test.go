package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// Who refused something is looked for again, though slowly: a later import
// with default-on must not mail them. Who only granted waits for newer consent
// (R20).
func TestR20UnmatchedPeople(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	b.integrate(func(in object) { in["upsert_mode"] = false })
	b.send(event("e1", "granted@example.com", time.Now(), simulator.Choices{"newsletter": yes()}))
	b.send(event("e2", "refused@example.com", time.Now(), simulator.Choices{"newsletter": yes(), "promotions": no()}))
	unmatched := func(email string) bool { return b.person(email).status() == "unmatched" }
	b.eventually("both are unmatched", func() bool { return unmatched("granted@example.com") && unmatched("refused@example.com") })
	if at := b.person("granted@example.com").Integrations[0].NextAt; at != nil {
		t.Errorf("who only granted is tried again at %s", *at)
	}
	at := b.person("refused@example.com").Integrations[0].NextAt
	if at == nil {
		t.Fatal("who refused is not tried again")
	}
	next, err := time.Parse(time.RFC3339Nano, *at)
	if wait := time.Until(next); err != nil || wait < 55*time.Minute || wait > 65*time.Minute {
		t.Errorf("who refused is tried again at %s, in %v; want an hour: %v", *at, wait, err)
	}
}

// A withdrawal overtakes hundreds of grants, however small the budget (R21).
func TestR21AWithdrawalOvertakes(t *testing.T) {
	parallelUnlessShort(t, timed)
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	people := crowd("p", 300)
	putAll(t, b, people, nil)
	putAll(t, b, []string{anna}, map[string]bool{"Newsletter": true})
	b.integrate(func(in object) { in["properties"].(object)["calls_per_minute"] = 60 })
	b.sendAll(events(people, time.Now(), simulator.Choices{"newsletter": yes()}))
	granted := func() (n int) {
		for _, email := range people {
			if b.on(email, "Newsletter") {
				n++
			}
		}
		return n
	}
	b.eventually("grants are going out", func() bool { return granted() > 0 })
	start := time.Now()
	b.send(event("w", anna, start, simulator.Choices{"newsletter": no()}))
	b.eventually("the withdrawal is in effect", func() bool { return !b.on(anna, "Newsletter") })
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the withdrawal took %v", took)
	}
	if n := granted(); n > 30 {
		t.Errorf("%d of 300 grants went before it, with 60 calls a minute", n)
	}
}

// A new integration that would turn on subscriptions of many asks first.
// Withdrawals do not wait for the answer, nor does consent given meanwhile
// (R23).
func TestR23ManyGrantsAsk(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	granting, refusing := crowd("g", 150), crowd("r", 10)
	putAll(t, b, granting, nil)
	putAll(t, b, refusing, map[string]bool{"Newsletter": true})
	now := time.Now()
	b.sendAll(events(granting, now, simulator.Choices{"newsletter": yes()}))
	b.sendAll(events(refusing, now, simulator.Choices{"newsletter": no()}))
	id := b.integrate(nil)
	b.eventually("it asks", func() bool { return b.asking(id) })
	if r := b.integration(id).Reprojection; r.People != 160 || r.Grants != 150 || r.Withdrawals != 10 {
		t.Errorf("it counted %+v", *r)
	}
	b.eventually("the withdrawals go out", func() bool {
		return !slices.ContainsFunc(refusing, func(email string) bool { return b.on(email, "Newsletter") })
	})
	b.send(event("live", granting[0], now.Add(time.Second), simulator.Choices{"promotions": yes()}))
	b.eventually("live consent goes out", func() bool { return b.on(granting[0], "Promotions") })
	b.stays("nobody else is granted anything", time.Second, func() bool {
		return !slices.ContainsFunc(granting[1:], func(email string) bool { return b.on(email, "Newsletter") })
	})
	b.must(http.MethodPost, "/v1/marketplace/integrations/"+id+"/resume", `{"approve_grants":true}`, http.StatusOK, nil)
	b.eventually("the grants go out", func() bool {
		return !slices.ContainsFunc(granting, func(email string) bool { return !b.on(email, "Newsletter") })
	})
	b.eventually("and it is over", func() bool { return b.integration(id).Reprojection == nil })
	if status, _ := b.ask(http.MethodPost, "/v1/marketplace/integrations/"+id+"/resume", `{"approve_grants":true}`); status != http.StatusConflict {
		t.Errorf("a yes that nobody asked for is answered %d", status)
	}
}

// Profiles that are made for the sake of a withdrawal get no grant along with
// it that waits for a yes (R23).
func TestR23CreatingDoesNotGrant(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	people := crowd("p", 110)
	b.sendAll(events(people, time.Now(), simulator.Choices{"newsletter": yes(), "promotions": no()}))
	id := b.integrate(nil)
	b.eventually("it asks", func() bool { return b.asking(id) })
	b.eventually("everybody has a profile", func() bool {
		return len(b.actito.Profiles(simulator.SampleEntity, simulator.SampleTableID)) == len(people)
	})
	b.quiet(time.Second)
	on := 0
	for _, email := range people {
		if b.on(email, "Newsletter") {
			on++
		}
	}
	if on > 0 {
		t.Errorf("%d people were granted something before anybody said yes", on)
	}
	b.must(http.MethodPost, "/v1/marketplace/integrations/"+id+"/resume", `{"approve_grants":true}`, http.StatusOK, nil)
	b.eventually("the grants go out", func() bool {
		return !slices.ContainsFunc(people, func(email string) bool { return !b.on(email, "Newsletter") })
	})
}

// Few grants need no yes (R23).
func TestR23FewGrantsDoNotAsk(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	people := crowd("p", 50)
	b.sendAll(events(people, time.Now(), simulator.Choices{"newsletter": yes()}))
	id := b.integrate(nil)
	b.eventually("everybody is granted", func() bool {
		if b.asking(id) {
			t.Fatal("it asks")
		}
		return !slices.ContainsFunc(people, func(email string) bool { return !b.on(email, "Newsletter") })
	})
}

func mappings(subscriptions ...string) string {
	var list []string
	for _, s := range subscriptions {
		path := map[string]string{
			"Newsletter": "consents_purposes_newsletter_enabled", "Promotions": "consents_purposes_promotions_enabled", "SmsAlerts": "consents_channels_sms_enabled",
		}[s]
		list = append(list, fmt.Sprintf(`{"id":%q,"value":%q}`, s, path))
	}
	return `{"mappings":[` + strings.Join(list, ",") + `]}`
}

// A mapping that is added compares everyone again; one that is removed leaves
// Actito as it is (R12).
func TestR12ChangeOfMappings(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	id := b.integrate(func(in object) {
		in["mappings"] = []object{{"id": "Newsletter", "value": "consents_purposes_newsletter_enabled"}}
	})
	people := crowd("p", 20)
	now := time.Now()
	b.sendAll(events(people, now, simulator.Choices{"newsletter": yes(), "promotions": yes()}))
	b.eventually("the first mapping is delivered", func() bool { return b.allSynced(people) && b.on(people[19], "Newsletter") })

	b.change(id, mappings("Newsletter", "Promotions"))
	b.eventually("the new mapping is delivered", func() bool {
		return !slices.ContainsFunc(people, func(email string) bool { return !b.on(email, "Promotions") })
	})

	b.change(id, mappings("Promotions"))
	b.quiet(time.Second)
	b.send(event("w", people[0], now.Add(time.Second), simulator.Choices{"newsletter": no()}))
	b.quiet(time.Second)
	for _, email := range people {
		if !b.on(email, "Newsletter") {
			t.Errorf("%s lost a subscription that is mapped no more", email)
		}
	}

	b.change(id, mappings("Newsletter", "Promotions"))
	b.eventually("what was withdrawn meanwhile is delivered when it is mapped again", func() bool { return !b.on(people[0], "Newsletter") })
}

// A subscription that was removed in Actito and made anew is another one, of
// which nothing is known (R12).
func TestR12SubscriptionMadeAnew(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	mustPut(t, b, anna)
	id := b.integrate(nil)
	b.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": yes(), "promotions": yes()}))
	b.eventually("it is on", func() bool { return b.on(anna, "Promotions") && b.synced(anna) })
	b.actito.RemoveSubscription(simulator.SampleEntity, simulator.SampleTableID, "Promotions")
	b.refresh(id)
	b.quiet(700 * time.Millisecond)
	b.actito.AddSubscription(simulator.SampleEntity, simulator.SampleTableID, "Promotions")
	b.refresh(id)
	b.eventually("it is written anew", func() bool { return b.on(anna, "Promotions") && b.synced(anna) })
}

// A mapped subscription that is gone from the table holds up no other.
func TestMappedSubscriptionIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	putAll(t, b, []string{anna}, map[string]bool{"Newsletter": true})
	id := b.integrate(nil)
	b.actito.RemoveSubscription(simulator.SampleEntity, simulator.SampleTableID, "Promotions")
	b.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": no(), "promotions": no()}))
	b.eventually("the others are delivered", func() bool { return !b.on(anna, "Newsletter") && b.synced(anna) })
	if v := b.integration(id); v.Status != "active" || !strings.Contains(v.Reason, "Promotions") {
		t.Errorf("the integration is %s because of %q, want it active and the reason to name the subscription", v.Status, v.Reason)
	}
}

// Tokens that end early cost one new token, and no look at the table (R15, R18).
func TestR15ExpiredTokens(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	people := crowd("p", 12)
	putAll(t, b, people, nil)
	b.integrate(nil)
	now := time.Now()
	b.sendAll(events(people, now, simulator.Choices{"newsletter": yes()}))
	b.eventually("synced", func() bool { return b.allSynced(people) })
	b.actito.ResetCounters()
	b.actito.ExpireTokens()
	b.sendAll(events(people, now.Add(time.Second), simulator.Choices{"newsletter": no()}))
	b.eventually("synced again", func() bool { return b.allSynced(people) && !b.on(people[11], "Newsletter") })
	if n := b.actito.CallCount(simulator.KindToken); n != 1 {
		t.Errorf("%d tokens were asked for, want one", n)
	}
	if n := b.actito.CallCount(simulator.KindStructure, simulator.KindTables, simulator.KindRead, simulator.KindCreate); n != 0 {
		t.Errorf("%d other calls were made, want none", n)
	}
	applied := 0
	for _, c := range b.actito.Calls() {
		if c.Kind == simulator.KindUpdate && c.Applied {
			applied++
		}
	}
	if applied != len(people) {
		t.Errorf("%d writes were applied for %d people", applied, len(people))
	}
}

// The first 404 has the table looked at, and so has a run of them, though not
// every single one (R18).
func TestR18MissingProfilesAreCreated(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	b.integrate(nil)
	b.actito.ResetCounters()
	b.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": yes(), "promotions": no()}))
	b.eventually("the profile is there", func() bool { return b.on(anna, "Newsletter") && b.synced(anna) })
	var order []simulator.Kind
	for _, c := range b.actito.Calls() {
		if c.Kind != simulator.KindToken {
			order = append(order, c.Kind)
		}
	}
	if !slices.Equal(order, []simulator.Kind{simulator.KindUpdate, simulator.KindStructure, simulator.KindCreate}) {
		t.Errorf("the calls were %v", order)
	}
	people := crowd("p", 60)
	b.sendAll(events(people, time.Now(), simulator.Choices{"newsletter": yes()}))
	b.eventually("all profiles are there", func() bool { return b.allSynced(people) && b.on(people[59], "Newsletter") })
	if n := b.actito.CallCount(simulator.KindStructure); n > 25 {
		t.Errorf("the table was looked at %d times for 61 missing profiles", n)
	}
}

// An import makes the profile at the very moment: what it wrote stays, and
// ours is added (R19).
func TestR19ImportBesideUs(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]simulator.ActitoOptions{
		"create":         {CallsPerMinute: -1},
		"replacing PUT":  {CallsPerMinute: -1, NoCreateOperation: true},
		"import is slow": {CallsPerMinute: -1, Latency: 30 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, opts)
			b.integrate(nil)
			// The create operation takes its time; the import is done within it.
			b.actito.Inject(simulator.Fault{Kind: simulator.KindCreate, Latency: 300 * time.Millisecond, Times: 1})
			b.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": yes(), "promotions": no()}))
			create := simulator.KindCreate
			b.eventually("the profile is about to be made", func() bool { return b.actito.CallCount(create) == 1 })
			if _, err := b.actito.PutProfile(simulator.SampleEntity, simulator.SampleTableID,
				map[string]any{"emailAddress": anna, "shop": "Ghent"}, map[string]bool{"PartnerOffers": true, "Promotions": true}); err != nil {
				t.Fatal(err)
			}
			b.eventually("both are there", func() bool {
				p, _ := b.profile(anna)
				return p.Subscriptions["Newsletter"] && !p.Subscriptions["Promotions"] && p.Subscriptions["PartnerOffers"] &&
					p.Attributes["shop"] == "Ghent" && b.synced(anna)
			})
		})
	}
}

// A key that may not create closes that operation alone (R18).
func TestR18ForbiddenToCreate(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	known, strangers := crowd("k", 5), crowd("s", 5)
	putAll(t, b, known, nil)
	id := b.integrate(nil)
	b.actito.Inject(simulator.Fault{Kind: simulator.KindCreate, Effect: simulator.EffectStatus, Status: http.StatusForbidden})
	now := time.Now()
	b.send(event("e1", strangers[0], now, simulator.Choices{"newsletter": yes()}))
	b.eventually("it was tried", func() bool { return b.person(strangers[0]).status() == "unmatched" })
	b.sendAll(events(strangers[1:], now, simulator.Choices{"newsletter": yes()}))
	b.sendAll(events(known, now, simulator.Choices{"newsletter": yes()}))
	b.eventually("those who are known are served", func() bool {
		return b.allSynced(known) && !slices.ContainsFunc(known, func(email string) bool { return !b.on(email, "Newsletter") })
	})
	b.eventually("the strangers are unmatched", func() bool {
		return !slices.ContainsFunc(strangers, func(email string) bool { return b.person(email).status() != "unmatched" })
	})
	if n := b.actito.CallCount(simulator.KindCreate); n > 1 {
		t.Errorf("the forbidden operation was tried %d times", n)
	}
	if v := b.integration(id); v.Status != "active" || !strings.Contains(v.Reason, "create") {
		t.Errorf("the integration is %s because of %q, want it active and the reason to name the right", v.Status, v.Reason)
	}
}

// An integration whose table is gone, and cannot even be looked at, holds up
// no other integration of the licence.
func TestASuspendedIntegrationHoldsUpNoOther(t *testing.T) {
	parallelUnlessShort(t, timed)
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	table := simulator.SampleTable()
	table.ID, table.Name = "17", "Others"
	b.actito.AddTable(simulator.SampleEntity, table)
	broken := b.integrate(nil)
	b.integrate(func(in object) { in["properties"].(object)["table_name"] = "Others" })
	if _, err := b.actito.PutProfile(simulator.SampleEntity, "17", map[string]any{"emailAddress": anna}, nil); err != nil {
		t.Fatal(err)
	}
	subscribed := func() bool {
		p, _ := b.actito.Profile(simulator.SampleEntity, "17", "emailAddress", anna)
		return p.Subscriptions["Newsletter"]
	}
	b.actito.RemoveTable(simulator.SampleEntity, simulator.SampleTableID)
	b.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": yes()}))
	b.eventually("the first is suspended", func() bool { return subscribed() && b.integration(broken).Status == "suspended" })
	looks := b.actito.CallCount(simulator.KindStructure)
	b.actito.Inject(simulator.Fault{Kind: simulator.KindStructure, Effect: simulator.EffectWithholdBefore})
	b.eventually("the first is being looked at", func() bool { return b.actito.CallCount(simulator.KindStructure) > looks })
	b.send(event("e2", anna, time.Now(), simulator.Choices{"newsletter": no()}))
	start := time.Now()
	b.eventually("the second goes on", func() bool { return !subscribed() })
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the withdrawal took %v", took)
	}
}
