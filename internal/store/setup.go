package store

import (
	"time"

	"consentsync/internal/consent"
)

// Setup is an integration that somebody has begun to set up, or to change, and
// not finished.
type Setup struct {
	Organization string
	ID           string
	Integration  string // the one that is changed; empty for a new one
	Title        string // what it is about, as far as that is known
	By           string // who worked on it last
	Sealed       []byte // all that was typed, with its secrets
	UpdatedAt    consent.Time
	ExpiresAt    consent.Time
}

// SetupLife is how long a set-up is kept that nobody goes on with: it may hold
// secrets that nobody remembers.
const SetupLife = 7 * 24 * time.Hour

// MostSetups bounds how many of them a list has.
const MostSetups = 100

// ScanSetup reads SetupColumns.
func ScanSetup(row Row) (s Setup, err error) {
	err = row.Scan(&s.Organization, &s.ID, &s.Integration, &s.Title, &s.By, &s.Sealed, &s.UpdatedAt, &s.ExpiresAt)
	return s, err
}
