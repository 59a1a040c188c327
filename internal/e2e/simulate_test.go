package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"consentsync/internal/backfill"
	"consentsync/internal/simulator"
)

func (b *bundle) simulate(path, body string) (s backfill.Simulation) {
	b.t.Helper()
	b.must(http.MethodPost, path, body, http.StatusOK, &s)
	return s
}

// written is what the simulated Actito was given, over all profiles.
type written struct {
	on, off, attributes map[string]int64
	calls, created      int64
}

// since sums up the calls about profiles after the first so many.
func (b *bundle) since(first int) written {
	w := written{map[string]int64{}, map[string]int64{}, map[string]int64{}, 0, 0}
	for _, c := range b.actito.Calls()[first:] {
		if c.Kind != simulator.KindUpdate && c.Kind != simulator.KindCreate {
			continue
		}
		w.calls++
		if c.Status >= http.StatusMultipleChoices {
			continue
		}
		if c.Kind == simulator.KindCreate {
			w.created++
		}
		for name, on := range c.Subscriptions {
			if on == true {
				w.on[name]++
			} else {
				w.off[name]++
			}
		}
		for name := range c.Attributes {
			if name != "emailAddress" {
				w.attributes[name]++
			}
		}
	}
	return w
}

// choosers sends events of people who choose at random, and gives them; the
// purpose named by always is chosen by everybody.
func (b *bundle) choosers(r *rand.Rand, n int, always string) []string {
	b.t.Helper()
	people := crowd("s", n)
	var list []object
	for i, email := range people {
		purposes, channels := simulator.Choices{}, simulator.Choices{}
		for _, choices := range []struct {
			of simulator.Choices
			id string
		}{{purposes, "newsletter"}, {purposes, "promotions"}, {purposes, "partners"}, {channels, "sms"}} {
			if v := r.IntN(5); v > 0 || choices.id == always {
				on := v > 1
				choices.of[choices.id] = &on
			}
		}
		e := simulator.Event{ID: "e" + email, OrganizationUserID: email, CreatedAt: time.Now(), Purposes: purposes, Channels: channels}
		if i%3 == 0 {
			e.Metadata = map[string]any{"age": []any{41, "old"}[i%2], "shop": "Ghent"}
		}
		list = append(list, simulator.EventCreated(organization, e))
	}
	b.sendAll(list)
	return people
}

// What a simulation says of a change is what Actito receives once the change is
// made: of how many people which subscription is turned on and off, what is
// written and made, within the calls that it names, and whether it asks first.
func TestSimulationIsWhatActitoReceives(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		people int
		upsert bool
		asks   bool
	}{
		"profiles are made":         {90, true, false},
		"people stay unmatched":     {90, false, false},
		"a yes is needed for these": {180, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1, KeepCalls: 5000})
			r := rand.New(rand.NewPCG(7, uint64(c.people)))
			id := b.integrate(func(in object) {
				in["upsert_mode"] = false
				in["properties"].(object)["attributes"] = []string{}
				in["mappings"] = []object{{"id": "Newsletter", "value": "consents_purposes_newsletter_enabled"}}
			})
			var there []string
			for i, email := range crowd("s", c.people) {
				if i%4 != 0 {
					there = append(there, email)
				}
			}
			putAll(t, b, there, map[string]bool{"Promotions": true})
			always := ""
			if !c.upsert {
				always = "newsletter" // so that it shows of everybody whether there is a profile
			}
			people := b.choosers(r, c.people, always)
			settled := func() bool {
				for _, email := range people {
					if s := b.person(email).status(); s != "synced" && s != "unmatched" {
						return false
					}
				}
				return true
			}
			b.within(2*time.Minute, "everybody is settled", settled)

			patch := fmt.Sprintf(`{"upsert_mode":%t,"properties":{"attributes":["age","shop"]},"mappings":[
				{"id":"Newsletter","value":"consents_purposes_partners_enabled"},
				{"id":"Promotions","value":"consents_purposes_promotions_enabled"},
				{"id":"SmsAlerts","value":"consents_channels_sms_enabled"}]}`, c.upsert)
			before := len(b.actito.Calls())
			path := "/v1/marketplace/integrations/" + id
			s := b.simulate(path+"/simulate", patch)
			if w := b.since(before); w.calls != 0 {
				t.Fatalf("the simulation wrote %+v", w)
			}
			if live := len(b.actito.Calls()) - before; live > 2 || !s.Complete || s.Structure.Source != backfill.FromLive {
				t.Fatalf("the simulation made %d calls: %+v", live, s.Structure)
			}
			quiet := b.simulate(path+"/simulate?live=false", patch)
			if len(b.actito.Calls()) > before+2 || quiet.Total != s.Total || quiet.People != s.People || quiet.Structure.Source != backfill.FromSnapshot {
				t.Errorf("without a look at Actito: %+v, %+v", quiet.Total, quiet.Structure)
			}

			before = len(b.actito.Calls())
			b.change(id, patch)
			if c.asks {
				b.within(time.Minute, "a yes is asked for", func() bool { return b.asking(id) })
				p := b.integration(id).Reprojection
				if int64(p.Grants) != s.Approval.Grants || int64(p.Withdrawals) != s.Approval.Withdrawals {
					t.Errorf("it asks with %+v, simulated %+v", p, s.Approval)
				}
				b.must(http.MethodPost, path+"/resume", `{"approve_grants":true}`, http.StatusOK, nil)
			}
			if s.Approval.Asks != c.asks {
				t.Errorf("approval %+v", s.Approval)
			}
			b.within(2*time.Minute, "the change is through", func() bool { return b.integration(id).Reprojection == nil && settled() })
			b.quiet(time.Second)
			b.holds(s, b.since(before))
			after := b.simulate(path+"/simulate", "")
			if after.People.Changed != 0 || after.Total.On+after.Total.Off != 0 {
				t.Errorf("afterwards it still gives %+v %+v", after.People, after.Total)
			}
		})
	}
}

