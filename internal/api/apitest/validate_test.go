package apitest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"consentsync/internal/api/apitest"
)

// spy is a test that notes its failures instead of failing.
type spy struct {
	testing.TB
	failures []string
}

func (s *spy) Helper() {}
func (s *spy) Errorf(format string, args ...any) {
	s.failures = append(s.failures, fmt.Sprintf(format, args...))
}

const (
	person = `{"organization_user_id":"ada","choices":[],"integrations":[%s]}`
	one    = `{"integration_id":"i","status":"synced","wanted":{"subscriptions":{"N":true},"attributes":{"a":null,"b":[1,"x"]}},` +
		`"known":{"subscriptions":{"N":null},"attributes":{"a":null,"b":{}}},` +
		`"why":{"N":{"path":"p","at":"2026-11-02T09:30:00.000000Z","reason":"event"}},` +
		`"left_out":[{"name":"c","reason":"r","attribute":true}],"last_error":"","calls":1,"next_at":null,"updated_at":"2026-11-02T09:30:00.000000Z"}`
	user  = "GET /v1/users/a%2Fb?organization_id=o"
	trace = "GET /v1/users/ada/trace?organization_id=o"
)

func TestValidator(t *testing.T) {
	t.Parallel()
	good := fmt.Sprintf(person, one)
	line := func(fields string) string { return `{"data":[{"at":"2026-11-02T09:30:00.000000Z",` + fields + `}]}` }
	unavailable := `{"code":503,"name":"Unavailable","message":"m","errors":{}}`

	for _, c := range []struct {
		name, request string
		status        int
		contentType   string // application/json where empty
		header        string // one header, "Name: value"
		body          string
		want          string // in the failure; none when empty
	}{
		{name: "a person", request: user, status: 200, body: good},
		{name: "a field that nobody documented", request: user, status: 200, body: strings.Replace(good, `"choices"`, `"more":1,"choices"`, 1), want: "more"},
		{name: "one deeper down", request: user, status: 200, body: strings.Replace(good, `"path"`, `"more":1,"path"`, 1), want: "more"},
		{name: "a field that is missing", request: user, status: 200, body: strings.Replace(good, `"last_error":"",`, "", 1), want: "last_error"},
		{name: "a null that is not promised", request: user, status: 200, body: strings.Replace(good, `"choices":[]`, `"choices":null`, 1), want: "choices"},
		{name: "a wanted subscription that is null", request: user, status: 200, body: strings.Replace(good, `"N":true`, `"N":null`, 1), want: "wanted"},
		{name: "a wanted attribute that is an object", request: user, status: 200, body: strings.Replace(good, `"a":null`, `"a":{}`, 1), want: "wanted"},
		{name: "an empty time", request: user, status: 200, body: strings.Replace(good, `"at":"2026-11-02T09:30:00.000000Z"`, `"at":""`, 1), want: "date-time"},
		{name: "a word that is not in the list", request: user, status: 200, body: strings.Replace(good, `"synced"`, `"on_its_way"`, 1), want: "status"},
		{name: "a status that is not promised", request: user, status: 202, body: good, want: "status is not supported"},
		{name: "another content type", request: user, status: 200, contentType: "text/plain", body: good, want: "Content-Type"},
		{name: "no JSON", request: user, status: 200, body: "{", want: "decode"},
		{name: "a route that is not there", request: "GET /v1/nowhere", status: 404, body: "{}", want: "no such route"},
		{name: "a method that is not there", request: "DELETE /healthz", status: 405, body: "", want: "no such route"},
		{name: "below the front page", request: "GET /index.html", status: 200, contentType: "text/html", body: "<!doctype html>", want: "no such route"},
		{name: "the front page", request: "GET /", status: 303, header: "Location: /login"},
		{name: "the front page, leading nowhere", request: "GET /", status: 303, want: "Location"},
		{name: "metrics", request: "GET /metrics", status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", body: "up 1\n"},
		{name: "an error", request: user, status: 503, header: "Retry-After: 5", body: unavailable},
		{name: "an error without when to come back", request: user, status: 503, body: unavailable, want: "Retry-After"},
		{name: "an error with the code of another", request: user, status: 503, header: "Retry-After: 5", body: strings.Replace(unavailable, "503", "500", 1), want: "code"},
		{name: "nothing, as promised", request: "DELETE /v1/marketplace/integrations/i", status: 204},
		{name: "something where nothing is promised", request: "DELETE /v1/marketplace/integrations/i", status: 204, body: "{}", want: "no body"},
		{name: "a line of an event", request: trace, status: 200, body: line(`"kind":"event","id":"1","type":"event.created"`)},
		{name: "a line of a call", request: trace, status: 200, body: line(`"kind":"call","call_id":"1","integration_id":"i","operation":"update","subscriptions":{"N":false}`)},
		{name: "a line of an answer", request: trace, status: 200, body: line(`"kind":"answer","call_id":"1","integration_id":"i","operation":"update","outcome":"ok"`)},
		{name: "a line of two kinds", request: trace, status: 200, body: line(`"kind":"event","id":"1","type":"event.created","outcome":"applied"`), want: "outcome"},
		{name: "a line of no kind", request: trace, status: 200, body: line(`"kind":"else","id":"1"`), want: "kind"},
		{name: "not ready", request: "GET /readyz", status: 503, body: `{"status":"unavailable","checks":{"database":"cannot be written"}}`},
		{name: "not ready, but ok", request: "GET /readyz", status: 503, body: `{"status":"ok","checks":{}}`, want: "status"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			method, target, _ := strings.Cut(c.request, " ")
			header := http.Header{"Content-Type": {"application/json"}}
			if c.contentType != "" {
				header.Set("Content-Type", c.contentType)
			}
			if name, value, ok := strings.Cut(c.header, ": "); ok {
				header.Set(name, value)
			}
			s := &spy{TB: t}
			apitest.Validator(s)(httptest.NewRequest(method, target, nil), &http.Response{StatusCode: c.status, Header: header}, []byte(c.body))
			failures := strings.Join(s.failures, "\n")
			switch {
			case c.want == "" && failures != "":
				t.Errorf("failed: %s", failures)
			case c.want != "" && !strings.Contains(failures, c.want):
				t.Errorf("failed with %q, want something about %q", failures, c.want)
			}
		})
	}
}

// TestTransport shows that an answer is validated and reaches the caller whole.
func TestTransport(t *testing.T) {
	t.Parallel()
	const body = `{"status":"ok","checks":{}}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	s := &spy{TB: t}
	client := &http.Client{Transport: apitest.Transport(s, http.DefaultTransport)}
	for path, failures := range map[string]int{"/healthz": 0, "/openapi.yaml": 1} {
		s.failures = nil
		resp, err := client.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(got) != body {
			t.Errorf("%s: the caller read %q, %v", path, got, err)
		}
		if len(s.failures) != failures {
			t.Errorf("%s: %d failures, want %d: %q", path, len(s.failures), failures, s.failures)
		}
	}
}
