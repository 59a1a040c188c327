package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"consentsync/internal/backfill"
	"consentsync/internal/simulator"
)

// R5: what was never told by a webhook is fetched from Didomi: at first for
// everybody, and when somebody asks since the last time. A record turns no
// withdrawal into a grant, the event behind it does.
func TestCatchUpFromDidomi(t *testing.T) {
	t.Parallel()
	w := newTwoWay(t, simulator.ActitoOptions{})
	w.cfg.CatchUpEvery = 24 * time.Hour
	t.Cleanup(w.stop)
	w.start()
	w.leads.Store(w.url)
	w.enrol()
	now := time.Now()
	choose := func(id, email string, ago time.Duration, on bool) {
		t.Helper()
		e := simulator.Event{ID: id, OrganizationUserID: email, CreatedAt: time.Now().Add(-ago), Purposes: simulator.Choices{"newsletter": &on}}
		if err := w.didomi.Choose(e); err != nil {
			t.Fatal(err)
		}
	}
	choose("e1", "ana@example.com", 3*time.Hour, true)
	choose("e2", "bob@example.com", 3*time.Hour, false)
	no := false
	// Of a withdrawal that Didomi has forgotten there is a record that shows a grant.
	w.send(simulator.EventCreated(organization, simulator.Event{ID: "gone", OrganizationUserID: "eve@example.com", CreatedAt: now.Add(-time.Hour), Purposes: simulator.Choices{"newsletter": &no}}))
	choose("e3", "eve@example.com", 2*time.Hour, true)
	w.integrateBothWays(nil)

	path := "/v1/organizations/" + organization + "/catch-up"
	stands := func() (v backfill.CatchUpView) {
		t.Helper()
		w.must(http.MethodGet, path, "", http.StatusOK, &v)
		return v
	}
	w.eventually("the first catch-up", func() bool { v := stands(); return v.GoodAt != nil && !v.Running })
	w.eventually("delivered", func() bool {
		return w.on("ana@example.com", "Newsletter") && w.synced("bob@example.com") && w.synced("eve@example.com")
	})
	if v := stands(); v.Reason != "first" || v.Users != 3 || v.Changed != 3 || v.Events != 1 || !v.Possible {
		t.Errorf("the first catch-up came to %+v", v)
	}
	if w.on("eve@example.com", "Newsletter") || w.on("bob@example.com", "Newsletter") {
		t.Error("a withdrawal was undone")
	}

	// Webhooks are missed: a withdrawal, and a grant after a withdrawal.
	choose("e4", "ana@example.com", 0, false)
	choose("e5", "bob@example.com", 0, true)
	w.must(http.MethodPost, path, "", http.StatusAccepted, nil)
	w.eventually("what was missed takes effect", func() bool { return !w.on("ana@example.com", "Newsletter") && w.on("bob@example.com", "Newsletter") })
	w.eventually("the end", func() bool { return !stands().Running })
	if v := stands(); v.Reason != "asked" || v.Changed != 3 || v.LastError != "" {
		t.Errorf("it came to %+v", v)
	}
	if w.on("eve@example.com", "Newsletter") {
		t.Error("a record undid a withdrawal")
	}
	w.must(http.MethodPost, path, `{"since":"yesterday"}`, http.StatusBadRequest, nil)
	w.must(http.MethodPost, "/v1/organizations/another/catch-up", "", http.StatusConflict, nil)
}
