package didomi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"
)

// No answer of Didomi's makes a reader panic, and none is more than it says: a
// session lives for some time and not for ever, an event that an answer does not
// name is one of those that were sent, and what is in a list can be read as a
// webhook or is refused.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"e30.eyJpYXQiOjEsImV4cCI6MzYwMX0.x"}`, `{"access_token":"e30.eyJpYXQiOi0xZTMwOCwiZXhwIjoxZTMwOH0.x"}`,
		`{"data":[{"id":"u1","organization_user_id":"ana","consents":{"purposes":[{"id":"p","enabled":true}]}}],"cursor":"next"}`, `{"data":[],"cursor":7}`,
		`[{"id":"e1","user":{"organization_user_id":"ana"},"consents":{}},null,7]`, `null`, `[{"id":"a"},{"id":"b","code":400}]`, `[{"code":400}]`,
		`{"data":[{"id":"x","type":"purpose","description":{"fr":"Lettre"},"namespaces":{"custom":"news"}}]}`, `{"message":"Event e1 already exists."}`, "\xff",
	} {
		f.Add([]byte(seed), "limit=1, reset=5")
	}
	now := time.Unix(1_800_000_000, 0)
	batch := []outgoing{{index: 0, id: "a"}, {index: 1, id: "b"}, {index: 2, id: "\xff"}}
	f.Fuzz(func(t *testing.T, body []byte, header string) {
		if token, life, ok := parseSession(body, now); ok && (token == "" || life <= 0 || life > maxSessionLife) {
			t.Errorf("the session is %q, for %v", token, life)
		}
		purposes, ok := parsePurposes(body)
		if !ok && purposes != nil {
			t.Errorf("no list, and %v", purposes)
		}
		rest := leftOut(batch, body)
		for i, e := range rest {
			if e.id != batch[e.index].id || i > 0 && e.index <= rest[i-1].index {
				t.Errorf("left out is %+v", rest)
			}
		}
		_ = saysExists(body)
		if wait := retryAfter(&http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Ratelimit": {header}}}, now); wait < 0 || wait > 24*time.Hour {
			t.Errorf("it asks to wait for %v", wait)
		}
		page, next, ok := parseList(body)
		if !ok && (page != nil || next != "") {
			t.Errorf("no list, and %s, %q", page, next)
		}
		for _, raw := range append(page, body) {
			webhook, _, _, _ := ParseRow(raw)
			if json.Valid(raw) != json.Valid(webhook) {
				t.Errorf("%s becomes %s", raw, webhook)
			}
			if !bytes.Contains(webhook, raw) {
				t.Errorf("%s is not in %s", raw, webhook)
			}
			m, err := Decode(slices.Clone(webhook), organization)
			if (m == nil) == (err == nil) {
				t.Errorf("%s is %+v, %v", webhook, m, err)
			}
			if m != nil {
				checkMessage(t, m)
			}
		}
	})
}
