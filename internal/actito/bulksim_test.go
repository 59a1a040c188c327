package actito

import (
	"fmt"
	"iter"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"consentsync/internal/consent"
	"consentsync/internal/outbound/outboundtest"
	"consentsync/internal/simulator"
)

// simulated is a client of a simulated Actito that takes no time for loads.
func simulated(t *testing.T, opts simulator.ActitoOptions) (*simulator.Actito, *Client) {
	t.Helper()
	opts.LoadDelay, opts.LoadRowsPerSecond, opts.CallsPerMinute = -1, -1, -1
	sim := simulator.NewActito(opts)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	t.Cleanup(sim.Close)
	return sim, NewClient(outboundtest.Client(t), server.URL, simulator.SampleKey)
}

func numbered(n int) iter.Seq2[LoadRow, error] {
	return func(yield func(LoadRow, error) bool) {
		for i := range n {
			if !yield(LoadRow{fmt.Sprintf("p%d@example.com", i), []bool{i%2 == 0, i%2 == 1}}, nil) {
				return
			}
		}
	}
}

func loadOf(etl string, rows iter.Seq2[LoadRow, error]) Load {
	return Load{
		Entity: simulator.SampleEntity, ETLID: etl, KeyAttribute: "emailAddress",
		Subscriptions: []string{"Newsletter", "SmsAlerts"}, Rows: rows,
	}
}

func TestLoadAgainstTheSimulator(t *testing.T) {
	t.Parallel()
	for form, want := range map[simulator.LoadResults]struct {
		toldClean, toldRefused bool
	}{
		simulator.LoadResultsRows:   {true, true},
		simulator.LoadResultsFile:   {true, true},
		simulator.LoadResultsCounts: {true, false},
		simulator.LoadResultsNone:   {false, false},
	} {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			sim, c := simulated(t, simulator.ActitoOptions{LoadResults: form})
			run := func(l Load) LoadResult {
				t.Helper()
				id, err := c.TriggerLoad(t.Context(), l)
				if err != nil {
					t.Fatal(err)
				}
				sim.SettleLoads()
				result, err := c.LoadResult(t.Context(), l.Entity, id, l.KeyAttribute)
				if err != nil || result.State != LoadSucceeded {
					t.Fatalf("%+v, %v", result, err)
				}
				return result
			}
			clean := run(loadOf(simulator.SampleETLUpsert, numbered(3000)))
			if clean.Told != want.toldClean || clean.Refused != nil {
				t.Errorf("without refused rows: %+v", clean)
			}
			p, _ := sim.Profile(simulator.SampleEntity, simulator.SampleTableID, "emailAddress", "p7@example.com")
			if n := len(sim.Profiles(simulator.SampleEntity, simulator.SampleTableID)); n != 3000 || p.Subscriptions["Newsletter"] || !p.Subscriptions["SmsAlerts"] {
				t.Errorf("%d profiles, %+v", n, p)
			}
			sim.RefuseInLoads(func(key string) string {
				if strings.HasPrefix(key, "p77") {
					return key + " is locked"
				}
				return ""
			})
			mixed := run(loadOf(simulator.SampleETL, numbered(3001)))
			if mixed.Told != want.toldRefused {
				t.Errorf("with refused rows: %+v", mixed)
			}
			if !want.toldRefused {
				return
			}
			refused := readRefused(t, mixed)
			if len(refused) != 12 || !slices.Contains(refused, RefusedRow{78, "p77@example.com", "… is locked"}) ||
				!slices.Contains(refused, RefusedRow{3001, "p3000@example.com", "there is no such profile"}) {
				t.Errorf("refused: %v", refused)
			}
		})
	}
}

func TestLoadFailuresAgainstTheSimulator(t *testing.T) {
	t.Parallel()
	sim, c := simulated(t, simulator.ActitoOptions{LoadsPerDay: 5})
	trigger := func(etl string) (string, error) { return c.TriggerLoad(t.Context(), loadOf(etl, numbered(2))) }
	sim.Inject(simulator.Fault{Kind: simulator.KindTrigger, Effect: simulator.EffectResetAfter, Times: 1})
	_, err := trigger(simulator.SampleETL)
	wantKind(t, err, consent.Unclear)
	sim.Inject(simulator.Fault{Kind: simulator.KindTrigger, Effect: simulator.EffectLoadFailsMidway, Times: 1})
	id, err := trigger(simulator.SampleETL)
	if err != nil {
		t.Fatal(err)
	}
	sim.SettleLoads()
	if got, err := c.LoadResult(t.Context(), "acme", id, "emailAddress"); err != nil || got.State != LoadFailed || got.Reason != "an injected fault" || got.Told {
		t.Errorf("failed: %+v, %v", got, err)
	}
	sim.Inject(simulator.Fault{Kind: simulator.KindTrigger, Effect: simulator.EffectLoadStalls, Times: 1})
	id, err = trigger(simulator.SampleETL)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.LoadResult(t.Context(), "acme", id, "emailAddress"); err != nil || got.State != LoadRunning || got.Status != "RUNNING" {
		t.Errorf("stalled: %+v, %v", got, err)
	}
	sim.ExpireTokens()
	if _, err = trigger(simulator.SampleETL); err != nil {
		t.Errorf("after the end of the token: %v", err)
	}
	_, err = trigger("79")
	wantKind(t, err, consent.NotFound)
	l := loadOf(simulator.SampleETL, numbered(2))
	l.Subscriptions = []string{"Newsletter", "Nothing"}
	_, err = c.TriggerLoad(t.Context(), l)
	wantKind(t, err, consent.Invalid)
	if !strings.Contains(consent.MessageOf(err), "subscriptions#Nothing") {
		t.Errorf("the message does not help: %v", err)
	}
	if _, err = trigger(simulator.SampleETL); err != nil {
		t.Error(err)
	}
	_, err = trigger(simulator.SampleETL)
	wantKind(t, err, consent.RateLimited)
	_, err = c.LoadResult(t.Context(), "acme", "1", "emailAddress")
	wantKind(t, err, consent.NotFound)
}
