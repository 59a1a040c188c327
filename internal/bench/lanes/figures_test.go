//go:build figures

package lanes

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

// TestFigures measures the scenarios at full size and writes what they came to.
// It judges nothing: that is for whoever reports the figures.
func TestFigures(t *testing.T) {
	file := os.Getenv(File)
	if file == "" {
		t.Fatalf("$%s has to name the file to be written", File)
	}
	f := Figures{Backlog: Backlog{Grants: 20_000, Withdrawals: 500, Over: 10 * time.Minute, PerMinute: perMinute}}
	b := &f.Backlog
	b.Ours = summed(backlog(t, b.Grants, b.Withdrawals, b.Over))
	t.Logf("backlog: %+v", b.Ours)
	b.InOrder = summed(inOrder(t, b.Grants, b.Withdrawals, b.Over))
	t.Logf("in order: %+v", b.InOrder)
	for _, loadTime := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
		f.Floods = append(f.Floods, flood(t, 2000, 2000, 10*time.Minute, loadTime))
		t.Logf("flood: %+v", f.Floods[len(f.Floods)-1])
	}
	f.Burst = burst(t, 20_000, 2000, 3000)
	t.Logf("burst: %+v", f.Burst)
	text, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func summed(delays []time.Duration) Delays {
	return Delays{P50: Percentile(delays, .5), P99: Percentile(delays, .99), Max: Percentile(delays, 1)}
}
