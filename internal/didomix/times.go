package didomix

import (
	"time"

	"consentsync/internal/consent"
)

// timeForms are the forms in which times are accepted. Didomi documents ISO
// 8601; one without a zone is taken as UTC.
var timeForms = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly}

// parseTime reads a time between 1970 and 9999.
func parseTime(text string) (consent.Time, bool) {
	for _, form := range timeForms {
		if t, err := time.Parse(form, text); err == nil {
			ok := t.Year() <= 9999 && t.UnixMicro() > 0
			return consent.TimeOf(t), ok
		}
	}
	return 0, false
}
