package telemetry

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/telemetry/tracetest"
)

func traces(t *testing.T, url string, ratio float64) (*Traces, *exporter, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	o := TraceOptions{
		URL: url, Headers: "x-key=a%20secret", Ratio: ratio, Node: "a", Version: "1.2.3", Client: http.DefaultClient,
		Log: slog.New(slog.NewTextHandler(&log, nil)), Counts: NewSpanCounts(prometheus.NewRegistry()),
	}
	e, err := newExporter(o)
	if err != nil {
		t.Fatal(err)
	}
	e.pause = time.Millisecond
	made, err := newTraces(t.Context(), o, e)
	if err != nil {
		t.Fatal(err)
	}
	return made, e, &log
}

// counted tells how many spans had an outcome.
func counted(t *testing.T, e *exporter, outcome string) float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(e.counts)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range families[0].Metric {
		if m.Label[0].GetValue() == outcome {
			return m.Counter.GetValue()
		}
	}
	return -1
}

// A request has a span, with the route for a name, and what is done in it has spans
// within. What follows later is a trace of its own, linked to it.
func TestSpans(t *testing.T) {
	t.Parallel()
	c := tracetest.New(t, nil)
	made, _, _ := traces(t, c.URL, 1)
	var log bytes.Buffer
	var place Place
	mux := http.NewServeMux()
	mux.HandleFunc("POST /people/{id}", func(w http.ResponseWriter, r *http.Request) {
		ctx, span := Within(r.Context(), "accept", slog.String("outcome", "applied"))
		place = PlaceOf(ctx)
		span.End()
		Note(r.Context(), slog.String("organization", "acme"))
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(Requests(Logger(slog.NewTextHandler(&log, nil)), made, mux))
	for _, path := range []string{"/people/anna@example.com?phone=0470", "/healthz"} {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, strings.NewReader("anna"))
		if path == "/healthz" {
			r.Method = http.MethodGet
		}
		r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	server.Close()
	ctx, later := made.Begin(t.Context(), "deliver", []Place{place, nil, []byte("no place")})
	_, call := Call(ctx, "actito.Update")
	Happened(ctx, "the budget allows it")
	call.Fail("500")
	call.End()
	later.End()
	if err := made.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(c.Spans("")); n != 4 {
		t.Fatalf("there are %d spans: %+v", n, c.Spans(""))
	}
	request, accept := c.Spans("POST /people/{id}")[0], c.Spans("accept")[0]
	deliver, called := c.Spans("deliver")[0], c.Spans("actito.Update")[0]
	if request.Kind != "SPAN_KIND_SERVER" || request.Service != "consentsync" || !request.Failed || request.Attributes["consentsync.organization"] != "acme" ||
		request.Attributes["http.response.status_code"] != int64(503) || request.Parent != "" || request.Trace == "0af7651916cd43dd8448eb211c80319c" || request.Began >= request.Ended {
		t.Errorf("the request is %+v", request)
	}
	if accept.Parent != request.Span || accept.Trace != request.Trace || accept.Attributes["consentsync.outcome"] != "applied" {
		t.Errorf("accepting is %+v within %+v", accept, request)
	}
	if deliver.Trace == request.Trace || deliver.Parent != "" || !slices.Equal(deliver.Links, []string{accept.Trace + "/" + accept.Span}) || !slices.Equal(deliver.Events, []string{"the budget allows it"}) {
		t.Errorf("the delivery is %+v, to be linked to %+v", deliver, accept)
	}
	if called.Kind != "SPAN_KIND_CLIENT" || called.Parent != deliver.Span || !called.Failed || called.Attributes["error.type"] != "500" {
		t.Errorf("the call is %+v within %+v", called, deliver)
	}
	body, header, _ := c.Raw()
	if header.Get("X-Key") != "a secret" || bytes.Contains(body, []byte("anna")) || bytes.Contains(body, []byte("0470")) {
		t.Errorf("headers %v, body %q", header, body)
	}
	if !strings.Contains(log.String(), "trace="+request.Trace) {
		t.Errorf("the line does not name the trace: %s", &log)
	}
}

// Without traces, and for those that are not among the part that is made, there is
// no place to store. What serves one that is made is made too.
func TestPartOfTheTraces(t *testing.T) {
	t.Parallel()
	var off *Traces
	c := tracetest.New(t, nil)
	few, _, _ := traces(t, c.URL, 1e-12)
	for name, made := range map[string]*Traces{"off": off, "a part": few} {
		ctx, span := made.Begin(t.Context(), "one", nil, slog.String("a", "b"))
		ctx, inner := Call(ctx, "two")
		span.Set(slog.Bool("c", true))
		inner.Fail("x")
		inner.End()
		span.End()
		if p := PlaceOf(ctx); p != nil {
			t.Errorf("%s: there is a place %x", name, p)
		}
	}
	ctx, served := few.Begin(t.Context(), "served", []Place{bytes.Repeat([]byte{1}, 24)})
	if PlaceOf(ctx) == nil {
		t.Error("what serves a trace that is made is not made")
	}
	served.End()
	if err := few.Close(t.Context()); err != nil || off.Close(t.Context()) != nil {
		t.Fatal(err)
	}
	if spans := c.Spans(""); len(spans) != 1 || spans[0].Name != "served" {
		t.Errorf("there are %+v", spans)
	}
}

// A collector that is away for a moment is asked again. One that does not take
// spans costs their loss, which is told once, and nothing else.
func TestCollectorAway(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		answer            func(int) int
		requests          int
		exported, dropped float64
		log               string
	}{
		"for a moment":        {func(n int) int { return map[bool]int{true: 200, false: 503}[n > 2] }, 3, 1, 0, ""},
		"for long":            {func(int) int { return 503 }, 3, 0, 1, "it answers 503"},
		"it does not want it": {func(int) int { return 400 }, 1, 0, 1, "it answers 400"},
	} {
		c := tracetest.New(t, x.answer)
		made, e, log := traces(t, c.URL, 1)
		_, span := made.Begin(t.Context(), "one", nil)
		span.End()
		if err := made.Close(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, _, requests := c.Raw()
		exported, dropped := counted(t, e, spansExported), counted(t, e, spansDropped)
		if requests != x.requests || exported != x.exported || dropped != x.dropped || (x.log == "") != (log.Len() == 0) || !strings.Contains(log.String(), x.log) {
			t.Errorf("%s: %d requests, %v exported, %v dropped, log %q", name, requests, exported, dropped, log)
		}
	}
	// One that never answers is left behind in time.
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer server.Close()
	defer close(hang)
	made, _, _ := traces(t, server.URL, 1)
	for range 5000 { // more than are kept for it
		_, span := made.Begin(t.Context(), "one", nil)
		span.End()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := made.Close(ctx); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("closing took %v: %v", time.Since(began), err)
	}
}

func TestCollectorAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http://127.0.0.1:4318": "http://127.0.0.1:4318/v1/traces", "https://c.example/": "https://c.example/v1/traces",
		"https://c.example/otlp/v1/traces": "https://c.example/otlp/v1/traces", "127.0.0.1:4318": "", "grpc://c.example": "", "": "",
	} {
		if got, err := collectorURL(text); got != want || (err != nil) != (want == "") {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"secret", "a=%zz", "=b"} {
		if _, err := exportHeader(text); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
