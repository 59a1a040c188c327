package didomi

import (
	"testing"
	"time"

	"consentsync/internal/consent"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want string // "" if it is no time
	}{
		{"2020-06-03T21:28:55Z", "2020-06-03T21:28:55Z"},
		{"2020-06-03T21:28:55.1Z", "2020-06-03T21:28:55.1Z"},
		{"2020-06-03T21:28:55.123456789Z", "2020-06-03T21:28:55.123456Z"},
		{"2020-06-03T21:28:55+02:00", "2020-06-03T19:28:55Z"},
		{"2020-06-03T21:28:55.5-09:30", "2020-06-04T06:58:55.5Z"},
		{"2020-06-03T21:28:55", "2020-06-03T21:28:55Z"},
		{"2020-06-03T21:28:55.25", "2020-06-03T21:28:55.25Z"},
		{"2020-06-03 21:28:55", "2020-06-03T21:28:55Z"},
		{"2020-06-03 21:28:55.25", "2020-06-03T21:28:55.25Z"},
		{"2020-06-03 21:28:55+02:00", "2020-06-03T19:28:55Z"},
		{"2020-06-03", "2020-06-03T00:00:00Z"},
		{"1970-01-01T00:00:00.000001Z", "1970-01-01T00:00:00.000001Z"},
		{"1970-01-01T00:00:00+01:00", ""},
		{"1969-12-31T23:59:59Z", ""},
		{"1969-12-31T23:59:59-01:00", "1970-01-01T00:59:59Z"},
		{"9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"},
		{"9999-12-31T23:59:59-01:00", ""},
		{"0001-01-01T00:00:00Z", ""},
		{"2020-02-30", ""},
		{"2020-06-03T25:00:00Z", ""},
		{"2020-06-03T21:28", ""},
		{"2020-06-03T23:28:55+0200", "2020-06-03T21:28:55Z"},
		{"20200603", ""},
		{"1591219735", ""},
		{" 2020-06-03", ""},
		{"2020-06-03T21:28:55Z ", ""},
		{"03/06/2020", ""},
		{"now", ""},
		{"", ""},
	}
	for _, tt := range tests {
		got, ok := parseTime(tt.text)
		switch {
		case ok != (tt.want != ""):
			t.Errorf("%q: ok %t", tt.text, ok)
		case ok && got != at(tt.want):
			t.Errorf("%q: %v, want %s", tt.text, got.Std(), tt.want)
		}
	}
}

func FuzzTimes(f *testing.F) {
	for _, s := range []string{"2020-06-03T21:28:55.1+02:00", "2020-06-03 21:28:55", "2020-06-03", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"} {
		f.Add(s)
	}
	first := consent.Time(0)
	last := consent.TimeOf(time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC))
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseTime(s)
		if !ok {
			return
		}
		if got < first || got > last {
			t.Fatalf("%q: %d is out of range", s, got)
		}
		if got == 0 {
			return // written as nothing
		}
		text, err := got.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if again, ok := parseTime(string(text)); !ok || again != got {
			t.Fatalf("%q: %d is written as %s and read as %d, %t", s, got, text, again, ok)
		}
	})
}
