package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resources "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	spans "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// exporter sends spans to a collector by OTLP over HTTP, in protobuf
// (https://opentelemetry.io/docs/specs/otlp/#otlphttp).
type exporter struct {
	url    string
	header http.Header
	client *http.Client
	log    *slog.Logger
	counts *prometheus.CounterVec
	pause  time.Duration // before a batch is sent again
	down   atomic.Bool
}

var _ sdk.SpanExporter = (*exporter)(nil)

// What became of spans.
const (
	spansExported = "exported"
	spansDropped  = "dropped"
)

func newExporter(o TraceOptions) (*exporter, error) {
	to, err := collectorURL(o.URL)
	if err != nil {
		return nil, err
	}
	header, err := exportHeader(o.Headers)
	if err != nil {
		return nil, err
	}
	return &exporter{url: to, header: header, client: o.Client, log: o.Log, counts: o.Counts, pause: time.Second}, nil
}

// NewSpanCounts makes the metric of what became of spans, which is there whether
// traces are made or not.
func NewSpanCounts(r prometheus.Registerer) *prometheus.CounterVec {
	counts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "consentsync_trace_spans_total", Help: "Spans for the collector by what became of them.",
	}, []string{"outcome"})
	r.MustRegister(counts)
	for _, outcome := range []string{spansExported, spansDropped} {
		counts.WithLabelValues(outcome)
	}
	return counts
}

// collectorURL gives the address the path that the protocol names, where it has
// none.
func collectorURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", fmt.Errorf("must be an http or https address, such as http://127.0.0.1:4318")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	return u.String(), nil
}

// exportHeader reads what OTEL_EXPORTER_OTLP_HEADERS holds: name=value, apart by
// commas, the values escaped as in an address
// (https://opentelemetry.io/docs/specs/otel/protocol/exporter/).
func exportHeader(text string) (http.Header, error) {
	header := http.Header{}
	for part := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, value, found := strings.Cut(part, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !found || name == "" || err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_HEADERS: must be name=value, apart by commas")
		}
		header.Set(name, value)
	}
	return header, nil
}

// tries is how often a batch is sent that was not taken.
const tries = 3

// ExportSpans sends a batch. It never fails: what is wrong is logged, once until
// it is right again.
func (e *exporter) ExportSpans(ctx context.Context, batch []sdk.ReadOnlySpan) error {
	body, err := proto.Marshal(requestOf(batch))
	for n := 1; err == nil; n++ {
		var again bool
		if again, err = e.post(ctx, body); err == nil || !again || n == tries {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(e.pause):
			err = nil
		}
	}
	if err == nil {
		e.counts.WithLabelValues(spansExported).Add(float64(len(batch)))
		if e.down.Swap(false) {
			e.log.InfoContext(ctx, "the collector takes traces again")
		}
		return nil
	}
	e.counts.WithLabelValues(spansDropped).Add(float64(len(batch)))
	if !e.down.Swap(true) {
		e.log.WarnContext(ctx, "the collector does not take traces, which are dropped until it does", "error", err)
	}
	return nil
}

// post sends a batch once; again says that it may be taken later.
func (e *exporter) post(ctx context.Context, body []byte) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header = e.header.Clone()
	req.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := e.client.Do(req)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // keeps the connection
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		again = true
	}
	if resp.StatusCode/100 != 2 {
		return again, fmt.Errorf("it answers %d", resp.StatusCode)
	}
	return false, nil
}

// Shutdown has nothing to end: each batch waits for its answer.
func (e *exporter) Shutdown(context.Context) error { return nil }

// requestOf says what a batch holds in the protocol's words. All spans of it are
// of one process and one part of it.
func requestOf(batch []sdk.ReadOnlySpan) *collector.ExportTraceServiceRequest {
	list := make([]*spans.Span, len(batch))
	for i, s := range batch {
		list[i] = spanOf(s)
	}
	about := batch[0]
	return &collector.ExportTraceServiceRequest{ResourceSpans: []*spans.ResourceSpans{{
		Resource:   &resources.Resource{Attributes: valuesOf(about.Resource().Attributes())},
		ScopeSpans: []*spans.ScopeSpans{{Scope: &common.InstrumentationScope{Name: about.InstrumentationScope().Name}, Spans: list}},
	}}}
}

func spanOf(s sdk.ReadOnlySpan) *spans.Span {
	c, parent := s.SpanContext(), s.Parent().SpanID()
	id, span := c.TraceID(), c.SpanID()
	to := &spans.Span{
		TraceId: id[:], SpanId: span[:], Name: s.Name(), Kind: spans.Span_SpanKind(s.SpanKind()), //nolint:gosec // both count alike, up to 5
		StartTimeUnixNano: nanoseconds(s.StartTime()), EndTimeUnixNano: nanoseconds(s.EndTime()), Attributes: valuesOf(s.Attributes()),
		Flags: uint32(c.TraceFlags()), Status: &spans.Status{},
	}
	if s.Parent().IsValid() {
		to.ParentSpanId = parent[:]
	}
	if s.Status().Code == codes.Error {
		to.Status.Code = spans.Status_STATUS_CODE_ERROR
	}
	for _, e := range s.Events() {
		to.Events = append(to.Events, &spans.Span_Event{TimeUnixNano: nanoseconds(e.Time), Name: e.Name, Attributes: valuesOf(e.Attributes)})
	}
	for _, l := range s.Links() {
		id, span := l.SpanContext.TraceID(), l.SpanContext.SpanID()
		to.Links = append(to.Links, &spans.Span_Link{TraceId: id[:], SpanId: span[:], Flags: uint32(l.SpanContext.TraceFlags())})
	}
	return to
}

func nanoseconds(t time.Time) uint64 { return uint64(t.UnixNano()) }

func valuesOf(attributes []attribute.KeyValue) []*common.KeyValue {
	list := make([]*common.KeyValue, len(attributes))
	for i, a := range attributes {
		var v common.AnyValue
		switch a.Value.Type() {
		case attribute.BOOL:
			v.Value = &common.AnyValue_BoolValue{BoolValue: a.Value.AsBool()}
		case attribute.INT64:
			v.Value = &common.AnyValue_IntValue{IntValue: a.Value.AsInt64()}
		case attribute.FLOAT64:
			v.Value = &common.AnyValue_DoubleValue{DoubleValue: a.Value.AsFloat64()}
		default:
			v.Value = &common.AnyValue_StringValue{StringValue: a.Value.String()}
		}
		list[i] = &common.KeyValue{Key: string(a.Key), Value: &v}
	}
	return list
}
