package outbound

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// An excerpt of what somebody answers never holds what is to be hidden, in
// whatever form it is echoed, and is short; a wait is bounded.
func FuzzExcerpt(f *testing.F) {
	const secret, name = "planted-secret+0/9=", "Ana Plantagenet"
	for _, seed := range []string{
		`{"message":"the key planted-secret+0/9= of Ana Plantagenet is wrong"}`, "<p>planted-secret&#43;0&#47;9&#61;</p>", "planted%2Dsecret%2B0%2F9%3D", `\u0070lanted-secret+0\/9=`,
		"PLANTED-SECRET+0/9=", "Ana+Plantagenet", "Ana\u00a0<b>Plantagenet", "planted\u200b-secret+0/9=", "pla%%6eted", "120", "Thu, 01 Jan 2099 00:00:00 GMT", "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		said := Excerpt(body, []string{secret, name})
		for _, hidden := range []string{secret, name} {
			if strings.Contains(strings.ToLower(said), strings.ToLower(hidden)) {
				t.Errorf("%q is shown as %q", body, said)
			}
		}
		if !utf8.ValidString(said) || utf8.RuneCountInString(said) > MaxExcerpt {
			t.Errorf("%q is no text of at most %d letters", said, MaxExcerpt)
		}
		if wait := RetryAfter(body, time.Unix(1_800_000_000, 0)); wait < 0 || wait > 24*time.Hour {
			t.Errorf("%q asks to wait for %v", body, wait)
		}
	})
}
