// Package telemetry says what the program does: one log line for each request,
// with an id by which all other lines about it are found, and the metrics that
// belong to no part of the program alone.
//
// No line and no label that is made here holds personal data: an address is
// logged as the pattern of its route, without what stands in it.
package telemetry

import (
	"context"
	"log/slog"
)

// contextKey finds the request in a context.
type contextKey struct{}

// Logger makes a logger whose lines about a request carry its id.
func Logger(h slog.Handler) *slog.Logger { return slog.New(handler{h}) }

type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, line slog.Record) error {
	if r, ok := ctx.Value(contextKey{}).(*request); ok {
		line.AddAttrs(slog.String("request", r.id))
	}
	return h.Handler.Handle(ctx, line)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }

// Note adds to the line about the request that ctx belongs to; without one it
// does nothing. What is noted must be no personal data. It may not be called
// after the request was answered.
func Note(ctx context.Context, attrs ...slog.Attr) {
	if r, ok := ctx.Value(contextKey{}).(*request); ok {
		r.notes = append(r.notes, attrs...)
	}
}
