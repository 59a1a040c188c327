package deliver

import (
	"context"
	"log/slog"

	"consentsync/internal/consent"
	"consentsync/internal/store"
	"consentsync/internal/telemetry"
)

// Traced is what traces need of the database.
type Traced interface {
	TracesOf(ctx context.Context, organization string, p store.PersonKey, since consent.Time) ([][]byte, error)
}

// traced begins the span of something that is done about a person because of what
// was accepted since a time. One call may serve several webhooks, and another node
// may have accepted them, so the span belongs to none of theirs, and is linked to
// all.
func (c *courier) traced(ctx context.Context, name string, d store.DeliveryKey, since consent.Time) (context.Context, *telemetry.Span) {
	return c.tracedFor(ctx, name, d.IntegrationKey(), c.places(ctx, d, since), slog.String("person", d.Person.String()))
}

func (c *courier) tracedFor(ctx context.Context, name string, k store.IntegrationKey, serves []telemetry.Place, attrs ...slog.Attr) (context.Context, *telemetry.Span) {
	return c.traces.Begin(ctx, name, serves, append(attrs, slog.String("organization", k.Organization), slog.String("integration", k.ID))...)
}

// places gives where that was accepted. A trace is not worth a delivery: what the
// store does not tell is left out.
func (c *courier) places(ctx context.Context, d store.DeliveryKey, since consent.Time) (places []telemetry.Place) {
	if !c.traces.On() {
		return nil
	}
	found, err := c.store.TracesOf(ctx, d.Organization, d.Person, since)
	if err != nil {
		c.log.DebugContext(ctx, "what a delivery serves is not traced", "error", err)
	}
	for _, p := range found {
		places = append(places, p)
	}
	return places
}

// tellSpan begins the span of a call that tells Didomi of several people.
func (c *courier) tellSpan(ctx context.Context, i *store.Integration, batch []*telling) (context.Context, *telemetry.Span) {
	var serves []telemetry.Place
	for _, t := range batch {
		serves = append(serves, c.places(ctx, t.DeliveryKey, sinceOf(t.Delivery))...)
	}
	k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
	return c.tracedFor(ctx, "tell", k, serves[:min(len(serves), store.MostTraced)], slog.Int("people", len(batch)))
}

// sinceOf tells since when there are events that a delivery serves: since it is
// due, or since the last call ended, whatever was earlier.
func sinceOf(d *store.Delivery) consent.Time { return min(d.DueAt, d.UpdatedAt) }

// failed says of a span how its call ended, if it failed.
func failed(span *telemetry.Span, err error) {
	if err != nil {
		span.Fail(outcomeOf(err))
	}
}

// logCall writes the line about a call. That of a load, or of a read because of
// news, is about no one person, or nobody yet.
func (c *courier) logCall(ctx context.Context, call store.Call) {
	attrs := []slog.Attr{slog.String("organization", call.Organization), slog.String("integration", call.Integration)}
	if call.Person != (store.PersonKey{}) {
		attrs = append(attrs, slog.String("person", call.Person.String()))
	}
	c.log.LogAttrs(ctx, slog.LevelInfo, "call", append(attrs, slog.String("call", call.ID.String()), slog.String("operation", call.Operation),
		slog.String("outcome", call.Outcome), slog.Int64("milliseconds", call.AnsweredAt.Sub(call.StartedAt).Milliseconds()))...)
}
