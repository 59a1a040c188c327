// Package tracetest has a collector of traces for tests: a real server that takes
// OTLP over HTTP, and reads it as the protocol's own types do.
package tracetest

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	"google.golang.org/protobuf/proto"
)

// Span is what was told of one.
type Span struct {
	Name, Kind          string
	Trace, Span, Parent string
	Service             string
	Links               []string // trace/span
	Events              []string
	Failed              bool
	Attributes          map[string]any
	Began, Ended        uint64
}

// Collector takes spans.
type Collector struct {
	URL string

	mu       sync.Mutex
	spans    []Span
	raw      []byte
	requests int
	header   http.Header
}

// New starts a collector, which ends with the test. answer may refuse a request by
// its number, from 1, with a status; nil takes all.
func New(t testing.TB, answer func(n int) int) *Collector {
	t.Helper()
	c := &Collector{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.requests++
		if answer != nil {
			if status := answer(c.requests); status != http.StatusOK {
				w.WriteHeader(status)
				return
			}
		}
		var request collector.ExportTraceServiceRequest
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(body, &request) != nil {
			t.Errorf("%s %s of %q is no export of traces", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.raw, c.header = append(c.raw, body...), r.Header
		c.take(&request)
	}))
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

func (c *Collector) take(request *collector.ExportTraceServiceRequest) {
	for _, resource := range request.ResourceSpans {
		about := values(resource.Resource.Attributes)
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				span := Span{
					Name: s.Name, Kind: s.Kind.String(), Trace: hex.EncodeToString(s.TraceId), Span: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId),
					Failed: s.Status.GetCode() != 0, Attributes: values(s.Attributes), Began: s.StartTimeUnixNano, Ended: s.EndTimeUnixNano,
				}
				span.Service, _ = about["service.name"].(string)
				for _, l := range s.Links {
					span.Links = append(span.Links, hex.EncodeToString(l.TraceId)+"/"+hex.EncodeToString(l.SpanId))
				}
				for _, e := range s.Events {
					span.Events = append(span.Events, e.Name)
				}
				c.spans = append(c.spans, span)
			}
		}
	}
}

func values(list []*common.KeyValue) map[string]any {
	found := make(map[string]any, len(list))
	for _, kv := range list {
		switch v := kv.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			found[kv.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			found[kv.Key] = v.IntValue
		case *common.AnyValue_BoolValue:
			found[kv.Key] = v.BoolValue
		case *common.AnyValue_DoubleValue:
			found[kv.Key] = v.DoubleValue
		}
	}
	return found
}

// Spans gives those with a name that were taken so far, or all for none.
func (c *Collector) Spans(name string) (found []Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if name == "" || s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// Raw gives all bytes that were taken, the headers of the last request, and how
// many requests there were, refused ones included.
func (c *Collector) Raw() (body []byte, header http.Header, requests int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raw, c.header, c.requests
}
