package store

import "consentsync/internal/consent"

// Change tells who changed what. It is stored in the transaction of the change
// itself, so that there is none without the other.
type Change struct {
	Organization string
	ID           ID
	Integration  string // empty if it is about none
	At           consent.Time
	By           string // who
	Action       string // what was done, such as integration.paused
	// Details tells what became of it, without secrets and personal data of the
	// people whose consent is kept.
	Details []Detail
}

// Detail is one thing that a change is about: what it was, and what it is now.
type Detail struct {
	Name string `json:"name"`
	Was  string `json:"was,omitempty"`
	Is   string `json:"is,omitempty"`
}
