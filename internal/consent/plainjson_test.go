package consent

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// slowKnown and slowLinks are what plain is measured by.
func slowKnown(text string) (k struct{ S, A map[string]Fact }, err error) {
	var in struct {
		S map[string]Fact `json:"s,omitempty"`
		A map[string]Fact `json:"a,omitempty"`
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	err = dec.Decode(&in)
	k.S, k.A = in.S, in.A
	return k, err
}

func slowLinks(text string) (l map[string]Link, err error) {
	return l, json.Unmarshal([]byte(text), &l)
}

// agrees wants what plain reads to be what encoding/json reads.
func agrees(t interface {
	Helper()
	Fatalf(string, ...any)
}, text string,
) (known, links bool) {
	t.Helper()
	k, known := readKnown(text)
	if want, err := slowKnown(text); known && (err != nil || !json.Valid([]byte(text)) || !reflect.DeepEqual(k, Known{want.S, want.A})) {
		t.Fatalf("%q is read as %+v, not as %+v, %v", text, k, want, err)
	}
	l, links := readLinks(text)
	if want, err := slowLinks(text); links && (err != nil || !reflect.DeepEqual(map[string]Link(l), want)) {
		t.Fatalf("%q is read as %+v, not as %+v, %v", text, l, want, err)
	}
	return known, links
}

func genKnown() *rapid.Generator[Known] {
	text := rapid.OneOf(rapid.StringMatching(`[a-z é]{0,9}`), rapid.String())
	moment := rapid.Custom(func(t *rapid.T) Time {
		return at(rapid.IntRange(0, 900).Draw(t, "minute")) * Time(rapid.IntRange(0, 1).Draw(t, "there"))
	})
	fact := rapid.Custom(func(t *rapid.T) Fact {
		f := Fact{
			ConfirmedAt: moment.Draw(t, "confirmed"), SeenOnAt: moment.Draw(t, "seen"), DoubtedAt: moment.Draw(t, "doubted"),
			Unknown: rapid.Bool().Draw(t, "unknown"), Suspect: rapid.Bool().Draw(t, "suspect"),
		}
		if rapid.Bool().Draw(t, "refused") {
			refused := text.Draw(t, "what")
			f.Refused, f.Why = &refused, text.Draw(t, "why")
		}
		f.Value = rapid.SampledFrom([]any{nil, true, false, json.Number("0"), json.Number("-12"), json.Number("1.5"), json.Number("9007199254740993"), json.Number("12345678901234567890.5"), text.Draw(t, "text"), []any{"a", true}}).Draw(t, "value")
		return f
	})
	facts := rapid.MapOfN(text, fact, 0, 4)
	return rapid.Custom(func(t *rapid.T) Known { return Known{facts.Draw(t, "subscriptions"), facts.Draw(t, "attributes")} })
}

// What is known comes back as it was stored, whether it is plain or odd.
func TestKnownComesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		k := genKnown().Draw(t, "known")
		b, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		agrees(t, string(b))
		var back Known
		if err := back.UnmarshalJSON(b); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if again, err := json.Marshal(back); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%s came back as %s, %v", b, again, err)
		}
	})
}

