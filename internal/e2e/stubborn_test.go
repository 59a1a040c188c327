package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// Profiles that always fail hold up nobody else, new withdrawals least of all.
func TestStubbornProfilesHoldUpNobody(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	b.integrate(nil)
	for i := range 12 {
		sick := fmt.Sprintf("sick%d@example.com", i)
		mustPut(t, b, sick)
		b.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Key: "emailAddress=" + sick, Effect: simulator.EffectStatus, Status: 500})
		b.send(event("", sick, time.Now(), simulator.Choices{"newsletter": no()}))
	}
	b.eventually("all of them have failed", func() bool {
		for i := range 12 {
			if b.person(fmt.Sprintf("sick%d@example.com", i)).Integrations[0].LastError == "" {
				return false
			}
		}
		return true
	})
	mustPut(t, b, "well@example.com")
	mustPut(t, b, "glad@example.com")
	b.send(event("", "well@example.com", time.Now(), simulator.Choices{"newsletter": no()}))
	b.send(event("", "glad@example.com", time.Now(), simulator.Choices{"newsletter": yes()}))
	for _, email := range []string{"well@example.com", "glad@example.com"} {
		b.eventually(email+" is synced", func() bool { return b.person(email).status() == "synced" })
	}
}

// An answer that is about the whole, not about one profile's data, sets nobody
// aside: what was due is delivered when it has passed.
func TestFaultsOfTheWholeSetNobodyAside(t *testing.T) {
	t.Parallel()
	for status, rests := range map[int]bool{302: true, 405: true, 409: false, 423: false} { // for a minute
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
			const anna = "anna@example.com"
			putAll(t, b, []string{anna}, map[string]bool{"Newsletter": true})
			b.integrate(nil)
			b.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Effect: simulator.EffectStatus, Status: status, Times: 1})
			b.send(event("", anna, time.Now(), simulator.Choices{"newsletter": no()}))
			b.eventually("it was tried", func() bool {
				return b.actito.CallCount(simulator.KindUpdate) > 0 && b.person(anna).status() != "in_flight"
			})
			if s := b.person(anna).status(); s == "failed" || s == "unmatched" || s == "synced" && b.on(anna, "Newsletter") {
				t.Errorf("after a %d the person is %s", status, s)
			}
			if !rests {
				b.eventually("it is delivered", func() bool { return b.synced(anna) && !b.on(anna, "Newsletter") })
			}
		})
	}
}

// A value refused for one person costs the others nothing.
func TestOnesBadValueCostsOthersNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	b.integrate(nil)
	person := func(email, sex string) {
		mustPut(t, b, email)
		b.send(simulator.EventCreated(organization, simulator.Event{
			OrganizationUserID: email, CreatedAt: time.Now(), Purposes: simulator.Choices{"newsletter": yes()},
			Metadata: map[string]any{"sex": sex, "firstName": "Kim"},
		}))
		b.eventually(email+" is synced", func() bool { return b.person(email).status() == "synced" })
	}
	person("bad@example.com", "unsaid")
	calls := b.actito.CallCount(simulator.KindUpdate)
	for i := range 5 {
		person(fmt.Sprintf("good%d@example.com", i), "F")
	}
	if n := b.actito.CallCount(simulator.KindUpdate) - calls; n != 5 {
		t.Errorf("five people with good values cost %d calls", n)
	}
}

// A replay looks at what the profile holds, and repairs what somebody else
// changed.
func TestReplayRepairs(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	path := "/v1/marketplace/integrations/" + b.integrate(nil)
	const anna = "anna@example.com"
	mustPut(t, b, anna)
	b.send(event("", anna, time.Now(), simulator.Choices{"newsletter": no()}))
	b.eventually("synced", func() bool { return b.person(anna).status() == "synced" })
	if _, err := b.actito.PutProfile(simulator.SampleEntity, simulator.SampleTableID, map[string]any{"emailAddress": anna}, map[string]bool{"Newsletter": true}); err != nil {
		t.Fatal(err)
	}
	b.must(http.MethodPost, path+"/replay", `{"organization_user_id":"`+anna+`"}`, http.StatusAccepted, nil)
	b.eventually("the withdrawal is in effect again", func() bool {
		p, _ := b.profile(anna)
		return !p.Subscriptions["Newsletter"] && b.person(anna).status() == "synced"
	})
}

// Live consent that waits while everybody is compared again is neither held
// nor counted (R23).
func TestR23LiveConsentIsNotHeld(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	path := "/v1/marketplace/integrations/" + b.integrate(nil)
	b.must(http.MethodPost, path+"/pause", "", http.StatusOK, nil)
	const people = 130
	for i := range people {
		b.send(event("", fmt.Sprintf("p%d@example.com", i), time.Now(), simulator.Choices{"newsletter": yes()}))
	}
	b.must(http.MethodPost, path+"/refresh", "", http.StatusOK, nil)
	var view struct{ Reprojection *struct{ State string } }
	b.eventually("everybody is compared", func() bool {
		view.Reprojection = nil
		b.must(http.MethodGet, path, "", http.StatusOK, &view)
		return view.Reprojection == nil || view.Reprojection.State == "asking"
	})
	if view.Reprojection != nil {
		t.Fatal("live consents are held until somebody says yes")
	}
	b.must(http.MethodPost, path+"/resume", "", http.StatusOK, nil)
	b.eventually("all are delivered", func() bool {
		n := 0
		for _, p := range b.actito.Profiles(simulator.SampleEntity, simulator.SampleTableID) {
			if p.Subscriptions["Newsletter"] {
				n++
			}
		}
		return n == people
	})
}
