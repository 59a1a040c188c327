package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alecthomas/kong"

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
	if err := demo.traffic(ctx, didomi, actito); err != nil || events.Load() < 3 {
		t.Errorf("the demo ended after %d events: %v", events.Load(), err)
	}
}
