package telemetry

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A request has one line, with what its handler noted, and all lines about it
// have the id that the answer tells. What stands in the address is in none.
func TestOneLineARequest(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := Logger(slog.NewTextHandler(&out, nil)).With("node", "a")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/users/{id}", func(w http.ResponseWriter, r *http.Request) {
		log.WarnContext(r.Context(), "something else")
		Note(r.Context(), slog.String("organization", "acme"))
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("x"))
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("GET /metrics", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(Requests(log, nil, mux))
	defer server.Close()
	var ids []string
	for _, path := range []string{"/v1/users/anna@example.com?organization_id=acme", "/metrics", "/nowhere/anna@example.com"} {
		resp, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		ids = append(ids, resp.Header.Get(RequestHeader))
	}
	server.Close() // the last line is written after the answer
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, line := range lines {
		_, line, _ = strings.Cut(line, " ")
		lines[i] = regexp.MustCompile(`milliseconds=\d+`).ReplaceAllString(line, "milliseconds=N")
	}
	for _, want := range []string{ // in any order: the next request may be faster than the line of the last
		`level=WARN msg="something else" node=a request=` + ids[0],
		`level=INFO msg=request node=a pattern="GET /v1/users/{id}" status=418 milliseconds=N organization=acme request=` + ids[0],
		`level=INFO msg=request node=a pattern=none status=404 milliseconds=N request=` + ids[2],
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("there is no line\n%s in\n%s", want, &out)
		}
	}
	if len(lines) != 3 || ids[0] == ids[2] || strings.Contains(out.String(), "anna") {
		t.Errorf("the log is\n%s", &out)
	}
}
