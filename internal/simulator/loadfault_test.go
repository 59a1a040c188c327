package simulator

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const turnOffFile = "emailAddress,subscriptions#Newsletter\nanna@example.com,FALSE\n"

func TestFaultsOfTriggers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault  Fault
		status int
		loads  int
	}{
		"refused":                  {Fault{Effect: EffectStatus, Status: 503}, 503, 0},
		"begun and refused":        {Fault{Effect: EffectStatusAfter, Status: 500}, 500, 1},
		"broken before":            {Fault{Effect: EffectResetBefore}, 0, 0},
		"broken after":             {Fault{Effect: EffectResetAfter}, 0, 1},
		"begun, the answer a mess": {Fault{Effect: EffectContent}, 200, 1},
		"of another kind":          {Fault{Kind: KindUpdate, Effect: EffectStatus, Status: 503}, 202, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := direct(t, atOnce(ActitoOptions{}))
			if test.fault.Kind == "" {
				test.fault.Kind = KindTrigger
			}
			b.Inject(test.fault)
			status, _ := b.trigger(SampleETL, turnOffFile)
			b.SettleLoads()
			if status != test.status || len(b.Loads()) != test.loads || b.newsletter() != (test.loads == 0) {
				t.Errorf("status %d, loads %+v, newsletter %v", status, b.Loads(), b.newsletter())
			}
			calls := b.Calls()
			last := calls[len(calls)-1]
			if last.Applied != (test.loads == 1) || last.Kind != KindTrigger || last.ETL != SampleETL ||
				last.FileBytes != len(turnOffFile) || (last.Load == "1001") != last.Applied {
				t.Errorf("call: %+v", last)
			}
		})
	}
}

func TestATriggerThatComesLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := direct(t, ActitoOptions{})
		b.Inject(Fault{Kind: KindTrigger, Effect: EffectResetBefore, ApplyLate: time.Minute})
		if status, _ := b.trigger(SampleETL, turnOffFile); status != 0 || len(b.Loads()) != 0 {
			t.Errorf("status %d, loads %v", status, b.Loads())
		}
		b.Settle()
		if len(b.Loads()) != 1 || !b.newsletter() {
			t.Errorf("after Settle: %+v", b.Loads())
		}
		b.SettleLoads()
		if b.newsletter() {
			t.Error("the load changed nothing")
		}
	})
}

func TestFaultsOfExecutionReads(t *testing.T) {
	t.Parallel()
	b := direct(t, atOnce(ActitoOptions{}))
	b.load(SampleETL, turnOffFile)
	b.Inject(Fault{Kind: KindExecution, Effect: EffectStatus, Status: 429, Times: 1})
	b.Inject(Fault{Kind: KindExecution, Effect: EffectTruncate, Times: 1})
	b.want("GET", importsPath+"etl-executions/1001", "", 429)
	if _, raw := b.rawCall(t.Context(), "GET", importsPath+"etl-executions/1001", ""); json.Valid(raw) {
		t.Errorf("not cut: %s", raw)
	}
	b.want("GET", importsPath+"etl-executions/1001", "", 200)
}

func TestFatesOfLoads(t *testing.T) {
	t.Parallel()
	file := turnOffFile + "ben@example.com,TRUE\ncleo@example.com,TRUE\ndan@example.com,TRUE\n"
	for effect, want := range map[Effect]struct {
		status   string
		rows     int
		profiles int
	}{
		EffectLoadStalls:      {LoadRunning, 0, 1},
		EffectLoadFails:       {LoadFailed, 0, 1},
		EffectLoadFailsMidway: {LoadFailed, 2, 2},
		EffectLoadPretends:    {LoadSucceeded, 4, 1},
		EffectNone:            {LoadSucceeded, 4, 4},
	} {
		b := direct(t, atOnce(ActitoOptions{}))
		b.Inject(Fault{Kind: KindTrigger, Effect: effect, Times: 1})
		b.load(SampleETLUpsert, file)
		got := b.Loads()[0]
		if got.Status != want.status || got.Rows != want.rows || len(b.Profiles(SampleEntity, SampleTableID)) != want.profiles ||
			got.Finished.IsZero() != (effect == EffectLoadStalls) || (got.Reason != "") != (want.status == LoadFailed) {
			t.Errorf("%q: %+v", effect, got)
		}
		b.Close()
	}
	for _, bad := range []Fault{{Effect: EffectLoadFails}, {Kind: KindUpdate, Effect: EffectLoadStalls}, {Kind: KindTrigger, Effect: EffectLoadFails, ApplyLate: 1}} {
		if bad.check() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestALoadThatCannotGoOn(t *testing.T) {
	t.Parallel()
	b := direct(t, atOnce(ActitoOptions{}))
	b.load(SampleETL, turnOffFile+"\"open\n")
	b.OnChange(func(Change) { b.RemoveTable(SampleEntity, SampleTableID) })
	b.load(SampleETLUpsert, "emailAddress\nanna@example.com\nben@example.com\n")
	loads := b.Loads()
	if loads[0].Status != LoadFailed || loads[0].Rows != 1 || loads[0].Reason != "row 2 cannot be read" {
		t.Errorf("an open quote: %+v", loads[0])
	}
	if loads[1].Status != LoadFailed || loads[1].Rows != 1 || loads[1].Reason != "the table is gone" {
		t.Errorf("without its table: %+v", loads[1])
	}
}

func TestControlShowsLoads(t *testing.T) {
	t.Parallel()
	b := direct(t, atOnce(ActitoOptions{}))
	b.want("POST", "/_simulator/faults", `{"kind":"trigger","effect":"load-fails","times":1}`, 204)
	b.load(SampleETL, turnOffFile)
	_, raw := b.rawCall(t.Context(), "GET", "/_simulator/loads", "")
	var loads []Load
	if err := json.Unmarshal(raw, &loads); err != nil || len(loads) != 1 || loads[0].ETL != SampleETL || loads[0].Status != LoadFailed ||
		!strings.Contains(loads[0].Reason, "injected") {
		t.Errorf("%s, %v", raw, err)
	}
}
