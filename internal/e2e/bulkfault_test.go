package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// bulkFault is something that goes wrong with a load.
type bulkFault struct {
	name    string
	etl     string // SampleETL if empty
	faults  []simulator.Fault
	outcome string // of the load
	reason  string // why the lane is closed; empty if it stays open

	b    *bundle
	gate *gate // of Actito's side of the load
	id   string
	w    wants
	late []string // who withdraws after the load was handed over

	began time.Time
}

var bulkFaults = []*bulkFault{
	{name: "no such ETL", etl: "404", outcome: "not_applied", reason: "there is no ETL 404"},
	{name: "the file is refused", outcome: "not_applied", reason: "refused the file", faults: onTrigger(simulator.EffectStatus, http.StatusBadRequest)},
	{name: "no more loads today", outcome: "not_applied", reason: "takes no more loads", faults: onTrigger(simulator.EffectStatus, http.StatusTooManyRequests)},
	{name: "a 500 and begun", outcome: "unclear", reason: "the last load", faults: onTrigger(simulator.EffectStatusAfter, http.StatusInternalServerError)},
	{name: "reset before", outcome: "unclear", reason: "the last load", faults: onTrigger(simulator.EffectResetBefore, 0)},
	{name: "reset after", outcome: "unclear", reason: "the last load", faults: onTrigger(simulator.EffectResetAfter, 0)},
	{name: "no answer, and begun", outcome: "unclear", reason: "the last load", faults: onTrigger(simulator.EffectWithholdAfter, 0)},
	{name: "an answer without an id", outcome: "unclear", reason: "the last load", faults: onTrigger(simulator.EffectContent, 0)},
	{name: "it fails", outcome: "unclear", reason: "gave the load up", faults: onTrigger(simulator.EffectLoadFails, 0)},
	{name: "it fails midway", outcome: "unclear", reason: "gave the load up", faults: onTrigger(simulator.EffectLoadFailsMidway, 0)},
	{name: "it cannot be asked after", outcome: "confirmed", faults: []simulator.Fault{
		{Kind: simulator.KindExecution, Effect: simulator.EffectStatus, Status: http.StatusBadGateway, Times: 1},
		{Kind: simulator.KindExecution, Effect: simulator.EffectTruncate, Times: 1},
	}},
}

func onTrigger(effect simulator.Effect, status int) []simulator.Fault {
	return []simulator.Fault{{Kind: simulator.KindTrigger, Effect: effect, Status: status}}
}

// Whatever goes wrong with a load: it is told why, the lane is closed and the
// single one goes on, nobody is lost, nobody counts as synced whose profile is
// not right, and who withdraws meanwhile stays withdrawn (R22).
//
// The faults are met side by side, for most of the time is spent waiting.
func TestR22FaultsOfLoads(t *testing.T) {
	t.Parallel()
	faults := bulkFaults
	if testing.Short() {
		faults = []*bulkFault{bulkFaults[0], bulkFaults[5], bulkFaults[9]}
	}
	for _, f := range faults {
		f.begin(t)
	}
	for _, f := range faults {
		t.Run(f.name+": met", f.met)
	}
	for _, f := range faults {
		t.Run(f.name+": told", f.told)
	}
	for _, f := range faults {
		t.Run(f.name+": settled", f.settled)
	}
}

func (f *bulkFault) begin(t *testing.T) {
	t.Helper()
	opts, gate := gated(simulator.ActitoOptions{})
	f.b, f.gate = setup(t, opts, impatient), gate
	for _, fault := range f.faults {
		f.b.actito.Inject(fault)
	}
	f.began = time.Now()
	f.id = f.b.integrate(bulky(func(p object) {
		if f.etl != "" {
			p["etl_id"] = f.etl
		}
	}))
	var granting []string
	f.w, granting, _ = f.b.mixed(f.id, 115, 85)
	f.late = granting[:3]
	for _, email := range f.late {
		delete(f.w, email) // a load may overwrite them until they are looked at again
	}
}

// met waits until the load was handed over, and has some people withdraw then.
// Only when that has reached Actito does it apply the load, if it has it.
func (f *bulkFault) met(t *testing.T) {
	f.b.t = t
	f.b.begun(f.id)
	f.b.sees(f.id, "the load was handed over", func(load loadView) bool { return load.running() || load.Outcome != "" })
	if f.b.load(f.id).Outcome != "" {
		f.why() // the lane may be open again when all the others were met
	}
	f.b.sendAll(inOrder(f.late, time.Now(), simulator.Choices{"newsletter": no(), "promotions": no()}, nil))
	f.b.looks("the withdrawals are sent", func() bool { return f.b.allSynced(f.late) })
	f.gate.open()
	f.b.actito.SettleLoads()
}

// told wants it to be seen how the load ended.
func (f *bulkFault) told(t *testing.T) {
	b := f.b
	b.t = t
	b.sees(f.id, "the load has ended", func(load loadView) bool { return load.Outcome == f.outcome })
	f.why()
}

// why wants it to be told, once, why the lane is closed.
func (f *bulkFault) why() {
	if f.reason == "" {
		return
	}
	f.b.looks("it is told why the lane is closed", func() bool {
		bulk := f.b.plan(f.id).Lanes.Bulk
		return !bulk.Open && strings.Contains(bulk.Reason, f.reason)
	})
	f.reason = ""
}

func (f *bulkFault) settled(t *testing.T) {
	b := f.b
	b.t = t
	b.settle("everybody", f.w)
	w := wants{}
	w.set(f.late, map[string]bool{"Newsletter": false, "Promotions": false})
	right := func() bool {
		for _, email := range f.late {
			if p, _ := b.profile(email); !w.right(p, email) || !b.synced(email) {
				return false
			}
		}
		return true
	}
	b.looks("who withdrew meanwhile is right", right)
	took := time.Since(f.began)
	n := b.actito.CallCount(simulator.KindTrigger)
	if n < 1 || n > 1+int(took/time.Minute) {
		t.Errorf("%d loads were started in %s; the lane closes for a minute", n, took)
	}
	if f.outcome == "not_applied" && n == 1 && len(b.actito.Loads()) > 0 {
		t.Errorf("Actito has loads: %+v", b.actito.Loads())
	}
}
