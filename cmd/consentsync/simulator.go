package main

import (
	"context"
	"fmt"

	"consentsync/internal/simulator"
)

type simulatorCommand struct {
	Listen string `help:"Address to listen on." default:"127.0.0.1:8090" placeholder:"HOST:PORT" env:"CONSENTSYNC_SIMULATOR_LISTEN"`
}

// Run serves a simulated Actito with a sample table, to try a configuration.
func (s *simulatorCommand) Run(ctx context.Context, std streams) error {
	actito := simulator.NewActito(simulator.ActitoOptions{})
	defer actito.Close()
	url, stop, err := serveOn(ctx, s.Listen, actito)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	defer stop()
	table := simulator.SampleTable()
	std.sayf("A simulated Actito listens on %s\n", url)
	std.sayf("  private_api_key %s   entity_id %s   table_name %s\n", simulator.SampleKey, simulator.SampleEntity, table.Name)
	std.sayf("  subscriptions   %v\n", table.Subscriptions)
	std.sayf("  its profiles    curl %s/_simulator/profiles\n", url)
	<-ctx.Done()
	return nil
}
