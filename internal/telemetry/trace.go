package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Traces makes spans of OpenTelemetry, from a webhook to what it causes. nil
// makes none, and costs nothing.
//
// A span holds no personal data and no secret: names are those of routes and
// operations, people are named by their keyed hash, and of an error only its kind
// is told. Nothing of a trace is sent to Didomi or Actito.
type Traces struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// TraceOptions say where spans go.
type TraceOptions struct {
	// URL is where a collector takes them, by OTLP over HTTP; it gets the usual
	// path where it has none.
	URL string
	// Headers are sent with them, as in OTEL_EXPORTER_OTLP_HEADERS.
	Headers string
	// Ratio is the part of all traces that is made, above 0 up to 1.
	Ratio float64
	// Node and Version tell which process made them.
	Node, Version string
	Client        *http.Client
	Log           *slog.Logger
	Counts        *prometheus.CounterVec // of NewSpanCounts
}

// NewTraces begins to export spans in the background, until Close. A collector
// that cannot be reached holds up nobody: what it does not take is dropped, logged
// and counted.
func NewTraces(ctx context.Context, o TraceOptions) (*Traces, error) {
	to, err := newExporter(o)
	if err != nil {
		return nil, err
	}
	return newTraces(ctx, o, to)
}

func newTraces(ctx context.Context, o TraceOptions, to sdk.SpanExporter) (*Traces, error) {
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "consentsync"), attribute.String("service.version", o.Version), attribute.String("service.instance.id", o.Node),
	), resource.WithFromEnv()) // what the operator calls it comes last, and counts
	if err != nil {
		return nil, err
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(to), sdk.WithResource(about), sdk.WithSampler(sdk.ParentBased(sampler{sdk.TraceIDRatioBased(o.Ratio)})),
		sdk.WithoutPanicRecording()) // what a panic says may hold anything
	return &Traces{provider: provider, tracer: provider.Tracer("consentsync")}, nil
}

// sampler has a part of the traces made, and all of those that follow from one
// that is.
type sampler struct{ sdk.Sampler }

func (s sampler) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	if len(p.Links) > 0 {
		return sdk.AlwaysSample().ShouldSample(p)
	}
	return s.Sampler.ShouldSample(p)
}

// Close exports what is left, as far as there is time for it.
func (t *Traces) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// On tells whether traces are made at all.
func (t *Traces) On() bool { return t != nil }

// Place is where in a trace something was accepted, as it is stored with it:
// the ids of the trace and of the span. It is nil where no trace is made.
type Place []byte

// PlaceOf gives the place of the span that ctx belongs to.
func PlaceOf(ctx context.Context) Place {
	c := trace.SpanContextFromContext(ctx)
	if !c.IsSampled() {
		return nil
	}
	id, span := c.TraceID(), c.SpanID()
	return append(id[:], span[:]...)
}

// link leads to a place; ok is false for none.
func (p Place) link() (l trace.Link, ok bool) {
	var id trace.TraceID
	var span trace.SpanID
	if len(p) != len(id)+len(span) {
		return l, false
	}
	copy(id[:], p)
	copy(span[:], p[len(id):])
	c := trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: trace.FlagsSampled, Remote: true})
	return trace.Link{SpanContext: c}, c.IsValid()
}

// Span is something that takes time. nil is one that nobody looks at.
type Span struct{ span trace.Span }

// Begin starts the span of something that is done later, or for several at once:
// it has a trace of its own, which is linked to those that it serves. A trace that
// is linked to one is made wherever that is.
func (t *Traces) Begin(ctx context.Context, name string, serves []Place, attrs ...slog.Attr) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	var links []trace.Link
	for _, p := range serves {
		if l, ok := p.link(); ok {
			links = append(links, l)
		}
	}
	ctx, s := t.tracer.Start(ctx, name, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(links...))
	return begun(ctx, s, attrs)
}

// request starts the span of a request to us, unless it asks how the program is.
// It begins a trace: where a request says that it belongs to one this is not taken
// over, since anybody could say so.
func (t *Traces) request(ctx context.Context, r *http.Request) (context.Context, *Span) {
	if t == nil || quiet(r.URL.Path) {
		return ctx, nil
	}
	ctx, s := t.tracer.Start(ctx, "request", trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer))
	return begun(ctx, s, []slog.Attr{slog.String("http.request.method", r.Method)})
}

// answered ends the span of a request. Only now is its route known.
func (s *Span) answered(r *http.Request, status int, told *request) {
	if s == nil {
		return
	}
	s.span.SetName(pattern(r))
	s.Set(slog.String("http.route", pattern(r)), slog.Int("http.response.status_code", status), slog.String("request", told.id))
	s.Set(told.notes...)
	if status >= http.StatusInternalServerError {
		s.Fail(strconv.Itoa(status))
	}
	s.End()
}

// Within starts a span within the one that ctx belongs to; without one it does
// nothing.
func Within(ctx context.Context, name string, attrs ...slog.Attr) (context.Context, *Span) {
	return within(ctx, name, trace.SpanKindInternal, attrs)
}

// Call is Within for a request to somebody else.
func Call(ctx context.Context, name string, attrs ...slog.Attr) (context.Context, *Span) {
	return within(ctx, name, trace.SpanKindClient, attrs)
}

func within(ctx context.Context, name string, kind trace.SpanKind, attrs []slog.Attr) (context.Context, *Span) {
	outer := trace.SpanFromContext(ctx)
	if !outer.IsRecording() {
		return ctx, nil
	}
	ctx, s := outer.TracerProvider().Tracer("consentsync").Start(ctx, name, trace.WithSpanKind(kind))
	return begun(ctx, s, attrs)
}

func begun(ctx context.Context, s trace.Span, attrs []slog.Attr) (context.Context, *Span) {
	if !s.IsRecording() {
		return ctx, nil
	}
	span := &Span{s}
	span.Set(attrs...)
	return ctx, span
}

// Happened notes a moment in the span that ctx belongs to.
func Happened(ctx context.Context, what string) { trace.SpanFromContext(ctx).AddEvent(what) }

// Set tells something of a span. It must be no personal data.
func (s *Span) Set(attrs ...slog.Attr) {
	if s == nil {
		return
	}
	for _, a := range attrs {
		s.span.SetAttributes(attributeOf(a))
	}
}

// Fail says that it went wrong, and how in a word, which must be no personal data.
func (s *Span) Fail(kind string) {
	if s == nil {
		return
	}
	s.span.SetStatus(codes.Error, "")
	s.span.SetAttributes(attribute.String("error.type", kind))
}

// End ends the span.
func (s *Span) End() {
	if s != nil {
		s.span.End()
	}
}

// attributeOf keeps the names that OpenTelemetry has given a meaning, which have a
// dot, and puts ours apart from them.
func attributeOf(a slog.Attr) attribute.KeyValue {
	key := a.Key
	if !strings.Contains(key, ".") {
		key = "consentsync." + key
	}
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindInt64:
		return attribute.Int64(key, v.Int64())
	case slog.KindBool:
		return attribute.Bool(key, v.Bool())
	case slog.KindDuration:
		return attribute.Float64(key, v.Duration().Seconds())
	default:
		return attribute.String(key, v.String())
	}
}
