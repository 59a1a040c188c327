// Package telemetry says what the program does: one log line for each request,
// with an id by which all other lines about it are found, the metrics that belong
// to no part of the program alone, and traces where somebody wants them.
//
// No line, label or span that is made here holds personal data: an address is told
// as the pattern of its route, without what stands in it.
package telemetry

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// contextKey finds the request in a context.
type contextKey struct{}

// Logger makes a logger whose lines about a request carry its id, and that of the
// trace, if one is made.
func Logger(h slog.Handler) *slog.Logger { return slog.New(handler{h}) }

type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, line slog.Record) error {
	if r, ok := ctx.Value(contextKey{}).(*request); ok {
		line.AddAttrs(slog.String("request", r.id))
	}
	if c := trace.SpanContextFromContext(ctx); c.IsSampled() {
		line.AddAttrs(slog.String("trace", c.TraceID().String()))
	}
	return h.Handler.Handle(ctx, line)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }

// Note adds to the line and the span about the request that ctx belongs to; without one it
// does nothing. What is noted must be no personal data. It may not be called
// after the request was answered.
func Note(ctx context.Context, attrs ...slog.Attr) {
	if r, ok := ctx.Value(contextKey{}).(*request); ok {
		r.notes = append(r.notes, attrs...)
	}
}
