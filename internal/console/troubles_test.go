package console

import (
	"strings"
	"testing"
	"time"

	"consentsync/internal/accounts"
	"consentsync/internal/integration"
	"consentsync/internal/store"
)

// While others are tried again, the page tells how far that is, and nobody else
// can be; a retry that waits for a yes is in nobody's way.
func TestProgressOfRetries(t *testing.T) {
	t.Parallel()
	c, err := New(Options{Now: time.Now, Integrations: &integration.Service{}})
	if err != nil {
		t.Fatal(err)
	}
	groups := []integration.TroubleView{
		{Target: store.TargetActito, Status: store.Failed, Reason: "x", People: 700},
		{Target: store.TargetDidomi, Status: store.Failed, Reason: "x", People: 30},
		{Target: store.TargetDidomi, Status: store.Failed, Reason: "y", People: 5},
	}
	for _, k := range []struct {
		of   *integration.ReprojectionView
		says []string
		rest bool // the buttons
	}{
		{nil, []string{"Try everybody again who failed", "Tell Didomi all again that it refused"}, false},
		{
			&integration.ReprojectionView{State: store.ReprojectionCounting, People: 70, OnlyTarget: store.TargetDidomi, OnlyStatus: store.Failed, OnlyReason: "x"},
			[]string{"towards Didomi (x): 70 people so far, about 30 to go", `max="100" value="70"`},
			true,
		},
		{
			&integration.ReprojectionView{State: store.ReprojectionCounting, People: 300, OnlyStatus: store.Failed},
			[]string{"300 people so far, about 700 to go", `max="1000" value="300"`},
			true,
		},
		{&integration.ReprojectionView{State: store.ReprojectionGranting, Grants: 12, OnlyStatus: store.Failed}, []string{"Grants of 12 go out"}, true},
		{&integration.ReprojectionView{State: store.ReprojectionAsking, Grants: 120, OnlyStatus: store.Failed}, []string{"of 120 people, and asks first"}, false},
		{&integration.ReprojectionView{State: store.ReprojectionCounting}, []string{"Everybody is being compared"}, true},
		{&integration.ReprojectionView{State: store.ReprojectionAsking}, []string{"Everybody was compared, and grants wait for a yes"}, true},
	} {
		data := &troublesData{
			visit: &visit{Actor: &accounts.Actor{}, Organization: "acme", Role: accounts.Operator}, Form: newForm(),
			Integration: &integration.View{ID: "i", Reprojection: k.of}, Groups: groups,
		}
		var b strings.Builder
		if err := c.pages["troubles"].part(&b, "groups", data); err != nil {
			t.Fatal(err)
		}
		for _, part := range k.says {
			if !strings.Contains(b.String(), part) {
				t.Errorf("%+v: it does not say %q: %s", k.of, part, b.String())
			}
		}
		if n := strings.Count(b.String(), "<button"); n < 5 || (strings.Count(b.String(), " disabled>") == n) != k.rest || !k.rest && strings.Contains(b.String(), " disabled>") {
			t.Errorf("%+v: of %d buttons %d rest", k.of, n, strings.Count(b.String(), " disabled>"))
		}
	}
}

// What Didomi refuses counts as failed, and is told apart.
func TestOverviewCountsBothEnds(t *testing.T) {
	t.Parallel()
	c, err := New(Options{Now: time.Now, Integrations: &integration.Service{}})
	if err != nil {
		t.Fatal(err)
	}
	o := overviewIntegration{
		View: &integration.View{ID: "i"}, Plan: &integration.PlanView{}, Chart: &chart{},
		Goes: &integration.OverviewView{Failed: 2, FailedToDidomi: 10_000, MoreFailedToDidomi: true},
	}
	data := &overviewData{visit: &visit{Organization: "acme", Role: accounts.Viewer}, Integrations: []overviewIntegration{o}}
	var b strings.Builder
	if err := c.pages["overview"].part(&b, "live", data); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{">10,002+</a>", ">10,000+ towards Didomi</a>", "troubles?target=didomi&amp;status=failed"} {
		if !strings.Contains(b.String(), part) {
			t.Errorf("it does not say %q: %s", part, b.String())
		}
	}
}
