package main

import (
	"testing"
	"time"
)

func TestDurationsArePutShortly(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		1234 * time.Millisecond:        "1.2s",
		2 * time.Minute:                "2m",
		10*time.Minute + 7*time.Second: "10m7s",
		20*time.Minute + 1:             "20m",
		2 * time.Hour:                  "2h",
		3*time.Hour + 42*time.Minute:   "3h42m",
		666_667 * time.Second:          "7.7 days",
	} {
		if got := long(d); got != want {
			t.Errorf("%v is put %q, want %q", d, got, want)
		}
	}
}

func TestLoadsAreTimedWithActitosSpeedAssumed(t *testing.T) {
	t.Parallel()
	b := bulked{people: 10_000, loads: []bulkLoad{
		{rows: 8000, choosing: time.Second, building: 2 * time.Second, handing: time.Second, actito: time.Hour, noticing: time.Hour, ending: time.Second},
		{rows: 2000},
	}}
	// 5 s of our own, 10 s for the rows, 2 s for each load until we ask.
	if got := b.took(1000); got != 19*time.Second {
		t.Errorf("took %v, want 19 s", got)
	}
	if got := b.took(1); got != 5*time.Second+10_000*time.Second+2*time.Minute {
		t.Errorf("took %v", got)
	}
}
