package incoming

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"consentsync/internal/consent"
)

func TestBody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sent   string
		length int64
		kind   consent.Kind
	}{
		"as long as it may be":         {"12345", 5, 0},
		"of a length that is not told": {"12345", -1, 0},
		"longer":                       {"123456", 6, consent.TooLarge},
		"of a length that nobody has":  {"12345", 1 << 50, 0},
		"longer, and not told":         {"123456", -1, consent.TooLarge},
		"shorter than it says":         {"1234", 5, consent.Invalid},
		"empty":                        {"", 0, 0},
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(c.sent))
		r.ContentLength = c.length
		body, err := Body(nil, r, 5)
		switch {
		case c.kind == 0 && (err != nil || string(body) != c.sent):
			t.Errorf("%s: %q, %v", name, body, err)
		case c.kind != 0 && consent.KindOf(err) != c.kind:
			t.Errorf("%s: %v", name, err)
		}
	}
	r := httptest.NewRequest("POST", "/", iotest.ErrReader(errors.New("gone")))
	r.ContentLength = -1
	if _, err := Body(nil, r, 5); consent.KindOf(err) != consent.Invalid {
		t.Errorf("a broken connection: %v", err)
	}
}

// Settings are embedded, as those of an integration are.
type Settings struct {
	Name string `json:"name"`
	Deep struct {
		Many []int `json:"many"`
	} `json:"deep"`
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]struct{ field, says string }{
		`{"name": "x", "on": true} `:  {},
		`{"name": 7}`:                 {"name", "a text, not a JSON number"},
		`{"on": "yes"}`:               {"on", "true or false"},
		`{"deep": {"many": 7}}`:       {"deep.many", "a list"},
		`{"deep": {"many": [1.5]}}`:   {"deep.many", "a whole number"},
		`{"deep": []}`:                {"deep", "an object"},
		`{"deep": {"few": 1}}`:        {"few", "no such field"},
		`{"name": "x"} {"name": "y"}`: {"", "one JSON object"},
		`{"name": "x"} and more`:      {"", "one JSON object"},
		`[]`:                          {"", "one JSON object"},
		`null`:                        {"", "one JSON object"},
		``:                            {"", "one JSON object"},
		`{"name": `:                   {"", "ends too soon"},
		`{"name"; "x"}`:               {"", "byte 8"},
	} {
		var v struct {
			Settings
			On bool `json:"on"`
		}
		err := Decode([]byte(body), &v)
		if want.says == "" {
			if err != nil || v.Name != "x" || !v.On {
				t.Errorf("%s: %+v, %v", body, v, err)
			}
			continue
		}
		known, ok := errors.AsType[*consent.Error](err)
		if !ok || known.Kind != consent.Invalid || !strings.Contains(known.Message, want.says) {
			t.Errorf("%s: %v, want it to say %q", body, err, want.says)
		} else if want.field != "" && !strings.Contains(known.Fields[want.field], want.says) || want.field == "" && known.Fields != nil {
			t.Errorf("%s: fields %q, want %s", body, known.Fields, want.field)
		}
	}
}

func TestRefuseNamesEveryField(t *testing.T) {
	t.Parallel()
	if err := RefuseField("limit", "must be less"); consent.MessageOf(err) != "limit: must be less" {
		t.Errorf("of one: %v", err)
	}
	err := Refuse(consent.Conflict, map[string]string{"b": "is taken", "a": "is taken"})
	if consent.MessageOf(err) != "these fields cannot be accepted: a, b" || consent.KindOf(err) != consent.Conflict {
		t.Errorf("of several: %v", err)
	}
}
