package main

import (
	"fmt"
	"sync"
	"time"
)

// stopwatch measures from a choice to its effect.
type stopwatch struct {
	mu      sync.Mutex
	started map[string]time.Time
}

func newStopwatch() *stopwatch { return &stopwatch{started: make(map[string]time.Time)} }

func (s *stopwatch) start(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started[key] = time.Now()
}

// since tells how long ago the choice of key was made, in words.
func (s *stopwatch) since(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, known := s.started[key]
	if !known {
		return ""
	}
	return fmt.Sprintf("  after %d ms", time.Since(at).Milliseconds())
}
