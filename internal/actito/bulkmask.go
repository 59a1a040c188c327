package actito

import (
	"errors"
	"iter"
	"regexp"
	"strings"

	"consentsync/internal/outbound"
)

// What Actito says about a load may repeat values that are no longer at hand
// to be looked for. So whatever is quoted, or is a word with several digits,
// counts as one.
var (
	quoted = regexp.MustCompile(`"[^"]*"|'[^']*'|«[^»]*»|“[^”]*”|‘[^’]*’`)
	cutOff = regexp.MustCompile(`["'«“‘][^"'»”’]*…$`)
	digits = regexp.MustCompile(`[\pL\pN_.+-]*\pN[\pL\pN_.+-]*\pN[\pL\pN_.+-]*\pN[\pL\pN_.+-]*`)
)

// masked makes an excerpt of what Actito says about a load, without the values
// in it.
func (c *Client) masked(said string, hidden ...string) string {
	if said == "" {
		return ""
	}
	said = outbound.Excerpt(outbound.Readable(said), append(hidden, c.apiKey))
	said = cutOff.ReplaceAllString(quoted.ReplaceAllString(said, "…"), "…")
	return digits.ReplaceAllString(said, "…")
}

// hideIn masks the reasons. Most rows are refused for one of few reasons, which
// are masked once.
func (c *Client) hideIn(rows iter.Seq2[RefusedRow, error]) iter.Seq2[RefusedRow, error] {
	return func(yield func(RefusedRow, error) bool) {
		known := map[string]string{}
		for row, err := range rows {
			reason, seen := known[row.Reason]
			switch {
			case strings.Contains(strings.ToLower(row.Reason), strings.ToLower(row.Key)) && row.Key != "":
				reason = c.masked(row.Reason, row.Key)
			case !seen:
				reason = c.masked(row.Reason)
				if len(known) < 1000 {
					known[row.Reason] = reason
				}
			}
			row.Reason = reason
			if !yield(row, err) {
				return
			}
		}
	}
}

// once gives rows that can be read a single time.
func once(rows iter.Seq2[RefusedRow, error]) iter.Seq2[RefusedRow, error] {
	read := false
	return func(yield func(RefusedRow, error) bool) {
		if read {
			yield(RefusedRow{}, errors.New("actito: the refused rows can be read once only"))
			return
		}
		read = true
		rows(yield)
	}
}
