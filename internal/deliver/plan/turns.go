package plan

import "consentsync/internal/consent"

// Turns shares calls fairly among the keys that have work: start-time fair
// queueing where every call costs the same, which is to serve the key whose
// last call is longest ago. It guarantees that two keys that both wait are
// served in turn, so that over any time their calls differ by at most one; and
// that a key cannot save up turns while it has no work, nor gain one by coming
// and going. The zero value is ready.
type Turns struct {
	last  map[string]int64 // which call was the key's last, counted from 1
	calls int64
}

// Waiting is a key that has work now.
type Waiting struct {
	Key   string
	Since consent.Time // since when its first piece of work is due
}

// Next gives the index of the key to serve next, -1 if there is none. Of keys
// that were never served it is the one with the older work, then the lesser
// key. It counts no call: Served does.
func (t *Turns) Next(waiting []Waiting) int {
	best := -1
	for i := range waiting {
		if best < 0 || t.before(waiting[i], waiting[best]) { //nolint:gosec // best is an index of waiting
			best = i
		}
	}
	return best
}

func (t *Turns) before(a, b Waiting) bool {
	switch x, y := t.last[a.Key], t.last[b.Key]; {
	case x != y:
		return x < y
	case a.Since != b.Since:
		return a.Since < b.Since
	}
	return a.Key < b.Key
}

// Served notes that a call was made for a key.
func (t *Turns) Served(key string) {
	if t.last == nil {
		t.last = make(map[string]int64)
	}
	t.calls++
	t.last[key] = t.calls
}

// Forget drops all keys but those to keep. One that comes back is as if it had
// never been served.
func (t *Turns) Forget(keep map[string]bool) {
	for key := range t.last {
		if !keep[key] {
			delete(t.last, key)
		}
	}
}
