package main

import (
	"fmt"
	"strings"
	"time"

	"consentsync/internal/bench/lanes"
)

// laneLines are those of the part lanes, all in simulated time.
func (r *report) laneLines(line func(...any)) {
	if r.lanes == nil {
		return
	}
	backlogLines(r.lanes.Backlog, line)
	for _, f := range r.lanes.Floods {
		floodLines(f, line)
	}
	b := r.lanes.Burst
	most := int(float64(b.People) * mostBurstCalls)
	line(fmt.Sprintf("calls for %s events of %s people at once", grouped(b.Events), grouped(b.People)), b.Calls, b.Events,
		fmt.Sprintf("%.2f", float64(b.Calls)/float64(b.Events)), fmt.Sprintf("at most %d", most), yes(b.Calls <= most))
	ratio := b.Took.Seconds() / b.AtPace().Seconds()
	line(fmt.Sprintf("time that takes; baseline: one call for each person at %d a minute", b.PerMinute), long(b.Took), long(b.AtPace()),
		fmt.Sprintf("%.2f", ratio), fmt.Sprintf("at most %.2f", mostBurstTime), yes(ratio <= mostBurstTime))
}

func backlogLines(b lanes.Backlog, line func(...any)) {
	what := fmt.Sprintf("withdrawal to effect, %s grants waiting", grouped(b.Grants))
	for _, x := range []struct {
		name          string
		ours, inOrder time.Duration
		most          time.Duration
	}{
		{"p50", b.Ours.P50, b.InOrder.P50, 0},
		{"p99", b.Ours.P99, b.InOrder.P99, mostDelay},
		{"slowest of " + grouped(b.Withdrawals), b.Ours.Max, b.InOrder.Max, 0},
	} {
		asked, met := "", ""
		if x.most > 0 {
			asked, met = "at most "+long(x.most), yes(x.ours <= x.most)
		}
		line(what+", "+x.name, long(x.ours), long(x.inOrder), fmt.Sprintf("%.4f", x.ours.Seconds()/x.inOrder.Seconds()), asked, met)
	}
}

func floodLines(f lanes.Flood, line func(...any)) {
	what := fmt.Sprintf("%s withdrawals at once, a load takes %s", grouped(f.Withdrawals), long(f.LoadTime))
	line(fmt.Sprintf("%s: slowest; %s", what, count(f.Loads, "load")), long(f.Slowest), long(f.OneByOne),
		fmt.Sprintf("%.2f", f.Slowest.Seconds()/f.OneByOne.Seconds()), "at most "+long(f.Limit), yes(f.Slowest <= f.Limit))
	line(what+": calls for grants ahead of one that had waited 2 s", f.Behind, "", "", "at most 0", yes(f.Behind == 0))
}

// bulkLines are those of the part bulk.
func (r *report) bulkLines(line func(...any)) {
	for n, b := range r.bulk {
		what := grouped(b.people) + " changed profiles by bulk"
		if n == len(r.bulk)-1 {
			for _, speed := range []int{middleSpeed / 5, middleSpeed, middleSpeed * 5} {
				ratio := b.oneByOne().Seconds() / b.took(speed).Seconds()
				asked, met := "", ""
				if speed == middleSpeed {
					asked, met = fmt.Sprintf("at least %d times", leastBulk), yes(ratio >= leastBulk)
				}
				line(fmt.Sprintf("%s, Actito taking %s rows a second; baseline: %d calls a minute", what, grouped(speed), oneByOne),
					long(b.took(speed)), long(b.oneByOne()), fmt.Sprintf("**%.0f times**", ratio), asked, met)
			}
		}
		var ours time.Duration
		for _, l := range b.loads {
			ours += l.ours()
		}
		line(what+", our own part", long(ours), "", fmt.Sprintf("%.0f a second", float64(b.people)/ours.Seconds()), "", "")
		smaller := ""
		if n > 0 {
			smaller = fmt.Sprintf("%.2f", float64(b.peak)/float64(r.bulk[0].peak))
		}
		line(what+", most resident memory", fmt.Sprintf("%d MB", b.peak/1e6), "", smaller, fmt.Sprintf("under %d MB", int(mostMemory/1e6)), yes(b.peak < mostMemory))
	}
}

// bulkNotes tell how the time of the loads was spent.
func (r *report) bulkNotes() string {
	var text strings.Builder
	for _, b := range r.bulk {
		text.WriteString("\n" + b.note() + "\n")
	}
	return text.String()
}

func (b *bulked) note() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s changed profiles: %s and %d calls meanwhile, %s of processor time.", grouped(b.people), count(len(b.loads), "load"), b.single, long(b.cpu))
	for _, l := range b.loads {
		fmt.Fprintf(&text, " %s rows in a file of %.1f MB zipped (%.1f bytes a row): %s until it was begun, %s to build, %s to hand over, %s of the simulated Actito's own, %s until we asked, %s to record.",
			grouped(l.rows), float64(l.fileBytes)/1e6, float64(l.fileBytes)/float64(max(1, l.rows)), long(l.choosing), long(l.building), long(l.handing), long(l.actito), long(l.noticing), long(l.ending))
	}
	return text.String()
}

// grouped writes a number with its thousands apart.
func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// long writes a duration as people say it: to the tenth of a second below a
// minute, to the second below an hour, in days from two of them on.
func long(d time.Duration) string {
	switch {
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return trimmed(d.Round(time.Second))
	case d < 48*time.Hour:
		return trimmed(d.Round(time.Minute))
	}
	return fmt.Sprintf("%.1f days", d.Hours()/24)
}

// trimmed leaves out the seconds and minutes that are none.
func trimmed(d time.Duration) string {
	s := d.String()
	for _, none := range []string{"0s", "0m"} {
		if rest := strings.TrimSuffix(s, none); strings.HasSuffix(rest, "m") || strings.HasSuffix(rest, "h") {
			s = rest
		}
	}
	return s
}