// So do the links of a person, without which a Didomi user's withdrawals would not
// follow (R7).
func TestLinksComeBack(t *testing.T) {
	t.Parallel()
	text := rapid.OneOf(rapid.StringMatching(`[a-z0-9-]{1,9}`), rapid.Custom(func(t *rapid.T) string {
		return strings.ToValidUTF8(rapid.String().Draw(t, "any"), "?")
	}), rapid.SampledFrom([]string{`a"b`, `a\b`, "R&D", "<a>"}))
	link := rapid.Custom(func(t *rapid.T) Link {
		return Link{OrganizationUserID: text.Draw(t, "person"), At: at(rapid.IntRange(0, 900).Draw(t, "minute")), EventID: text.Draw(t, "event")}
	})
	rapid.Check(t, func(t *rapid.T) {
		want := Links(rapid.MapOfN(text, link, 0, 4).Draw(t, "links"))
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		agrees(t, string(b))
		var back Links
		if err := back.UnmarshalJSON(b); err != nil || !reflect.DeepEqual(back, want) {
			t.Fatalf("%s came back as %v, %v", b, back, err)
		}
	})
	held := Links{"d1": {OrganizationUserID: "ana"}}
	if err := held.UnmarshalJSON([]byte(`{"d2":{"u":"ana","t":""}}`)); err != nil || len(held) != 2 {
		t.Errorf("what was held became %v, %v", held, err)
	}
	for _, wrong := range []string{"", "{", `{}x`, `{"d":1}`} {
		if err := new(Links).UnmarshalJSON([]byte(wrong)); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}

// Beside what is odd the digits of a number stay as well.
func TestAnOddNumberKeepsItsDigits(t *testing.T) {
	t.Parallel()
	var k Known
	if err := k.UnmarshalJSON([]byte(`{"a":{"x":{"v":9007199254740993},"y":{"v":"R\u0026D"}}}`)); err != nil {
		t.Fatal(err)
	}
	if x, y := k.Attributes["x"].Value, k.Attributes["y"].Value; x != json.Number("9007199254740993") || y != "R&D" {
		t.Errorf("read %v and %v", x, y)
	}
}

var (
	storedKnown = `{"s":{"Newsletter":{"v":true,"c":"2026-11-26T09:00:00.000001Z"},"Promotions":{"v":false,"c":"2026-11-26T09:00:00.000001Z"},"Post":{"v":null,"u":true}},` +
		`"a":{"language":{"v":"fr","c":"2026-11-26T09:00:00.000001Z","r":"frr","w":"unknown language"},"age":{"v":41,"o":"2026-11-26T09:00:00.000001Z"}}}`
	storedLinks = `{"0a9c7f0e-5b0f-4d43-8f0c-2f4f4a8d9c11":{"u":"anna@example.com","t":"2026-11-26T09:00:00.000001Z","e":"5b0f"}}`
)

// What stands in most rows is plain: otherwise nothing is won.
func TestStoredJSONIsPlain(t *testing.T) {
	t.Parallel()
	if known, _ := agrees(t, storedKnown); !known {
		t.Error("what is known is odd")
	}
	if _, links := agrees(t, storedLinks); !links {
		t.Error("the links are odd")
	}
	for _, odd := range []string{
		"", "{", `{"s":{}}x`, `{"s":{}}{}`, ` {"s":{}}`, `{"s":{},}`, `{"s":{},"s":{}}`, `{"S":{}}`, `{"s":null}`, `{"s":{"a":{"v":1e3}}}`, `{"s":{"a":{"v":01}}}`,
		`{"s":{"a":{"v":-}}}`, `{"s":{"a":{"v":[]}}}`, `{"s":{"a":{"v":"\u0041"}}}`, "{\"s\":{\"a\":{\"v\":\"\n\"}}}", "{\"s\":{\"a\":{\"v\":\"\xff\"}}}",
		`{"s":{"a":{},"a":{}}}`, `{"s":{"a":{"c":"today"}}}`, `{"s":{"a":{"u":null}}}`, `{"s":{"a":{"x":1}}}`, `{"s" :{}}`,
	} {
		if known, _ := agrees(t, odd); known {
			t.Errorf("%q is plain", odd)
		}
	}
	for _, wrong := range []string{"", "{", `{"s":{}}x`, `{"s":{}}{}`, `{"s":{},}`, `{"s":{"a":{"v":01}}}`, `{"s":{"a":{"c":"today"}}}`} {
		if err := new(Known).UnmarshalJSON([]byte(wrong)); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}

// Of what plain accepts, it makes the same as encoding/json.
func FuzzPlainJSON(f *testing.F) {
	f.Add(storedKnown)
	f.Add(storedLinks)
	f.Add(`{"s":{"a":{"v":-0,"d":"","s":false,"u":true}},"a":{}}`)
	f.Fuzz(func(t *testing.T, text string) { agrees(t, text) })
}

// The two readers of the same text, in one run: compare the first two, and the last two.
func BenchmarkStoredJSON(b *testing.B) {
	for name, read := range map[string]func() bool{
		"known/plain":         func() bool { _, ok := readKnown(storedKnown); return ok },
		"known/encoding-json": func() bool { _, err := slowKnown(storedKnown); return err == nil },
		"links/plain":         func() bool { _, ok := readLinks(storedLinks); return ok },
		"links/encoding-json": func() bool { _, err := slowLinks(storedLinks); return err == nil },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !read() {
					b.Fatal("not read")
				}
			}
		})
	}
}
