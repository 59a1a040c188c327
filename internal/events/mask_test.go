package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestMaskID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{"": "", "anna@example.com": "a•••@e•••", "4711": "4•••", "élan": "é•••", "@x": "•••@x•••"} {
		if got := MaskID(id); got != want {
			t.Errorf("%q is shown as %q, want %q", id, got, want)
		}
	}
}

// Nothing that tells who somebody is gets through, in whatever form it comes.
func TestMaskPayload(t *testing.T) {
	t.Parallel()
	got := string(MaskPayload([]byte(`{"type":"event.created","parameters":{"entity":{
		"id":"e1","created_at":"2026-01-01T00:00:00Z","regulation":"gdpr","unheard_of":"Smith","number":4711,
		"user":{"id":"d1","organization_user_id":"anna@example.com","type":"vip","metadata":{"age":41,"vip":true,"none":null}},
		"consents":{"purposes":[{"id":"newsletter","enabled":false,"values":{"size":{"value":"XXL"}}}],"channels":[{"id":"sms","enabled":true}]}}}}`)))
	for _, hidden := range []string{"Smith", "4711", "d1", "anna", "vip\":true", "41", "XXL", `:"vip"`} {
		if strings.Contains(got, hidden) {
			t.Errorf("%q is shown: %s", hidden, got)
		}
	}
	for _, shown := range []string{`"type":"event.created"`, `"id":"e1"`, `"id":"newsletter"`, `"enabled":false`, `"id":"sms"`, "2026-01-01", "gdpr"} {
		if !strings.Contains(got, shown) {
			t.Errorf("%q is masked: %s", shown, got)
		}
	}
	flat := string(MaskPayload([]byte(`{"parameters__entity__id":"e1","parameters__entity__user__organization_user_id":"anna","parameters__entity__user__metadata__age":41,
		"parameters__entity__consents__purposes__0__id":"newsletter","parameters__entity__consents__purposes__0__enabled":true}`)))
	if strings.Contains(flat, "anna") || strings.Contains(flat, "41") || !strings.Contains(flat, "newsletter") || !strings.Contains(flat, `"e1"`) {
		t.Errorf("a flattened message is shown as %s", flat)
	}
	if got := string(MaskPayload([]byte(`no JSON`))); got != "null" {
		t.Errorf("what is no JSON is shown as %s", got)
	}
	if got := string(MaskPayload([]byte(`"anna"`))); strings.Contains(got, "anna") {
		t.Errorf("a bare text is shown as %s", got)
	}
}

// The samples of the decoder are masked too: no address is left in any.
func TestMaskSamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../didomi/testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(MaskPayload(body)); strings.Contains(got, "@example") {
			t.Errorf("%s: an address is shown: %s", file, got)
		}
	}
}

// A message that is deep, or has long names, takes no more memory than it should.
// It runs alone, since what all tests take is counted.
func TestMaskingADeepMessage(t *testing.T) {
	const depth = 5000
	name := strings.Repeat("a__", 30)
	body := []byte(strings.Repeat(`{"`+name+`":`, depth) + `"Smith"` + strings.Repeat("}", depth))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	masked := MaskPayload(body)
	runtime.ReadMemStats(&after)
	if bytes.Contains(masked, []byte("Smith")) || !bytes.Contains(masked, []byte(name)) {
		t.Errorf("it is shown as %.200s", masked)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 100<<20 {
		t.Errorf("%d bytes took %d bytes of memory", len(body), took)
	}
}

// What is shown has the form of the message, is masked no further when it is
// masked again, and tells nothing that stands where people's data stand.
func FuzzMaskPayload(f *testing.F) {
	for _, seed := range []string{
		`{"type":"event.created","parameters":{"entity":{"id":"e1","user":{"metadata":{"a":1}},"consents":{"purposes":[{"id":"p","enabled":true}]}}}}`,
		`{"parameters__entity__user__id":"x","entity__id":"y","USER":{"type":7}}`, `[1,null,{"id":"a"}]`, `"x"`, "\xff", `{"a":1e999}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		masked := MaskPayload(body)
		if again := MaskPayload(masked); !json.Valid(masked) || !bytes.Equal(again, masked) {
			t.Errorf("%q is shown as %s, and that as %s", body, masked, again)
		}
		if !json.Valid(body) {
			return
		}
		for _, place := range []string{`{"user":%s}`, `{"metadata":%s}`, `{"parameters__entity__user":%s}`} {
			within := MaskPayload(fmt.Appendf(nil, place, body))
			var tree any
			if json.Unmarshal(within, &tree) != nil || told(tree) {
				t.Errorf("%q is shown as %s", body, within)
			}
		}
	})
}

// told tells whether there is a text or a number in a tree but for dots.
func told(tree any) bool {
	switch v := tree.(type) {
	case map[string]any:
		for _, inner := range v {
			if told(inner) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, told)
	case string:
		return v != dots
	case float64:
		return true
	}
	return false
}
