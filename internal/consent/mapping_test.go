package consent

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestR11CheckMappings(t *testing.T) {
	t.Parallel()
	const p, q, k = "consents_purposes_p_enabled", "consents_purposes_q_enabled", "user_metadata_k"
	tests := map[string]struct {
		subscriptions, attributes []Mapping
		want                      map[string]string // what each message has to contain
	}{
		"none":                      {nil, nil, nil},
		"in order":                  {[]Mapping{{"A", p}, {"B", q}}, []Mapping{{"A", k}, {"b", k}}, nil},
		"one choice for two":        {[]Mapping{{"A", p}, {"B", p}}, nil, nil},
		"an empty id":               {[]Mapping{{"", p}}, []Mapping{{"  ", k}}, map[string]string{"mappings[0].id": "is empty", "properties.attributes[0].id": "is empty"}},
		"two empty ids":             {[]Mapping{{"", p}, {"", q}}, nil, map[string]string{"mappings[0].id": "is empty", "mappings[1].id": "is empty"}},
		"mapped twice":              {[]Mapping{{"A", p}, {"A", q}}, nil, map[string]string{"mappings[1].id": "by mappings[0]"}},
		"equal but for case":        {[]Mapping{{"Été", p}, {"B", q}, {"éTÉ", q}}, nil, map[string]string{"mappings[2].id": "by mappings[0]"}},
		"an attribute twice":        {nil, []Mapping{{"A", k}, {"a", k}}, map[string]string{"properties.attributes[1].id": "by properties.attributes[0]"}},
		"a text as a subscription":  {[]Mapping{{"A", k}}, nil, map[string]string{"mappings[0].value": `of "A": "user_metadata_k" is a text`}},
		"a choice as an attribute":  {nil, []Mapping{{"A", p}}, map[string]string{"properties.attributes[0].value": `of "A"`}},
		"the wrong way round":       {[]Mapping{{p, "A"}}, nil, map[string]string{"mappings[0].value": "is not a path of a choice"}},
		"an empty path":             {[]Mapping{{"A", ""}}, nil, map[string]string{"mappings[0].value": "is not a path"}},
		"more than one thing wrong": {[]Mapping{{"A", p}, {"a", ""}}, nil, map[string]string{"mappings[1].id": "mapped already", "mappings[1].value": "is not a path"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := CheckMappings(tt.subscriptions, tt.attributes)
			if len(got) != len(tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			for field, part := range tt.want {
				if !strings.Contains(got[field], part) {
					t.Errorf("%s: %q does not say %q", field, got[field], part)
				}
			}
		})
	}
}

func TestR11Overlap(t *testing.T) {
	t.Parallel()
	a := []Mapping{{"News", "x"}, {"Offers", "y"}, {"Only", "z"}}
	b := []Mapping{{"offers", "u"}, {"NEWS ", "v"}, {"Other", "w"}}
	if diff := cmp.Diff([]string{"News", "Offers"}, Overlap(a, b)); diff != "" {
		t.Error(diff)
	}
	if got := Overlap(a, nil); got != nil {
		t.Errorf("with nothing: %q", got)
	}
}
