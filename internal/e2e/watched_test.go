package e2e_test

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"consentsync/internal/app"
	"consentsync/internal/simulator"
)

// A withdrawal that Actito does not take is told of all the while, also between
// two tries, when it is in no queue; and the log leads from its webhook to the
// call that brought it into effect.
func TestStubbornWithdrawalIsTold(t *testing.T) {
	t.Parallel()
	b := newBundle(t, simulator.ActitoOptions{CallsPerMinute: -1})
	b.cfg.LogLevel = "info"
	log := &keeper{}
	a, err := app.Start(context.Background(), b.cfg, b.cfg.Logger(log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.stop)
	b.app, b.url = a, a.URL()
	b.enrol()
	mustPut(t, b, anna)
	b.integrate(nil)
	b.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": yes()}))
	b.eventually("synced", func() bool { return b.synced(anna) })

	b.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Effect: simulator.EffectStatus, Status: 500})
	b.send(event("e2", anna, time.Now(), simulator.Choices{"newsletter": no()}))
	b.eventually("it waits for its next try", func() bool { return b.person(anna).status() == "waiting" })
	age := regexp.MustCompile(`(?m)^consentsync_oldest_withdrawal_seconds (\S+)$`)
	oldest := func() float64 {
		_, text := b.ask(http.MethodGet, "/metrics", "")
		seconds, err := strconv.ParseFloat(age.FindStringSubmatch(string(text))[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		return seconds
	}
	b.eventually("its age is told", func() bool { return oldest() > 1 })
	b.actito.ClearFaults()
	b.eventually("it is in effect", func() bool { return b.synced(anna) && !b.on(anna, "Newsletter") })
	b.eventually("it is told of no more", func() bool { return oldest() == 0 })
	b.stop()

	text := log.all.String()
	accepted := regexp.MustCompile(`msg=request pattern="POST /webhooks/didomi/\{organization_id\}" status=200 .* outcome=applied event=\S+ person=([0-9a-f]{32}) request=`).FindAllStringSubmatch(text, -1)
	if len(accepted) != 2 || accepted[0][1] != accepted[1][1] {
		t.Fatalf("the lines of the two webhooks are %q in\n%s", accepted, text)
	}
	calls := 0
	for line := range strings.Lines(text) {
		if strings.Contains(line, "msg=call ") && strings.Contains(line, "person="+accepted[0][1]) && strings.Contains(line, "outcome=ok") {
			calls++
		}
	}
	if calls < 2 {
		t.Errorf("%d calls that went well are logged of the person, want the grant's and the withdrawal's:\n%s", calls, text)
	}
}
