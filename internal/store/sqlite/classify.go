package sqlite

import (
	"errors"
	"time"

	msqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"consentsync/internal/consent"
)

// classify tells faults of the database, which pass, from those of the data,
// which would come again.
func classify(err error) error {
	var known *consent.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	var lite *msqlite.Error
	if !errors.As(err, &lite) {
		return err
	}
	switch lite.Code() {
	case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE:
		return &consent.Error{Kind: consent.Conflict, Op: "sqlite", Message: "it is there already", Err: err}
	}
	switch lite.Code() & 0xff {
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_TOOBIG:
		return err
	}
	return &consent.Error{Kind: consent.Transient, Op: "sqlite", Message: "the database cannot be written now", Err: err, RetryAfter: 5 * time.Second}
}

// blob keeps an empty value from being written as NULL, which is what the
// driver makes of a nil slice; and it reads every empty value as nil.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
