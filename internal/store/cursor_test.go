package store_test

import (
	"bytes"
	"testing"

	"consentsync/internal/store"
)

// Whatever comes back as a cursor is a place in the list.
func FuzzCursors(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(store.TroubleCursor{Reason: "the address\x00 is refused", Person: store.PersonKey{1}}.Bytes())
	f.Add(make([]byte, len(store.PersonKey{})))
	f.Add(make([]byte, len(store.PersonKey{})+1))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := store.TroubleCursorOf(b)
		if c != store.TroubleCursorOf(c.Bytes()) {
			t.Errorf("%x is %+v, and that is another one", b, c)
		}
		if c != (store.TroubleCursor{}) && !bytes.Equal(c.Bytes(), b) {
			t.Errorf("%x passes for %x", b, c.Bytes())
		}
	})
}
