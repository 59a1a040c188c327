package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"consentsync/internal/consent"
	"consentsync/internal/integration"
	"consentsync/internal/store"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) consent.Time { return consent.TimeOf(noon.Add(-d)) }

func agoAt(d time.Duration) *consent.Time {
	t := ago(d)
	return &t
}

// busy is an integration that has a backlog, a load under way and a slow pace.
func busy() listed {
	i := listed{ID: "0199c7a0-1b2c-7d3e-8f40-123456789abc", Status: "active"}
	i.Properties.EntityID, i.Properties.TableName = "acme", "Customers"
	i.plan = integration.PlanView{
		Licence: &integration.LicenceView{
			ReportedAt: ago(time.Second), CallsPerMinute: 72, MostCallsPerMinute: 90, Concurrency: 3, MostConcurrency: 4,
			PaceReason: "Actito answers slowly",
		},
		Due: map[string]integration.QueueView{
			"withdrawals": {People: 3, OldestWaitSeconds: 0.8},
			"refusals":    {},
			"grants":      {People: 20400, OldestWaitSeconds: 1260},
		},
		Loads: []integration.LoadView{
			{State: store.LoadRunning, People: 20000, Withdrawals: 35, CreatedAt: ago(50 * time.Second), StartedAt: agoAt(40 * time.Second)},
			{State: store.LoadDone, Outcome: store.LoadConfirmed, People: 7, CreatedAt: ago(time.Hour)},
		},
		Spent: integration.CountsView{
			Events: 48200, Calls: 9300, Loaded: 20000, Saved: integration.SavedCalls{Coalesced: 12100, Unchanged: 6800, Bulk: 20000},
		},
	}
	i.plan.Lanes.Single.DrainSeconds = 17002.5
	i.plan.Lanes.Bulk = store.BulkPlan{
		Open: true, Reason: "one by one the backlog would take 4h43m, but a load is under way", LoadsToday: 1, LoadsLeft: 21, DrainSeconds: 120,
	}
	return i
}

func TestStatusText(t *testing.T) {
	t.Parallel()
	s := &sight{server: "http://127.0.0.1:8080", at: noon, integrations: []listed{busy()}}
	want := `as of 2026-11-24 12:00:00 UTC at http://127.0.0.1:8080

0199c7a0-1b2c-7d3e-8f40-123456789abc acme / Customers
  status      active
  pace        72 of 90 calls a minute, 3 of 4 at once: Actito answers slowly
  due                      people  oldest wait
              withdrawals       3        0.8 s
              refusals          0            -
              grants       20,400       21 min
  one by one  done in 4 h 43 min
  by bulk     done in 2 min, 21 loads left today, 1 made: one by one the backlog
              would take 4h43m, but a load is under way
  load        Actito works on it since 11:59:20 UTC (40 s), 20,000 people, 35
              withdrawals
  spent       9,300 calls for 48,200 events
  saved       shared the call of another event  12,100  25 %
              Actito held it already             6,800  14 %
              went by bulk                      20,000  41 %
              in all                            38,900  81 %
`
	if diff := cmp.Diff(want, s.text(80)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What is shown under each circumstance, in words that stand in the text.
func TestStatusTells(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*listed)
		want   []string
		not    string
	}{
		{"nothing due", func(i *listed) { i.plan.Due = nil }, []string{"one by one  nothing to send", "grants            0            -"}, "done in"},
		{"why it is suspended", func(i *listed) { i.Status, i.StatusReason = "suspended", "Actito refuses the API key" }, []string{"status      suspended: Actito refuses the API key"}, ""},
		{"nobody delivers", func(i *listed) { i.plan.Licence = nil }, []string{"pace        not known yet", "due         not known yet"}, "one by one"},
		{"not looked at", func(i *listed) { i.plan.Due, i.plan.Lanes = nil, integration.LanesView{} }, []string{"due         not known yet"}, "withdrawals 0"},
		{"full pace", func(i *listed) { i.plan.Licence.CallsPerMinute, i.plan.Licence.PaceReason = 90, "" }, []string{"90 of 90 calls a minute, 3 of 4 at once due"}, ""},
		{"an outage", func(i *listed) { i.plan.Licence.Outage = true }, []string{"Actito      is out of reach"}, ""},
		{"blocked", func(i *listed) { i.plan.Licence.BlockedUntil = agoAt(-90 * time.Second) }, []string{"until 12:01:30 UTC, for 90 s more"}, ""},
		{"a block that is over", func(i *listed) { i.plan.Licence.BlockedUntil = agoAt(time.Second) }, nil, "not to be called"},
		{"old figures", func(i *listed) { i.plan.Licence.ReportedAt = ago(5 * time.Minute) }, []string{"old         the figures of this licence are 5 min old"}, ""},
		{"figures of a quiet licence", func(i *listed) { i.plan.Licence.ReportedAt = ago(time.Minute) }, nil, "are 60 s old"},
		{"more than are counted", func(i *listed) { i.plan.Due["grants"] = integration.QueueView{People: store.MostCounted} }, []string{"1,000,000 or more"}, ""},
		{
			"the bulk lane is closed", func(i *listed) { i.plan.Lanes.Bulk = store.BulkPlan{Reason: "properties.etl_id is not set"} },
			[]string{"by bulk     closed: properties.etl_id is not set"},
			"left today",
		},
		{"a load that is not over is no last load", func(*listed) {}, []string{"  load        Actito works on it"}, "last load"},
		{
			"the last load", func(i *listed) {
				i.plan.Loads = i.plan.Loads[1:]
				i.plan.Loads[0].Refused, i.plan.Loads[0].EndedAt = 1, agoAt(30*time.Minute)
			},
			[]string{"last load   ended at 11:30:00 UTC (30 min ago), 7 people, 0 withdrawals, 1 row refused: applied"},
			"works on it",
		},
		{
			"a load that went wrong", func(i *listed) {
				l := &i.plan.Loads[0]
				l.State, l.Outcome, l.Reason, l.EndedAt = store.LoadEnding, store.LoadUnclear, "Actito did not end the load", agoAt(time.Minute)
			},
			[]string{"load        ended at 11:59:00 UTC", "not known whether it was applied: Actito did not end the load; not all of its people are settled yet"},
			"works on it",
		},
		{"no load ever", func(i *listed) { i.plan.Loads = nil }, nil, "people, 35"},
		{"nothing saved", func(i *listed) { i.plan.Spent.Saved = integration.SavedCalls{} }, []string{"saved       no calls yet"}, "in all"},
		{
			"a change that asks", func(i *listed) {
				i.Reprojection = &integration.ReprojectionView{State: store.ReprojectionAsking, Grants: 1200}
			},
			[]string{"asks        a change of this integration", "1,200 people"},
			"",
		},
		{
			"a change under way", func(i *listed) {
				i.Reprojection = &integration.ReprojectionView{State: store.ReprojectionCounting, People: 1}
			},
			[]string{"compares    everybody again after a change, 1 person so far"},
			"asks",
		},
		{
			"a load that is being made", func(i *listed) { i.plan.Loads[0].State, i.plan.Loads[0].StartedAt = store.LoadBuilding, nil },
			[]string{"load        people are put into a file since 11:59:10 UTC (50 s)"},
			"",
		},
		{"what would steer the terminal", func(i *listed) { i.StatusReason = "a\x1b[2Jb" }, []string{"active: a [2Jb"}, "\x1b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i := busy()
			tt.change(&i)
			got := (&sight{server: "http://127.0.0.1:8080", at: noon, integrations: []listed{i}}).text(80)
			words := strings.Join(strings.Fields(got), " ") // wherever the lines end
			for _, want := range tt.want {
				if !strings.Contains(words, strings.Join(strings.Fields(want), " ")) {
					t.Errorf("no %q in\n%s", want, got)
				}
			}
			if tt.not != "" && strings.Contains(words, tt.not) {
				t.Errorf("%q in\n%s", tt.not, got)
			}
			for line := range strings.Lines(got) {
				if utf8.RuneCountInString(strings.TrimRight(line, "\n")) > 80 {
					t.Errorf("longer than the terminal is wide: %q", line)
				}
			}
		})
	}
}

