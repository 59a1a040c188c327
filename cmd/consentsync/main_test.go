package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"consentsync/internal/integration"
	"consentsync/internal/simulator"
)

func TestEveryFlagHasAVariable(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range parser.Model.Children {
		for _, flag := range command.Flags {
			if len(flag.Envs) == 0 {
				t.Errorf("%s --%s has none", command.Name, flag.Name)
			}
		}
	}
}

// Commands write to the streams that main hands them, so that a test, or another
// program, sees what they say.
func TestCommandsWriteToTheirStreams(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancel(t.Context())
	end()
	for command, want := range map[string]string{"version": "consentsync dev\n", "simulator --listen 127.0.0.1:0": simulator.SampleKey} {
		var out, err strings.Builder
		code := run(ended, strings.Fields(command), streams{strings.NewReader(""), &out, &err})
		if code != 0 || !strings.Contains(out.String(), want) || err.Len() > 0 {
			t.Errorf("%s: %d, %q, %q", command, code, out.String(), err.String())
		}
	}
}

// An event that is not accepted does not end the demo.
func TestDemoGoesOnAfterARefusal(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var events atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if events.Add(1) == 3 {
			stop()
		}
		w.WriteHeader(http.StatusBadRequest)
	}))
	defer server.Close()
	actito := simulator.NewActito(simulator.ActitoOptions{})
	defer actito.Close()
	didomi := simulator.NewDidomi(simulator.DidomiOptions{Target: server.URL, Retries: []time.Duration{}})
	demo := demoCommand{People: 4, Pace: time.Millisecond}
	if err := demo.traffic(ctx, streams{out: io.Discard}, didomi, actito, func(context.Context) []string { return nil }); err != nil || events.Load() < 3 {
		t.Errorf("the demo ended after %d events: %v", events.Load(), err)
	}
}

func TestBudgetLinesOfTheDemo(t *testing.T) {
	t.Parallel()
	i := busy()
	want := []string{
		"pace: 72 of 90 calls a minute, 3 of 4 at once: Actito answers slowly; saved: 38,900 of 48,200 calls (81 %)",
		"due: 3 withdrawals, 0 refusals, 20,400 grants; one by one all is done in 4 h 43 min",
	}
	if diff := cmp.Diff(want, budgetLines(&i.plan)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	want = []string{"saved: no calls yet", "due: 0 withdrawals, 0 refusals, 0 grants"}
	if diff := cmp.Diff(want, budgetLines(&integration.PlanView{})); diff != "" {
		t.Errorf("nothing yet: -want +got:\n%s", diff)
	}
}
