package didomi

import (
	"time"

	"consentsync/internal/consent"
)

// timeForms are the ways in which a time may be written. Each takes a
// fraction of a second as well, and a time without a zone is in UTC. Didomi
// documents ISO 8601 and shows the first.
var timeForms = []string{
	time.RFC3339,
	"2006-01-02T15:04:05",
	time.DateTime,
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02T15:04:05Z0700",
	time.DateOnly,
}

const timeMust = "must be a time of RFC 3339 between the years 1970 and 9999"

// parseTime reads a time and cuts what is finer than a microsecond.
func parseTime(s string) (consent.Time, bool) {
	for _, form := range timeForms {
		t, err := time.Parse(form, s)
		if err != nil {
			continue
		}
		t = t.UTC()
		if t.Year() < 1970 || t.Year() > 9999 {
			return 0, false
		}
		return consent.TimeOf(t), true
	}
	return 0, false
}
