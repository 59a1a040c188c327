package e2e_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// family is a metric as a server tells it, or as a document does.
type family struct {
	kind   string
	labels []string
}

// counted is what one event that is delivered leaves behind.
var counted = []string{
	`consentsync_webhooks_total{outcome="applied"}`, "consentsync_webhook_duration_seconds_count", "consentsync_accept_batch_size_count",
	`consentsync_consent_to_effect_seconds_count{kind="other"}`, `consentsync_deliveries_total{state="synced"}`, `consentsync_calls_total{operation="create",outcome="ok"}`,
	`consentsync_leases_total{change="taken"}`, "consentsync_store_sync_duration_seconds_count", "consentsync_store_sync_batch_size_sum",
	`consentsync_store_operation_duration_seconds_count{operation="accept"}`, `consentsync_store_operation_duration_seconds_count{operation="begin"}`,
	`consentsync_store_operation_duration_seconds_count{operation="due"}`, `consentsync_store_operation_duration_seconds_count{operation="finish"}`,
	`consentsync_store_operation_duration_seconds_count{operation="leases"}`, "consentsync_data_disk_available_bytes", "consentsync_data_disk_size_bytes",
	`consentsync_calls_per_minute{limit="in_force"}`, "consentsync_licences_held",
}

// What stands in docs/metrics.md is what a server tells, neither more nor less;
// and the alerts and the dashboard ask for nothing else.
func TestMetricsAsDocumented(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	b.integrate(nil)
	b.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": yes()}))
	var told map[string]family
	b.eventually("the licence is told of", func() bool {
		_, text := b.ask(http.MethodGet, "/metrics", "")
		told = exposed(string(text))
		_, there := told["consentsync_licence_held_since_timestamp_seconds"]
		return there && strings.Contains(string(text), `consentsync_integrations{status="active"} 1`)
	})
	b.eventually("what was done is counted", func() bool {
		_, text := b.ask(http.MethodGet, "/metrics", "")
		return !slices.ContainsFunc(counted, func(series string) bool {
			return !strings.Contains(string(text), "\n"+series+" ") || strings.Contains(string(text), "\n"+series+" 0\n")
		})
	})
	documented := map[string]family{}
	row := regexp.MustCompile("(?m)^\\| `(consentsync_[a-z_]+)` \\| ([a-z]+) \\|([^|]*)\\|")
	for _, m := range row.FindAllStringSubmatch(read(t, "docs/metrics.md"), -1) {
		labels := strings.FieldsFunc(m[3], func(r rune) bool { return strings.ContainsRune("`, ", r) })
		slices.Sort(labels)
		documented[m[1]] = family{m[2], labels}
	}
	for name, f := range told {
		d, there := documented[name]
		switch {
		case !there:
			t.Errorf("docs/metrics.md lacks %s", name)
		case d.kind != f.kind || !slices.Equal(d.labels, f.labels):
			t.Errorf("docs/metrics.md says of %s: %s by %v; it is a %s by %v", name, d.kind, d.labels, f.kind, f.labels)
		}
	}
	for name := range documented {
		if _, there := told[name]; !there {
			t.Errorf("docs/metrics.md has %s, and a server does not tell it", name)
		}
	}
	for _, file := range []string{"deploy/prometheus/consentsync.rules.yml", "deploy/prometheus/consentsync.rules.test.yml", "deploy/grafana/consentsync.json", "docs/operations.md", "docs/runbooks.md", "docs/two-way.md"} {
		names := asked(told, read(t, file))
		if strings.HasPrefix(file, "deploy/") && len(names) == 0 {
			t.Errorf("%s asks for no metric at all", file)
		}
		for name, there := range names {
			if !there {
				t.Errorf("%s asks for %s, which no server tells", file, name)
			}
		}
	}
}

// The rules are good, their unit tests pass, and each alert has its section of
// the runbooks.
func TestAlerts(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is missing: install Debian's package prometheus, or see https://prometheus.io/download/")
	}
	for _, args := range [][]string{{"check", "rules", "consentsync.rules.yml"}, {"test", "rules", "consentsync.rules.test.yml"}} {
		c := exec.CommandContext(t.Context(), promtool, args...)
		c.Dir = filepath.Join(root, "deploy/prometheus")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
	sections := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(read(t, "docs/runbooks.md"), -1) {
		sections[m[1]] = true
	}
	rules, tests := read(t, "deploy/prometheus/consentsync.rules.yml"), read(t, "deploy/prometheus/consentsync.rules.test.yml")
	alerts := strings.Split(rules, "- alert: ")[1:]
	for _, text := range alerts {
		name, _, _ := strings.Cut(text, "\n")
		if !sections[name] {
			t.Errorf("docs/runbooks.md has no section %s", name)
		}
		delete(sections, name)
		if want := "runbook: docs/runbooks.md#" + strings.ToLower(name); !strings.Contains(text, want) {
			t.Errorf("the alert %s lacks %q", name, want)
		}
		if !strings.Contains(tests, `alertname="`+name+`"`) {
			t.Errorf("no test lets %s fire", name)
		}
	}
	for name := range sections {
		t.Errorf("docs/runbooks.md has a section for %s, which is no alert", name)
	}
}

// The dashboard is one that Grafana can import, without a panel that asks
// nothing.
func TestDashboard(t *testing.T) {
	t.Parallel()
	var d struct {
		Title  string
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/consentsync.json")), &d); err != nil {
		t.Fatal(err)
	}
	titles := map[string]bool{}
	for _, p := range d.Panels {
		if p.Title == "" || titles[p.Title] || len(p.Targets) == 0 || slices.ContainsFunc(p.Targets, func(x struct{ Expr string }) bool { return x.Expr == "" }) {
			t.Errorf("the panel %q has no title of its own, or asks nothing", p.Title)
		}
		titles[p.Title] = true
	}
	if len(titles) < 10 {
		t.Errorf("there are %d panels", len(titles))
	}
}

// root is where the project stands, seen from a test of this package.
const root = "../.."

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	typeLine   = regexp.MustCompile(`^# TYPE (consentsync_\w+) (\w+)$`)
	sampleLine = regexp.MustCompile(`^(consentsync_\w+?)(?:\{(.*)\})? [^ ]+$`)
	labelName  = regexp.MustCompile(`(\w+)="`)
	metricName = regexp.MustCompile(`consentsync_[a-z_]+`)
)

// exposed reads the text format.
func exposed(text string) map[string]family {
	found := map[string]family{}
	labels := map[string]map[string]bool{}
	current := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if m := typeLine.FindStringSubmatch(line); m != nil {
			current = m[1]
			found[current], labels[current] = family{kind: m[2]}, map[string]bool{}
		} else if m := sampleLine.FindStringSubmatch(line); m != nil && strings.HasPrefix(m[1], current) {
			for _, l := range labelName.FindAllStringSubmatch(m[2], -1) {
				if l[1] != "le" {
					labels[current][l[1]] = true
				}
			}
		}
	}
	for name, f := range found {
		f.labels = slices.Sorted(maps.Keys(labels[name]))
		found[name] = f
	}
	return found
}

// asked gives the metrics that a text names, and whether each is told. Names of
// files and of databases that begin alike have no such suffix and are left out.
func asked(told map[string]family, text string) map[string]bool {
	names := map[string]bool{}
	for _, name := range metricName.FindAllString(text, -1) {
		if name == "consentsync_new" { // a database in an example
			continue
		}
		_, there := told[name]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			base, cut := strings.CutSuffix(name, suffix)
			there = there || cut && told[base].kind == "histogram"
		}
		names[name] = there
	}
	return names
}
