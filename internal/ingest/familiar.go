package ingest

import (
	"sync"
	"time"

	"consentsync/internal/store"
)

// familiarFor is for how long an integration is taken to be as it was read.
const familiarFor = 250 * time.Millisecond

// familiar are the integrations that Actito has just called, so that a flood of
// webhooks does not read them again for each. They are forgotten when one
// changes; where that is not told, as by another node, it is seen that much
// later.
type familiar struct {
	mu      sync.RWMutex
	entries map[string]acquaintance // by id
	age     uint64                  // how often all were forgotten
}

type acquaintance struct {
	*store.Integration
	until time.Time
}

// get gives an integration as it was read a moment ago; nil if it was not.
func (f *familiar) get(id string) *store.Integration {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if e, ok := f.entries[id]; ok && time.Now().Before(e.until) {
		return e.Integration
	}
	return nil
}

// reading is when an integration was begun to be read.
type reading struct {
	at  time.Time
	age uint64
}

func (f *familiar) begin() reading {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return reading{time.Now(), f.age}
}

// put keeps an integration, unless it may have changed since it was read.
func (f *familiar) put(i *store.Integration, read reading) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if read.age != f.age {
		return
	}
	if f.entries == nil {
		f.entries = make(map[string]acquaintance)
	}
	f.entries[i.ID] = acquaintance{i, read.at.Add(familiarFor)}
}

func (f *familiar) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.age++
	clear(f.entries)
}
