package simulator

import (
	"encoding/json"
	"fmt"
	"net/mail"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const actitoTime = "2006-01-02 15:04:05"

// The formats of dates taken in JSON. Those of files are documented
// (https://developersbuild.actito.com/develop/docs/integration-framework/etls/formats),
// those of the API are not.
var (
	dateLayouts      = []string{time.DateOnly, "02/01/2006"}
	timestampLayouts = []string{actitoTime, "02/01/2006 15:04:05", time.RFC3339Nano}
)

// normalise checks a value that is not null and gives it in one form per type:
// string, int64, float64 or bool, or a []any of them.
func (a Attribute) normalise(v any) (any, error) {
	if !a.MultiValued {
		return a.normaliseOne(v)
	}
	list, ok := asList(v)
	if !ok {
		return nil, fmt.Errorf("%s takes a list", a.Name)
	}
	out := make([]any, 0, len(list))
	for _, one := range list {
		n, err := a.normaliseOne(one)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

func asList(v any) ([]any, bool) {
	switch list := v.(type) {
	case []any:
		return list, true
	case []string:
		out := make([]any, len(list))
		for i, s := range list {
			out[i] = s
		}
		return out, true
	default:
		return nil, false
	}
}

func (a Attribute) normaliseOne(v any) (any, error) {
	switch a.form() {
	case "INTEGER":
		switch v.(type) {
		case string, json.Number, int, int64:
			if n, err := strconv.ParseInt(text(v), 10, 64); err == nil {
				return n, nil
			}
		}
	case "DECIMAL":
		switch v.(type) {
		case string, json.Number, int, int64, float64:
			if f, err := strconv.ParseFloat(text(v), 64); err == nil {
				return f, nil
			}
		}
	case "BOOLEAN":
		switch v {
		case true, "true":
			return true, nil
		case false, "false":
			return false, nil
		}
	default:
		if s, ok := v.(string); ok {
			return s, a.checkText(s)
		}
	}
	return nil, fmt.Errorf("%s: this is not a value of type %s", a.Name, a.form())
}

// form is what decides how a value has to look.
func (a Attribute) form() string {
	if a.Type == "CUSTOM" {
		return a.ValueType
	}
	if a.Type == "BIRTHDATE" {
		return "DATE"
	}
	return a.Type
}

func (a Attribute) checkText(s string) error {
	if n := utf8.RuneCountInString(s); n < a.MinLength || n > a.maxLength() {
		return fmt.Errorf("%s has to have between %d and %d characters", a.Name, a.MinLength, a.maxLength())
	}
	ok := true
	switch a.form() {
	case "DATE":
		ok = isTime(s, dateLayouts)
	case "TIMESTAMP":
		ok = isTime(s, timestampLayouts)
	case "EMAIL_ADDRESS":
		ok = isEmail(s)
	case "SEX":
		ok = s == "M" || s == "F"
	case "MOTHER_LANGUAGE":
		ok = len(s) == 2 && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz") == ""
	}
	if !ok {
		return fmt.Errorf("%s: this is not a value of type %s", a.Name, a.form())
	}
	return nil
}

func isTime(s string, layouts []string) bool {
	for _, layout := range layouts {
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}

func isEmail(s string) bool {
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Address != s {
		return false
	}
	_, domain, _ := strings.Cut(s, "@")
	return strings.Contains(domain, ".")
}

// text writes a value as a string, as it stands in a profile key.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		texts := make([]string, len(v))
		for i, one := range v {
			texts[i] = text(one)
		}
		return strings.Join(texts, ",")
	default:
		return fmt.Sprint(v)
	}
}
