package console

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"consentsync/internal/consent"
	"consentsync/internal/integration"
)

func TestLocalAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"/o/acme?a=b": "/o/acme?a=b", "": "/", "//evil.example": "/", "https://evil.example/": "/", `/\evil.example`: "/", "javascript:alert(1)": "/",
		"o/acme": "/", "/%zz": "/",
	} {
		if got := local(address); got != want {
			t.Errorf("%q leads to %q, want %q", address, got, want)
		}
	}
}

func TestNumbersAndTimes(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ got, want string }{
		{number(0), "0"},
		{number(999), "999"},
		{number(1000), "1,000"},
		{number(int64(1234567)), "1,234,567"},
		{number(-1000), "-1,000"},
		{plural(1, "call", "calls"), "1 call"},
		{plural(2000, "call", "calls"), "2,000 calls"},
		{span(80 * time.Millisecond), "80 ms"},
		{span(1500 * time.Millisecond), "1.5 s"},
		{span(2 * time.Second), "2 s"},
		{span(90 * time.Second), "90 s"},
		{span(3 * time.Hour), "3 h"},
		{span(72 * time.Hour), "3 days"},
		{ago(time.Unix(100, 0), consent.TimeOf(time.Unix(40, 0))), "60 s ago"},
		{ago(time.Unix(100, 0), 0), "never"},
		{ago(time.Unix(100, 0), consent.TimeOf(time.Unix(160, 0))), "in 60 s"},
		{sentence("too long"), "Too long."},
		{sentence("Done!"), "Done!"},
		{cell("=1+1"), "'=1+1"},
		{cell("anna"), "anna"},
		{cell(""), ""},
	} {
		if x.got != x.want {
			t.Errorf("got %q, want %q", x.got, x.want)
		}
	}
}

// Errors of the services come to stand beside their fields; what is our fault
// is no matter for who typed.
func TestWhatAFormIsRefusedFor(t *testing.T) {
	t.Parallel()
	f := newForm("name", "Anna")
	err := &consent.Error{Kind: consent.Invalid, Message: "name: is taken", Fields: map[string]string{"user.name": "is taken"}}
	if !f.refused(err, "user.name", "name") || f.Errors["name"] != "is taken" || f.Problem != "" || f.Get("name") != "Anna" || f.status() != 422 {
		t.Errorf("the form is %+v", f)
	}
	f = newForm()
	if !f.refused(consent.Errorf(consent.Conflict, "test", "somebody was faster")) || f.Problem != "Somebody was faster." {
		t.Errorf("the form is %+v", f)
	}
	if f.refused(consent.Errorf(consent.Internal, "test", "a fault")) || f.refused(errors.New("a fault")) {
		t.Error("a fault of ours is shown beside a form")
	}
}

// The line has a gap where nothing came into effect, and stays within its frame.
func TestChart(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	at := func(hours float64) consent.Time {
		return consent.TimeOf(now.Add(-time.Duration(hours * float64(time.Hour))))
	}
	w := func(seconds float64) integration.IntervalView {
		return integration.IntervalView{Withdrawals: integration.SpeedView{People: 1, Most: seconds}}
	}
	o := &integration.OverviewView{IntervalSeconds: 1800}
	for hours, seconds := range map[float64]float64{20: 1, 19.5: 60, 10: 3600, 9.5: .1} {
		i := w(seconds)
		i.At = at(hours)
		o.Effects = append(o.Effects, i)
	}
	slices.SortFunc(o.Effects, func(a, b integration.IntervalView) int { return cmp.Compare(a.At, b.At) })
	c := drawEffects(o, now)
	if len(c.Lines) != 2 || len(c.Dots) != 4 || len(c.Rows) != 4 {
		t.Errorf("the chart has %d lines, %d dots and %d rows", len(c.Lines), len(c.Dots), len(c.Rows))
	}
	var marks []string
	for _, u := range c.Up {
		marks = append(marks, u.Text)
	}
	if diff := gocmp.Diff([]string{"0.1 s", "1 s", "10 s", "1 min", "10 min", "1 h"}, marks); diff != "" {
		t.Error(diff)
	}
	if len(c.Across) != 3 || c.Across[0].Text != "18:00" {
		t.Errorf("the times are %+v", c.Across)
	}
	if c := drawEffects(&integration.OverviewView{}, now); len(c.Rows) != 0 {
		t.Errorf("an empty chart has %d rows", len(c.Rows))
	}
}

// Nobody is sent to another site after signing in, whatever the address says.
func FuzzLocalAddress(f *testing.F) {
	for _, seed := range []string{"/o/acme?a=b#c", "//evil.example", `/\evil.example`, "/%2f/evil.example", "/\t/evil.example", "https:evil.example", "/a?next=//b", "", "\xff"} {
		f.Add(seed)
	}
	here, err := url.Parse("https://us.example/login")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, address string) {
		to := local(address)
		if strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") {
			t.Errorf("%q leads to %q", address, to)
		}
		if u, err := here.Parse(to); err != nil || u.Scheme != here.Scheme || u.Host != here.Host || u.User != nil {
			t.Errorf("%q leads to %v, %v", address, u, err)
		}
	})
}
