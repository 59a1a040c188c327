package actito

import (
	"encoding/json"
	"strconv"
	"strings"
)

// canonical appends a decoded JSON value in one form: keys sorted, and a number
// and a truth value written like the text that says the same.
func canonical(to []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(to, "null"...)
	case map[string]any:
		to = append(to, '{')
		for i, key := range sortedKeys(v) {
			if i > 0 {
				to = append(to, ',')
			}
			to = append(jsonText(to, key), ':')
			to = canonical(to, v[key])
		}
		return append(to, '}')
	case []any:
		to = append(to, '[')
		for i, element := range v {
			if i > 0 {
				to = append(to, ',')
			}
			to = canonical(to, element)
		}
		return append(to, ']')
	}
	return jsonText(to, scalar(v))
}

func jsonText(to []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string always can be
	return append(to, text...)
}

// scalar writes a text, a number or a truth value as text; empty for anything
// else.
func scalar(v any) string {
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return plainNumber(v.String())
	}
	return text(v)
}

// plainNumber gives one form to all spellings of a JSON number, like 109 to
// 109.0 and 1.09E2. A number too large or too small to be written out keeps its
// exponent.
func plainNumber(s string) string {
	const longest = 40
	mantissa, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	e := 0
	if exponent != "" {
		var err error
		if e, err = strconv.Atoi(exponent); err != nil || e > 1e6 || e < -1e6 {
			return s
		}
	}
	digits, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	digits = strings.TrimLeft(whole+fraction, "0")
	e -= len(fraction)
	short := strings.TrimRight(digits, "0")
	e += len(digits) - len(short)
	if short == "" {
		return "0"
	}
	sign := ""
	if negative {
		sign = "-"
	}
	point := len(short) + e // where it stands, counted from the first digit
	switch {
	case e == 0, e > 0 && point <= longest:
		return sign + short + strings.Repeat("0", e)
	case e < 0 && point > 0:
		return sign + short[:point] + "." + short[point:]
	case e < 0 && point > -longest:
		return sign + "0." + strings.Repeat("0", -point) + short
	}
	return sign + short + "e" + strconv.Itoa(e)
}
