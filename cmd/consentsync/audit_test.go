package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"consentsync/internal/app"
)

// The chain of a running server, and an exported one, verify; a file in which a
// word was changed does not, and the command says where.
func TestAuditCommands(t *testing.T) {
	t.Parallel()
	c, data := running(t, func(c *app.Config) { c.SealAfter = 20 * time.Millisecond })
	if _, err := c.ask(t.Context(), http.MethodPut, "/v1/premium-features/acme", map[string]bool{"actito": true}, nil); err != nil {
		t.Fatal(err)
	}
	server := []string{"--url", c.url, "--data", data, "--organization", "acme"}
	var live ran
	for deadline := time.Now().Add(time.Minute); ; {
		if live = command(t, "", append([]string{"audit", "verify"}, server...)...); strings.Contains(live.out, "1 records in 1 links") || time.Now().After(deadline) {
			break
		}
	}
	_, checkpoint, noted := strings.Cut(live.out, "Note this checkpoint down: ")
	if live.code != 0 || !noted {
		t.Fatalf("a live chain: %+v", live)
	}
	checkpoint = strings.TrimSpace(checkpoint)
	export := command(t, "", append([]string{"audit", "export"}, server...)...)
	file := filepath.Join(t.TempDir(), "chain.jsonl")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(export.out)
	if got := command(t, "", "audit", "verify", file, "--checkpoint", checkpoint); got.code != 0 || !strings.Contains(got.out, "All of it is as it was sealed") {
		t.Errorf("an exported chain: %+v", got)
	}
	if got := command(t, "", "audit", "verify", file, "--checkpoint", "9:"+strings.Repeat("0", 64)); got.code != 1 || !strings.Contains(got.out, "link 9: it is not there") {
		t.Errorf("a checkpoint that it does not hold: %+v", got)
	}
	write(strings.Replace(export.out, "organization.", "organisation.", 1))
	if got := command(t, "", "audit", "verify", file); got.code != 1 || !strings.Contains(got.out, "link 1, record 1: the change") || !strings.Contains(got.err, "not as it was sealed") {
		t.Errorf("a chain in which a word was changed: %+v", got)
	}
	command(t, "", "audit", "verify").refuses(t, 2, "--organization")
	command(t, "", "audit", "verify", file, "--checkpoint", "x").refuses(t, 1, "--checkpoint")
}
