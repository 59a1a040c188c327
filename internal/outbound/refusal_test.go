package outbound

import (
	"strings"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"":                              0,
		"5":                             5 * time.Second,
		" 5 ":                           5 * time.Second,
		"-5":                            0,
		"soon":                          0,
		"9999999999999":                 24 * time.Hour,
		"99999999999999999999999":       0,
		"Mon, 02 Nov 2026 08:01:30 GMT": 90 * time.Second,
		"Mon, 02 Nov 2026 07:00:00 GMT": 0,
		"Mon, 02 Nov 2036 07:00:00 GMT": 24 * time.Hour,
	} {
		if got := RetryAfter(header, now); got != want {
			t.Errorf("%q: got %v, want %v", header, got, want)
		}
	}
}

func TestExcerpt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		body, want string
		hidden     []string
	}{
		{"", "", nil},
		{"  <html><body>Not\n\tgood</body></html> ", "Not good", nil},
		{"a\x00b\x1b[31mc\xff", "ab[31mc", nil},
		{`{"m":"no \u0041\u00e9 \ud83d\ude00 \"x\" a\/b"}`, `{"m":"no Aé 😀 "x" a/b"}`, nil},
		{"sex M must not be m, but F; Mandatory", "sex … must not be …, but F; Mandatory", []string{"M"}},
		{"M M M", "… … …", []string{"M"}},
		{"id 42 of 142", "id … of 142", []string{"42"}},
		{"value ABCDE-FGH refused", "value … refused", []string{"abcd", "abcde-fgh"}},
		{"mail a.b@c.org exists", "mail … exists", nil},
		{"a%2Fb%20c%C3%A9 100%", "a/b cé 100%", nil},
		{"key=a%40b", "key=…", []string{"a@b"}},
		{"key=a%2540b", "key=…", []string{"a%40b"}},
		{"no \xff here, but é", "no here, but …", []string{"\xff", "\xffé"}},
		{strings.Repeat("é", 301), strings.Repeat("é", 299) + "…", nil},
	} {
		if got := Excerpt(c.body, c.hidden); got != c.want {
			t.Errorf("%q: got %q, want %q", c.body, got, c.want)
		}
	}
}