// holds compares a simulation with what was written.
func (b *bundle) holds(s backfill.Simulation, w written) {
	b.t.Helper()
	for _, f := range s.Subscriptions {
		if w.on[f.Name] != f.On || w.off[f.Name] != f.Off || f.On+f.Off == 0 {
			b.t.Errorf("%s was turned on %d times and off %d, simulated %+v", f.Name, w.on[f.Name], w.off[f.Name], f)
		}
	}
	unfit := int64(0)
	for _, a := range s.Attributes {
		unfit += a.Unfit
		if w.attributes[a.Name] != a.Written {
			b.t.Errorf("%s was written %d times, simulated %+v", a.Name, w.attributes[a.Name], a)
		}
	}
	if unfit == 0 {
		b.t.Error("no value fails its type check")
	}
	if w.created < s.People.Created || w.created > s.People.Created+s.People.ProfileUnknown || w.calls < s.Cost.Single.LeastCalls || w.calls > s.Cost.Single.MostCalls {
		b.t.Errorf("%d calls, %d of them to make a profile; simulated %+v %+v", w.calls, w.created, s.People, s.Cost.Single)
	}
	if len(s.Examples) == 0 || !strings.HasSuffix(s.Examples[0].OrganizationUserID, "@example.com") {
		b.t.Errorf("examples %+v", s.Examples)
	}
}

// A new integration is simulated over everybody who is there, with the same
// checks as a creation, and none is made.
func TestSimulationOfANewIntegration(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	b.sendAll(events(crowd("n", 5), time.Now(), simulator.Choices{"newsletter": yes()}))
	b.send(event("w", "w@example.com", time.Now(), simulator.Choices{"newsletter": no()}))
	path := "/v1/marketplace/integrations/simulate?organization_id=" + organization
	s := b.simulate(path, b.settings(nil))
	if s.People.Changed != 6 || s.People.ProfileUnknown != 6 || s.Total.On != 5 || s.Total.Off != 1 || s.Total.Unknown != 6 || s.Cost.Single.MostCalls != 12 {
		t.Errorf("%+v %+v %+v", s.People, s.Total, s.Cost.Single)
	}
	// Without a look at the account, a table that is not there is assumed.
	unknown := b.settings(func(in object) {
		in["mappings"] = []object{{"id": "Gazette", "value": "consents_purposes_newsletter_enabled"}}
	})
	calls := b.actito.CallCount()
	s = b.simulate(path+"&live=false&seconds=5", unknown)
	if s.Structure.Source != backfill.FromMapping || s.Structure.TakenAt != nil || s.Total.On != 5 || len(s.Assumptions) == 0 || b.actito.CallCount() != calls {
		t.Errorf("%+v %+v %v", s.Structure, s.Total, s.Assumptions)
	}
	if r := b.refused(http.MethodPost, path, unknown, http.StatusBadRequest); r.Errors["mappings[0].id"] == "" {
		t.Errorf("errors are %v", r.Errors)
	}
	for query, field := range map[string]string{"&live=maybe": "live", "&seconds=0": "seconds", "&seconds=x": "seconds"} {
		if r := b.refused(http.MethodPost, path+query, b.settings(nil), http.StatusBadRequest); r.Errors[field] == "" {
			t.Errorf("%s: errors are %v", query, r.Errors)
		}
	}
	b.refused(http.MethodPost, "/v1/marketplace/integrations/simulate?organization_id=nobody", b.settings(nil), http.StatusForbidden)
	b.refused(http.MethodPost, "/v1/marketplace/integrations/nothing/simulate", `{}`, http.StatusNotFound)
	var list struct{ Data []any }
	b.must(http.MethodGet, integrations, "", http.StatusOK, &list)
	if len(list.Data) != 0 {
		t.Error("an integration was made")
	}
	id := b.integrate(nil)
	if r := b.refused(http.MethodPost, "/v1/marketplace/integrations/"+id+"/simulate", `{"mapping":[]}`, http.StatusBadRequest); r.Errors["mapping"] == "" {
		t.Errorf("errors are %v", r.Errors)
	}
}
