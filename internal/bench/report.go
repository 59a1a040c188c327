package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"consentsync/internal/bench/lanes"
)

// What is asked of the program.
const (
	leastRatio = 0.5
	mostMemory = 150e6 // bytes
	mostStart  = 500 * time.Millisecond
	mostSlower = 3.0 // times the bare server's, the p99 of an answer at half of our maximum
	mostCalls  = 150 // for 1,000 events of 100 people

	leastOfBoth    = 0.95 // times as many webhooks of Actito's a second as of Didomi's: as many, within what rounds of one differ
	mostEchoCalls  = 0.05 // for an echo of our own write
	mostChangeCall = 1.0  // for a change made in Actito

	mostDelay      = 5 * time.Second // of 99 % of the withdrawals behind a backlog
	mostBurstCalls = 1.1             // calls for each person of a burst
	mostBurstTime  = 1.15            // of what so many calls take at the pace allowed
	leastBulk      = 100             // times as fast as one by one, at middleSpeed
	middleSpeed    = 1000            // rows a second that Actito may take in

	leastPostgres = 0.5 // of the accepts on SQLite
	mostOfThree   = 1.2 // of one node's processor time for an event
	mostGrowth    = 3.0 // of the pages of a statement, when people are a hundred times as many
)

// report is what was measured; what was not is zero.
type report struct {
	ours, bare           figures
	steady               steady
	peak                 int64
	starts               []time.Duration // sorted
	first, second, again counted
	actitos, didomis     figures // webhooks of either end, in one program
	echoes               counted // beyond the writes that came back
	withdrawals, grants  counted // made in Actito
	lanes                *lanes.Figures
	bulk                 []bulked // a tenth of the profiles, then all
	postgres             onPostgres
	simulated            simulated
	pages                []paged // of the console, a bare one first
	imported             taken
	learnt, reconciled   taken // the first reconciliation, and the next
}

// ratios gives what each round came to.
func ratios(ours, baseline figures) []float64 {
	var list []float64
	for i := range ours.perSecond {
		list = append(list, ours.perSecond[i]/baseline.perSecond[i])
	}
	return list
}

// text is the table, as Markdown and readable as it is.
func (r *report) text(ctx context.Context, o options) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d processors, %s, %s/%s, commit %s, %s.\n\n", processor(), runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH,
		commit(ctx), time.Now().UTC().Format("2006-01-02 15:04 UTC"))
	t := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	line := func(cells ...any) {
		for _, c := range cells {
			_, _ = fmt.Fprintf(t, "| %v\t", c) // into a builder
		}
		_, _ = fmt.Fprintln(t, "|")
	}
	line("figure", "consentsync", "baseline", "ratio", "required", "met")
	line("---", "---", "---", "---", "---", "---")
	if len(r.ours.perSecond) > 0 {
		rateLine("durable accepts a second, median", r.ours, r.bare, leastRatio, line)
		line("webhooks a second until all are merged, median", fmt.Sprintf("%.0f", median(r.ours.sustained)), fmt.Sprintf("%.0f", median(r.bare.perSecond)),
			fmt.Sprintf("%.2f", median(r.ours.sustained)/median(r.bare.perSecond)), "", "")
		for _, x := range []struct {
			name       string
			ours, bare time.Duration
		}{
			{"answer, p50", r.ours.p50, r.bare.p50},
			{"answer, p99", r.ours.p99, r.bare.p99},
			{"processor time of the server for one", r.ours.cpu, r.bare.cpu},
		} {
			line(x.name, short(x.ours), short(x.bare), fmt.Sprintf("%.2f", float64(x.ours)/float64(x.bare)), "", "")
		}
		r.steadyLine(line)
		line("most resident memory under this load", fmt.Sprintf("%d MB", r.peak/1e6), "", "", fmt.Sprintf("under %d MB", int(mostMemory/1e6)), yes(r.peak < mostMemory))
		start := r.starts[len(r.starts)/2]
		line("start to ready, median of 3", short(start), "", "", "under "+short(mostStart), yes(start < mostStart))
	}
	r.callLines(line)
	r.twoWayLines(line)
	r.laneLines(line)
	r.bulkLines(line)
	r.postgresLines(line)
	r.simulationLines(line)
	r.backfillLines(line)
	r.pageLines(line)
	_ = t.Flush()
	if len(r.ours.perSecond) > 0 {
		fmt.Fprintf(&b, "\n%d clients, %d people in the store, %d rounds of %s of each server, in turn.", o.clients, o.people, o.rounds, o.round)
		fmt.Fprintf(&b, " Rounds: %.0f; bare %.0f.\n", r.ours.perSecond, r.bare.perSecond)
	}
	if len(r.actitos.perSecond) > 0 {
		fmt.Fprintf(&b, "\nWebhooks of both ends: %d clients, %d people in the store, %d rounds of %s of each end, in turn.", o.clients, o.people, o.rounds, o.round)
		fmt.Fprintf(&b, " Rounds: Actito's %.0f; Didomi's %.0f.\n", r.actitos.perSecond, r.didomis.perSecond)
	}
	b.WriteString(r.bulkNotes())
	b.WriteString(r.postgresNotes())
	return b.String()
}

