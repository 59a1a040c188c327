package console

import (
	"fmt"
	"math"
	"strings"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/integration"
)

// chart is a drawing of how long choices took to come into effect. All of it is
// numbers and words of ours, laid out for a screen of 760 by 210.
type chart struct {
	Lines  []line
	Dots   []dot
	Across []tick // times of day
	Up     []tick // durations
	Rows   []chartRow
}

type line struct{ Class, Points string }

type dot struct {
	Class string
	X, Y  string
}

type tick struct{ At, Text string }

// chartRow is an interval, for who reads the chart as a table.
type chartRow struct {
	At                  consent.Time
	Withdrawals, Others integration.SpeedView
}

const (
	chartLeft, chartRight = 56.0, 752.0
	chartTop, chartBottom = 12.0, 176.0
)

// durations are the marks up the side.
var durations = []struct {
	seconds float64
	text    string
}{
	{.1, "0.1 s"}, {1, "1 s"}, {10, "10 s"}, {60, "1 min"}, {600, "10 min"}, {3600, "1 h"}, {6 * 3600, "6 h"}, {86400, "1 day"}, {604800, "1 week"},
}

// drawEffects draws the last day up to now.
func drawEffects(o *integration.OverviewView, now time.Time) *chart {
	c := &chart{}
	if len(o.Effects) == 0 {
		return c
	}
	every := time.Duration(o.IntervalSeconds) * time.Second
	begin := now.Add(-24 * time.Hour).Truncate(every)
	x := func(t time.Time) float64 {
		return chartLeft + (chartRight-chartLeft)*min(1, max(0, t.Sub(begin).Hours()/now.Sub(begin).Hours()))
	}
	most := 10.0
	for _, e := range o.Effects {
		most = max(most, e.Withdrawals.Most, e.Others.Most)
	}
	y := func(seconds float64) float64 {
		part := math.Log(max(.1, seconds)/.1) / math.Log(most/.1)
		return chartBottom - (chartBottom-chartTop)*part
	}
	for _, d := range durations {
		if d.seconds <= most {
			c.Up = append(c.Up, tick{number1(y(d.seconds)), d.text})
		}
	}
	for t := begin.Truncate(6 * time.Hour).Add(6 * time.Hour); t.Before(now); t = t.Add(6 * time.Hour) {
		c.Across = append(c.Across, tick{number1(x(t)), t.Format("15:04")})
	}
	for _, kind := range []struct {
		class string
		of    func(integration.IntervalView) integration.SpeedView
	}{
		{"others", func(i integration.IntervalView) integration.SpeedView { return i.Others }},
		{"withdrawals", func(i integration.IntervalView) integration.SpeedView { return i.Withdrawals }},
	} {
		var points []string
		var last consent.Time
		flush := func() {
			if len(points) > 1 {
				c.Lines = append(c.Lines, line{kind.class, strings.Join(points, " ")})
			}
			points = nil
		}
		for _, e := range o.Effects {
			s := kind.of(e)
			if s.People == 0 {
				continue
			}
			if last > 0 && e.At.Sub(last) > every {
				flush() // nothing came into effect between
			}
			last = e.At
			px, py := number1(x(e.At.Std().Add(every/2))), number1(y(s.Most))
			points = append(points, px+","+py)
			c.Dots = append(c.Dots, dot{kind.class, px, py})
		}
		flush()
	}
	for _, e := range o.Effects {
		c.Rows = append(c.Rows, chartRow{e.At, e.Withdrawals, e.Others})
	}
	return c
}

func number1(v float64) string { return fmt.Sprintf("%.1f", v) }
