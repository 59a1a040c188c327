// Package apitest holds answers to the API's OpenAPI document: an answer that
// passes is one that the document promises, in status, headers, content type
// and body.
package apitest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"consentsync/internal/api"
)

// Validator gives a function that fails the test when an answer is not one
// that the document promises to the request, or when the document has no such
// route. The function may be called from several goroutines.
func Validator(t testing.TB) func(req *http.Request, resp *http.Response, body []byte) {
	t.Helper()
	find, err := routing()
	if err != nil {
		t.Fatalf("the OpenAPI document: %v", err)
	}
	return func(req *http.Request, resp *http.Response, body []byte) {
		t.Helper()
		if err := check(find, req, resp, body); err != nil {
			t.Errorf("%s %s answered %d: %v", req.Method, req.URL.Path, resp.StatusCode, err)
		}
	}
}

// Transport validates every answer that passes through base; see Validator.
func Transport(t testing.TB, base http.RoundTripper) http.RoundTripper {
	t.Helper()
	return &transport{base, Validator(t)} //nolint:bodyclose // RoundTrip closes it before it validates
}

type transport struct {
	base     http.RoundTripper
	validate func(*http.Request, *http.Response, []byte)
}

// RoundTrip reads the whole body before it returns.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	t.validate(req, resp, body)
	return resp, nil
}

// finder finds the operation of a request; nil if there is none.
type finder func(*http.Request) *routers.Route

// routing reads the document once. Requests are matched as the server matches
// them, by a ServeMux with the document's paths, so that an encoded slash in
// an id means the same to both.
var routing = sync.OnceValues(func() (finder, error) {
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
	doc, err := openapi3.NewLoader().LoadFromData(api.Document())
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	routes := map[string]*routers.Route{}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			pattern := method + " " + path
			if strings.HasSuffix(path, "/") {
				pattern += "{$}" // it alone, not all below it
			}
			mux.Handle(pattern, http.NotFoundHandler())
			routes[pattern] = &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: operation}
		}
	}
	return func(req *http.Request) *routers.Route {
		_, pattern := mux.Handler(req)
		return routes[pattern]
	}, nil
})

func check(find finder, req *http.Request, resp *http.Response, body []byte) error {
	route := find(req)
	if route == nil {
		return fmt.Errorf("the OpenAPI document has no such route")
	}
	promised := route.Operation.Responses.Status(resp.StatusCode)
	if promised != nil && promised.Value != nil && len(promised.Value.Content) == 0 && len(body) > 0 {
		return fmt.Errorf("the OpenAPI document has no body for this status, the answer has %q", body)
	}
	options := &openapi3filter.Options{
		IncludeResponseStatus: true,
		MultiError:            true,
		AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
	}
	return openapi3filter.ValidateResponse(req.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: route, Options: options},
		Status:                 resp.StatusCode,
		Header:                 resp.Header,
		Body:                   io.NopCloser(bytes.NewReader(body)),
		Options:                options,
	})
}
