package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"

	"consentsync/internal/bench/lanes"
)

// lanes measures in simulated time how the budget of a licence is spent. That
// takes the bubbles of a test, so a test is run.
func (b *bench) lanes(ctx context.Context, r *report) error {
	progress("spending a licence's budget in simulated time")
	file := filepath.Join(b.dir, "lanes.json")
	// Not `go test` alone, which would keep an interrupt from what it runs.
	binary := filepath.Join(b.dir, "lanes.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-tags", "figures", "-o", binary, "./internal/bench/lanes") //nolint:gosec // a path of our own
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^TestFigures$", "-test.v", "-test.timeout", b.limit.String()) //nolint:gosec // our own binary
	cmd.Env = append(os.Environ(), lanes.File+"="+file)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	r.lanes = new(lanes.Figures)
	return json.Unmarshal(text, r.lanes)
}
