package consent

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// AttributeKind is the type of the values that an attribute takes.
type AttributeKind string

// The kinds of attribute. String is the kind of everything whose type we do not
// know: the CRM is then the judge.
const (
	String    AttributeKind = "text"
	Integer   AttributeKind = "integer"
	Decimal   AttributeKind = "decimal"
	Boolean   AttributeKind = "boolean"
	Date      AttributeKind = "date"
	Timestamp AttributeKind = "timestamp"
)

// Attribute is what the snapshot of a profile table says of one attribute.
type Attribute struct {
	Name string        `json:"name"`
	Kind AttributeKind `json:"kind"`
	// Generated says that the CRM itself writes the attribute.
	Generated bool `json:"generated,omitempty"`
	Unique    bool `json:"unique,omitempty"`
	Mandatory bool `json:"mandatory,omitempty"`
	Multi     bool `json:"multi_valued,omitempty"`
	// MinLength and MaxLength bound a text in characters; zero is no bound.
	MinLength int `json:"min_length,omitempty"`
	MaxLength int `json:"max_length,omitempty"`
}

// Layouts of dates and moments, as Actito documents them for its files; for
// its JSON API none is documented
// (https://developersbuild.actito.com/develop/docs/integration-framework/etls/formats).
const (
	dateLayout      = "2006-01-02"
	timestampLayout = "2006-01-02 15:04:05"
)

// Convert turns a JSON value into what the attribute takes: a string, an
// int64, a float64, a bool, a list of these, or nil to clear. The error says
// in plain words, without the value, why it cannot be.
func (a Attribute) Convert(raw json.RawMessage) (any, error) {
	v, err := decodeValue(raw)
	if err != nil {
		return nil, err
	}
	list, isList := v.([]any)
	switch {
	case v == nil && a.Mandatory:
		return nil, Errorf(Invalid, "", "cannot be cleared: the attribute is mandatory")
	case v == nil:
		return nil, nil
	case isList && !a.Multi:
		return nil, Errorf(Invalid, "", "is a list, the attribute takes one value")
	case isList:
		values := make([]any, 0, len(list))
		for _, item := range list {
			value, err := a.scalar(item)
			if err != nil {
				return nil, err
			}
			values = append(values, value)
		}
		return values, nil
	}
	value, err := a.scalar(v)
	if err != nil || !a.Multi {
		return value, err
	}
	return []any{value}, nil
}

// decodeValue reads a JSON value. Plain texts, which most values are, need no
// decoder: everybody's are read when everybody is compared.
func decodeValue(raw json.RawMessage) (v any, err error) {
	if n := len(raw); n >= 2 && raw[0] == '"' && raw[n-1] == '"' {
		if inner := raw[1 : n-1]; utf8.Valid(inner) && bytes.IndexFunc(inner, func(c rune) bool { return c < ' ' || c == '"' || c == '\\' }) < 0 {
			return string(inner), nil
		}
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil || dec.More() {
		return nil, Errorf(Invalid, "", "is not JSON")
	}
	return v, nil
}

func (a Attribute) scalar(v any) (any, error) {
	var text string
	switch v := v.(type) {
	case string:
		text = strings.TrimSpace(v)
		if a.Kind == String {
			text = v
		}
	case json.Number:
		text = v.String()
	case bool:
		text = strconv.FormatBool(v)
	default:
		return nil, Errorf(Invalid, "", "is not a single value")
	}
	switch a.Kind {
	case Integer:
		return toInteger(text)
	case Decimal:
		if f, ok := toNumber(text); ok {
			return f, nil
		}
		return nil, Errorf(Invalid, "", "is not a number")
	case Boolean:
		return toBoolean(text)
	case Date:
		return toMoment(text, dateLayout, "is not a date such as 2026-01-31")
	case Timestamp:
		return toMoment(text, timestampLayout, "is not a moment such as 2026-01-31T10:00:00Z")
	}
	n := utf8.RuneCountInString(text)
	if a.MaxLength > 0 && n > a.MaxLength {
		return nil, Errorf(Invalid, "", "is longer than %d characters", a.MaxLength)
	}
	if n < a.MinLength {
		return nil, Errorf(Invalid, "", "is shorter than %d characters", a.MinLength)
	}
	return text, nil
}

func toInteger(text string) (any, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	// 42.0 and 4.2e1 are whole numbers too.
	if f, ok := toNumber(text); ok && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f), nil
	}
	return nil, Errorf(Invalid, "", "is not a whole number")
}

// toNumber reads decimal digits only: ParseFloat alone takes "Inf" and "0x1p4".
func toNumber(text string) (float64, bool) {
	if strings.Trim(text, "+-.eE0123456789") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil
}

func toBoolean(text string) (any, error) {
	switch strings.ToLower(text) {
	case "true", "1", "y", "yes":
		return true, nil
	case "false", "0", "n", "no":
		return false, nil
	}
	return nil, Errorf(Invalid, "", "is neither true nor false")
}

func toMoment(text, layout, problem string) (any, error) {
	for _, accepted := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", timestampLayout, dateLayout} {
		if t, err := time.Parse(accepted, text); err == nil {
			if layout == timestampLayout {
				t = t.UTC()
			}
			return t.Format(layout), nil
		}
	}
	return nil, Errorf(Invalid, "", "%s", problem)
}
