package store

import (
	"time"

	"consentsync/internal/consent"
)

// Inspection is what a database says of itself.
type Inspection struct {
	// Engine names it with its version.
	Engine string
	// Schema is the version of the schema, 0 for none; Newest the one that this
	// program knows, and Needs the one that a program must know at least.
	Schema, Newest, Needs int64
	// ReadOnly tells that it cannot be written.
	ReadOnly bool
	// Weak are the settings that weaken what is promised, in words; Durable says
	// what holds where there are none.
	Weak    []string
	Durable string
	// Clock is what the database's own clock showed, when this machine's showed
	// ReadAt, but for Took; 0 where it is this machine's.
	Clock  consent.Time
	ReadAt time.Time
	Took   time.Duration
}
