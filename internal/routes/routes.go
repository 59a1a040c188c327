// Package routes keeps a list of every address that a server answers.
//
// Nothing is served that is not on the list, so that a test can try each
// address as somebody who must not see what is there, and a new one cannot be
// forgotten.
package routes

import (
	"net/http"
	"slices"
)

// Registrar takes routes: a Mux, or an http.ServeMux where nobody asks for the
// list.
type Registrar interface {
	Handle(pattern string, h http.Handler)
	HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request))
}

// Mux is an http.ServeMux that knows its patterns. The zero value is ready.
type Mux struct {
	mux      http.ServeMux
	patterns []string
}

// Handle registers a handler, and puts its pattern on the list.
func (m *Mux) Handle(pattern string, h http.Handler) {
	m.mux.Handle(pattern, h)
	m.patterns = append(m.patterns, pattern)
}

// HandleFunc is Handle for a function.
func (m *Mux) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	m.Handle(pattern, http.HandlerFunc(h))
}

// Part is a handler of many addresses that has a list of its own.
type Part interface {
	http.Handler
	Routes() []string
}

// Mount gives a part everything that the patterns say, and takes its list over
// in their place.
func (m *Mux) Mount(p Part, patterns ...string) {
	for _, pattern := range patterns {
		m.mux.Handle(pattern, p)
	}
	m.patterns = append(m.patterns, p.Routes()...)
}

// Handler tells what answers a request; see http.ServeMux.
func (m *Mux) Handler(r *http.Request) (h http.Handler, pattern string) { return m.mux.Handler(r) }

func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

// Routes lists all patterns, sorted.
func (m *Mux) Routes() []string { return slices.Sorted(slices.Values(m.patterns)) }
