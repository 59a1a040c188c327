package integration

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

func TestIntervals(t *testing.T) {
	t.Parallel()
	noon := consent.TimeOf(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))
	got := intervals([]store.Effect{
		{At: noon, Withdrawal: true, Step: 3, People: 90},
		{At: noon, Step: 0, People: 1},
		{At: noon.Add(5 * time.Minute), Withdrawal: true, Step: 8, People: 10},
		{At: noon.Add(time.Hour), Step: 14, People: 2},
	})
	want := []IntervalView{
		{At: noon, Withdrawals: SpeedView{100, 1, 60}, Others: SpeedView{1, .1, .1}},
		{At: noon.Add(time.Hour), Others: SpeedView{2, 604800, 604800}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEffectSteps(t *testing.T) {
	t.Parallel()
	for took, want := range map[time.Duration]int{-1: 0, 0: 0, 100 * time.Millisecond: 0, 101 * time.Millisecond: 1, time.Second: 3, 10000 * time.Hour: 14} {
		if got := store.EffectStep(took); got != want {
			t.Errorf("%v is step %d, want %d", took, got, want)
		}
	}
}