func TestDrawFitsTheScreen(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		text    string
		trouble error
		rows    int
		want    string
	}{
		{"it fits", "as of now\nb\nc\n", nil, 5, "as of now\nb\nc\n"},
		{"it does not", "as of now\nb\nc\nd\ne\n", nil, 5, "as of now\nb\nc\n... and 2 lines more than this terminal is high\n"},
		{"a height that is not known", "as of now\nb\nc\nd\n", nil, 0, "as of now\nb\nc\nd\n"},
		{"trouble", "as of now\nb\n", &refused{503, "not \x07now"}, 9, "What follows is old: not now\n\nas of now\nb\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			if err := draw(&b, tt.text, tt.trouble, 80, tt.rows); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff("\x1b[H\x1b[2J"+tt.want, b.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ got, want string }{
		{spell(0), "0 s"},
		{spell(-time.Second), "0 s"},
		{spell(830 * time.Millisecond), "0.8 s"},
		{spell(42 * time.Second), "42 s"},
		{spell(21 * time.Minute), "21 min"},
		{spell(2 * time.Hour), "2 h"},
		{spell(17002 * time.Second), "4 h 43 min"},
		{spell(76 * time.Hour), "3 days 4 h"},
		{count(0), "0"},
		{count(999), "999"},
		{count(1000), "1,000"},
		{count(-1234567), "-1,234,567"},
		{count(-100), "-100"},
		{of(1, "call", "calls"), "1 call"},
		{of(2000, "call", "calls"), "2,000 calls"},
		{percent(1, 3), "33 %"},
		{percent(0, 0), "0 %"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}

func TestTheTableOfTheStatusView(t *testing.T) {
	t.Parallel()
	i := busy()
	i.Snapshot.Differs = &consent.SchemaDifference{
		SubscriptionsAdded: []string{"a", "b", "c", "d", "e", "f"}, AttributesChanged: []consent.AttributeChange{{Is: consent.Attribute{Name: "age"}}},
	}
	text := strings.Join(strings.Fields((&sight{integrations: []listed{i}}).text(100)), " ")
	want := "the snapshot is no longer as the table: it has new subscriptions a, b, c, d, e and 1 more; it takes something else for the attributes age: POST .../refresh"
	if !strings.Contains(text, want) {
		t.Errorf("no %q in %s", want, text)
	}
}
