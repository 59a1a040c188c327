package consent

import (
	"encoding/json"
	"testing"
	"time"
)

func TestR2ConsentTime(t *testing.T) {
	t.Parallel()
	arrived := at(60)
	tests := map[string]struct {
		kind             MessageType
		created, updated Time
		want             Time
		undated          bool
	}{
		"an event, by its creation":                {EventCreated, at(1), at(2), at(1), false},
		"an updated event, by its update":          {EventUpdated, at(1), at(2), at(2), false},
		"an updated event without that":            {EventUpdated, at(1), 0, arrived, true},
		"a new user, by the record's last update":  {UserCreated, at(1), at(2), at(2), false},
		"a new user never updated":                 {UserCreated, at(1), 0, at(1), false},
		"a user record, by its last update":        {UserUpdated, at(1), at(2), at(2), false},
		"without a time, by arrival":               {EventCreated, 0, 0, arrived, true},
		"five minutes ahead is kept":               {EventCreated, at(65), 0, at(65), false},
		"further ahead is as good as no time":      {EventCreated, at(65) + 1, 0, arrived, true},
		"an update further ahead is clamped, too":  {EventUpdated, at(1), at(90), arrived, true},
		"a record from before 1970 keeps its time": {UserUpdated, 0, -1, -1, false},
	}
	for name, tt := range tests {
		m := &Message{Type: tt.kind, CreatedAt: tt.created, UpdatedAt: tt.updated}
		if got, undated := consentTime(m, arrived); got != tt.want || undated != tt.undated {
			t.Errorf("%s: got %v undated %v, want %v undated %v", name, got.Std(), undated, tt.want.Std(), tt.undated)
		}
	}
}

func TestR2UndatedWithdrawal(t *testing.T) {
	t.Parallel()
	undated := event("w", 0, no("p"))
	tests := map[string]struct {
		came   []arrival
		answer string
		since  Time
	}{
		"is dated by its arrival":                         {[]arrival{{undated, at(60)}}, "off", at(60)},
		"beats a grant from before":                       {[]arrival{{event("g", at(1), yes("p")), at(1)}, {undated, at(60)}}, "off", at(60)},
		"beats a grant of the time that it came":          {[]arrival{{event("g", at(60), yes("p")), at(61)}, {undated, at(60)}}, "off", at(60)},
		"beats a grant dated ahead that came before":      {[]arrival{{event("g", at(63), yes("p")), at(59)}, {undated, at(60)}}, "off", at(63) + 1},
		"beats a grant dated ahead that came with it":     {[]arrival{{event("g", at(63), yes("p")), at(60)}, {undated, at(60)}}, "off", at(63) + 1},
		"loses to a newer grant that came later":          {[]arrival{{event("g", at(63), yes("p")), at(61)}, {undated, at(60)}}, "on", at(63)},
		"beats an equally old grant of a later arrival":   {[]arrival{{event("a", at(63), yes("p")), at(59)}, {event("b", at(63), yes("p")), at(61)}, {undated, at(60)}}, "off", at(63) + 1},
		"as one dated far ahead beats a grant dated less": {[]arrival{{event("g", at(63), yes("p")), at(59)}, {event("w", at(70), no("p")), at(60)}}, "off", at(63) + 1},
		"by a user record beats a grant dated ahead, too": {[]arrival{{event("g", at(63), yes("p")), at(59)}, {record(0, no("p")), at(60)}}, "off", at(63) + 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			verdict, _, said := func() (Verdict, bool, bool) { v := told(t, tt.came...); return v.on("gdpr", purpose("p").Path()) }()
			if got := answerOf(verdict, said); got != tt.answer || verdict.At != tt.since {
				t.Errorf("%s since %v, want %s since %v", got, verdict.At.Std(), tt.answer, tt.since.Std())
			}
			if !verdict.Enabled && verdict.Reason != ByUndated {
				t.Errorf("off because of %q", verdict.Reason)
			}
		})
	}
}

func TestTimeKeepsMicrosecondsAndNothing(t *testing.T) {
	t.Parallel()
	for _, want := range []Time{0, 1, -1, noon, noon + 1, TimeOf(time.Date(2026, 5, 4, 3, 2, 1, 999_999_999, time.FixedZone("", 3600)))} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got := Time(42)
		if err := json.Unmarshal(text, &got); err != nil || got != want {
			t.Errorf("%d is written %s and read as %d, %v", want, text, got, err)
		}
		if TimeOf(want.Std()) != want {
			t.Errorf("%d comes back as %d", want, TimeOf(want.Std()))
		}
	}
	var got Time
	if json.Unmarshal([]byte(`"yesterday"`), &got) == nil {
		t.Error("yesterday is read as a time")
	}
}