// rateLine compares how many webhooks a second were accepted.
func rateLine(name string, ours, baseline figures, least float64, line func(...any)) {
	each := ratios(ours, baseline)
	line(name, fmt.Sprintf("%.0f", median(ours.perSecond)), fmt.Sprintf("%.0f", median(baseline.perSecond)),
		fmt.Sprintf("**%.2f** (%.2f to %.2f)", median(each), slices.Min(each), slices.Max(each)),
		fmt.Sprintf("at least %.1f", least), yes(median(each) >= least))
}

// twoWayLines are those of the part twoway.
func (r *report) twoWayLines(line func(...any)) {
	if len(r.actitos.perSecond) > 0 {
		rateLine("accepts of Actito's webhooks a second, median; baseline: Didomi's", r.actitos, r.didomis, leastOfBoth, line)
		line("processor time of the server for one; baseline: Didomi's", short(r.actitos.cpu), short(r.didomis.cpu),
			fmt.Sprintf("%.2f", float64(r.actitos.cpu)/float64(r.didomis.cpu)), "", "")
	}
	for _, x := range []struct {
		name string
		counted
		most float64
	}{
		{"calls to Actito for %d echoes of our own writes", r.echoes, mostEchoCalls},
		{"calls to Actito for %d withdrawals made there", r.withdrawals, mostChangeCall},
		{"calls to Actito for %d grants made there", r.grants, mostChangeCall},
	} {
		if x.events > 0 {
			ratio := float64(x.calls) / float64(x.events)
			line(fmt.Sprintf(x.name, x.events), x.calls, x.events, fmt.Sprintf("%.2f", ratio), fmt.Sprintf("at most %v", x.most), yes(ratio <= x.most))
		}
	}
}

// callLines are those of the part calls.
func (r *report) callLines(line func(...any)) {
	for _, x := range []struct {
		name string
		counted
		most int
	}{
		{"calls to Actito for %d events, people never delivered before", r.first, -1},
		{"calls to Actito for %d events, people delivered before", r.second, mostCalls},
		{"calls to Actito for %d events that change nothing", r.again, 0},
	} {
		if x.events == 0 {
			continue
		}
		asked, met := "", ""
		if x.most >= 0 {
			asked, met = fmt.Sprintf("at most %d", x.most), yes(x.calls <= x.most)
		}
		line(fmt.Sprintf(x.name, x.events), x.calls, x.events, fmt.Sprintf("%.2f", float64(x.calls)/float64(x.events)), asked, met)
	}
}

func yes(met bool) string {
	if met {
		return "yes"
	}
	return "**no**"
}

func short(d time.Duration) string {
	switch {
	case d < 100*time.Microsecond:
		return d.Round(time.Microsecond / 10).String()
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// The figures stand between these lines of the document.
const (
	figuresBegin = "<!-- figures: written by make bench -->"
	figuresEnd   = "<!-- end of figures -->"
)

func replaceFigures(file, text string) error {
	document, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(document), figuresBegin)
	_, after, ended := strings.Cut(rest, figuresEnd)
	if !found || !ended {
		return fmt.Errorf("%s has no place for figures: it needs the lines %q and %q", file, figuresBegin, figuresEnd)
	}
	return os.WriteFile(file, []byte(before+figuresBegin+"\n\n"+text+"\n"+figuresEnd+after), 0o644) //nolint:gosec // a document
}
