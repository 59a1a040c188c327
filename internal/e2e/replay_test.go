package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// A replay of those whom Actito refused, or of whom there was no profile, sends
// the difference of these alone.
func TestReplayOfFilters(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	id := b.integrate(func(in object) { in["upsert_mode"] = false })
	path := "/v1/marketplace/integrations/" + id
	putAll(t, b, []string{"good@example.com", "bad@example.com"}, nil)
	remove := b.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Key: "emailAddress=bad@example.com", Effect: simulator.EffectStatus, Status: http.StatusBadRequest})
	people := []string{"good@example.com", "bad@example.com", "none@example.com"}
	b.sendAll(events(people, time.Now(), simulator.Choices{"newsletter": yes()}))
	b.eventually("they are synced, failed and unmatched", func() bool {
		return b.synced(people[0]) && b.person(people[1]).status() == "failed" && b.person(people[2]).status() == "unmatched"
	})
	remove()
	putAll(t, b, []string{"none@example.com"}, nil)
	replay := func(body string) {
		b.t.Helper()
		var v struct {
			People       int
			Reprojection struct {
				State  string
				Status string `json:"only_status"`
			}
		}
		b.must(http.MethodPost, path+"/replay", body, http.StatusAccepted, &v)
		if v.People != 0 || v.Reprojection.State == "" || v.Reprojection.Status == "" {
			t.Errorf("answered %+v", v)
		}
		b.eventually("the replay is through", func() bool { return b.integration(id).Reprojection == nil })
		b.quiet(300 * time.Millisecond)
	}
	calls := b.actito.CallCount(simulator.KindUpdate)
	replay(`{"from":"2020-01-01T00:00:00Z","to":"2020-01-02T00:00:00Z"}`)
	if n := b.actito.CallCount(simulator.KindUpdate); n != calls {
		t.Errorf("a replay of a time in which nothing was done made %d calls", n-calls)
	}
	replay(`{"status":"unmatched"}`)
	b.eventually("the unmatched is synced", func() bool { return b.synced(people[2]) })
	if b.synced(people[1]) || b.actito.CallCount(simulator.KindUpdate) != calls+1 {
		t.Errorf("a replay of the unmatched made %d calls, and the failed is %s", b.actito.CallCount(simulator.KindUpdate)-calls, b.person(people[1]).status())
	}
	replay(`{"status":"failed","from":"2020-01-01T00:00:00Z"}`)
	b.eventually("the failed is synced", func() bool { return b.synced(people[1]) })
	if !b.on(people[1], "Newsletter") || b.actito.CallCount(simulator.KindUpdate) != calls+2 {
		t.Errorf("a replay of the failed made %d calls in all", b.actito.CallCount(simulator.KindUpdate)-calls)
	}
	replay(`{"status":"all"}`)
	if n := b.actito.CallCount(simulator.KindUpdate); n != calls+2 {
		t.Errorf("a replay of all, who are synced, made %d calls", n-calls-2)
	}
	for body, field := range map[string]string{
		`{"status":"some"}`: "status", `{"from":"yesterday"}`: "from", `{"to":"2020"}`: "to", `{"from":"2026-01-02T00:00:00Z","to":"2026-01-01T00:00:00Z"}`: "to",
		`{"organization_user_id":"good@example.com","status":"all"}`: "organization_user_id", `{}`: "organization_user_id", `{"all":true}`: "all",
	} {
		if r := b.refused(http.MethodPost, path+"/replay", body, http.StatusBadRequest); r.Errors[field] == "" {
			t.Errorf("%s: errors are %v", body, r.Errors)
		}
	}
	b.refused(http.MethodPost, "/v1/marketplace/integrations/nobody/replay", `{"status":"all"}`, http.StatusNotFound)
}

// A replay that would turn on subscriptions of many asks first, and withdrawals
// do not wait for the answer (R23).
func TestR23AReplayAsks(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	id := b.integrate(func(in object) { in["upsert_mode"] = false })
	path := "/v1/marketplace/integrations/" + id
	people := crowd("r", 130)
	b.sendAll(events(people, time.Now(), simulator.Choices{"newsletter": yes()}))
	const leaver = "leaver@example.com"
	b.send(event("off", leaver, time.Now(), simulator.Choices{"newsletter": no()}))
	unmatched := func() bool {
		for _, email := range append([]string{leaver}, people...) {
			if b.person(email).status() != "unmatched" {
				return false
			}
		}
		return true
	}
	b.within(time.Minute, "nobody has a profile", unmatched)
	putAll(t, b, append([]string{leaver}, people...), map[string]bool{"Promotions": true})
	b.must(http.MethodPost, path+"/replay", `{"status":"unmatched"}`, http.StatusAccepted, nil)
	b.eventually("a yes is asked for", func() bool { return b.asking(id) })
	if r := b.integration(id).Reprojection; r.Grants != 130 || r.Withdrawals != 1 {
		t.Errorf("it asks with %+v", r)
	}
	b.eventually("the withdrawal does not wait", func() bool { return b.synced(leaver) })
	b.stays("nothing is granted", 300*time.Millisecond, func() bool { return !b.on(people[0], "Newsletter") && !b.on(people[129], "Newsletter") })
	b.must(http.MethodPost, path+"/resume", `{"approve_grants":true}`, http.StatusOK, nil)
	b.within(time.Minute, "all of them are granted", func() bool { return b.allSynced(people) && b.on(people[0], "Newsletter") })
}
