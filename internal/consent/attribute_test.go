package consent

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestConvert(t *testing.T) {
	t.Parallel()
	short := Attribute{Kind: String, MinLength: 2, MaxLength: 4}
	multi := Attribute{Kind: Integer, Multi: true}
	needed := Attribute{Kind: String, Mandatory: true}
	kind := func(k AttributeKind) Attribute { return Attribute{Kind: k} }
	type problem string
	tests := []struct {
		attribute Attribute
		raw       string
		want      any // the value, or the problem
	}{
		{kind(String), `" x "`, " x "},
		{kind(String), `42`, "42"},
		{kind(String), `1e6`, "1e6"},
		{kind(String), `true`, "true"},
		{kind(String), `null`, nil},
		{kind(String), `{"a":1}`, problem("is not a single value")},
		{kind(String), `["x"]`, problem("is a list, the attribute takes one value")},
		{kind(String), ``, problem("is not JSON")},
		{kind(String), `"x" "y"`, problem("is not JSON")},
		{kind("colour"), `"red"`, "red"}, // a kind that we do not know is text
		{needed, `null`, problem("cannot be cleared: the attribute is mandatory")},
		{short, `"é"`, problem("is shorter than 2 characters")},
		{short, `"éé"`, "éé"},
		{short, `"éééé"`, "éééé"},
		{short, `"ééééé"`, problem("is longer than 4 characters")},

		{kind(Integer), `42`, int64(42)},
		{kind(Integer), `" -42 "`, int64(-42)},
		{kind(Integer), `"42.0"`, int64(42)},
		{kind(Integer), `1e6`, int64(1_000_000)},
		{kind(Integer), `9223372036854775807`, int64(9_223_372_036_854_775_807)},
		{kind(Integer), `9223372036854775808`, problem("is not a whole number")},
		{kind(Integer), `1e400`, problem("is not a whole number")},
		{kind(Integer), `42.5`, problem("is not a whole number")},
		{kind(Integer), `true`, problem("is not a whole number")},
		{kind(Integer), `"0x1p4"`, problem("is not a whole number")},
		{kind(Integer), `"Inf"`, problem("is not a whole number")},
		{kind(Integer), `"NaN"`, problem("is not a whole number")},
		{kind(Integer), `""`, problem("is not a whole number")},

		{kind(Decimal), `42`, 42.0},
		{kind(Decimal), `"0.1"`, 0.1},
		{kind(Decimal), `1e400`, problem("is not a number")},
		{kind(Decimal), `"inf"`, problem("is not a number")},
		{kind(Decimal), `"nan"`, problem("is not a number")},
		{kind(Decimal), `"0x1p4"`, problem("is not a number")},
		{kind(Decimal), `"1,5"`, problem("is not a number")},

		{kind(Boolean), `true`, true},
		{kind(Boolean), `"Yes"`, true},
		{kind(Boolean), `1`, true},
		{kind(Boolean), `0`, false},
		{kind(Boolean), `" FALSE "`, false},
		{kind(Boolean), `2`, problem("is neither true nor false")},
		{kind(Boolean), `"oui"`, problem("is neither true nor false")},

		{kind(Date), `"2026-01-31"`, "2026-01-31"},
		{kind(Date), `"2026-01-31T23:30:00-05:00"`, "2026-01-31"}, // the day where it was said
		{kind(Date), `"2026-02-30"`, problem("is not a date such as 2026-01-31")},
		{kind(Date), `20260131`, problem("is not a date such as 2026-01-31")},
		{kind(Timestamp), `"2026-01-31T23:30:00-05:00"`, "2026-02-01 04:30:00"},
		{kind(Timestamp), `"2026-01-31T23:30:00.999Z"`, "2026-01-31 23:30:00"},
		{kind(Timestamp), `"2026-01-31 23:30:00"`, "2026-01-31 23:30:00"},
		{kind(Timestamp), `"2026-01-31T23:30:00"`, "2026-01-31 23:30:00"},
		{kind(Timestamp), `"2026-01-31"`, "2026-01-31 00:00:00"},
		{kind(Timestamp), `"31/01/2026"`, problem("is not a moment such as 2026-01-31T10:00:00Z")},

		{multi, `[1, "2"]`, []any{int64(1), int64(2)}},
		{multi, `3`, []any{int64(3)}},
		{multi, `[]`, []any{}},
		{multi, `null`, nil},
		{multi, `[1, "x"]`, problem("is not a whole number")},
		{multi, `[[1]]`, problem("is not a single value")},
		{multi, `[null]`, problem("is not a single value")},
		{multi, `"x"`, problem("is not a whole number")},
	}
	for _, tt := range tests {
		var got any
		got, err := tt.attribute.Convert(json.RawMessage(tt.raw))
		if err != nil {
			if got != nil {
				t.Errorf("%s of %s is refused and gives %v", tt.raw, tt.attribute.Kind, got)
			}
			got = problem(MessageOf(err))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s as %s: %s", tt.raw, tt.attribute.Kind, diff)
		}
	}
}

// A plain text is read without a decoder, to the same effect.
func TestPlainValuesAreReadAsTheDecoderReadsThem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "a\"b", `back\slash`, "tab\t", "Größe", "\xff", "\u2028"})).Draw(t, "text")
		written, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range []json.RawMessage{written, []byte(`"` + text + `"`)} {
			got, err := decodeValue(raw)
			var want any
			wrong := json.Unmarshal(raw, &want)
			if (err == nil) != (wrong == nil) || err == nil && got != want {
				t.Fatalf("%q is read as %q (%v), want %q (%v)", raw, got, err, want, wrong)
			}
		}
	})
}
