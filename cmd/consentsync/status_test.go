package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/reply"
)

// ran is what became of a command.
type ran struct {
	code     int
	out, err string
}

// command runs one as from the shell.
func command(t *testing.T, input string, args ...string) ran {
	t.Helper()
	var out, err strings.Builder
	code := run(t.Context(), args, streams{strings.NewReader(input), &out, &err})
	return ran{code, out.String(), err.String()}
}

// refuses checks that a command failed with a code and a sentence.
func (r ran) refuses(t *testing.T, code int, sentences ...string) {
	t.Helper()
	if r.code != code || r.out != "" {
		t.Errorf("exit code %d and output %q, want %d and none", r.code, r.out, code)
	}
	for _, s := range sentences {
		if !strings.Contains(r.err, s) {
			t.Errorf("no %q in %q", s, r.err)
		}
	}
}

// The tests that set variables cannot run beside others.
func TestStatusOfTheProgram(t *testing.T) {
	ctx := t.Context()
	c, data := running(t)
	_, far := farEnd(t)
	_, id, err := setUp(ctx, c, far)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONSENTSYNC_ADMIN_TOKEN", "")

	for _, which := range [][]string{{"--organization", demoOrganization}, {"--integration", id}, {"--organization", demoOrganization, "--integration", id}} {
		got := command(t, "", append([]string{"status", "--url", c.url, "--data", data}, which...)...)
		for _, want := range []string{id + " acme / Profiles\n", "status      active\n", "pace        ", "due         "} {
			if got.code != 0 || !strings.Contains(got.out, want) {
				t.Errorf("%v: no %q in %+v", which, want, got)
			}
		}
	}
	command(t, "", "status", "--url", c.url, "--data", data, "--organization", "nobody").
		refuses(t, 1, `organization "nobody" has no integrations`, "--organization")
	command(t, "", "status", "--url", c.url, "--data", data, "--integration", "none").
		refuses(t, 1, `there is no integration "none"`, "--integration")
	command(t, "", "status", "--url", c.url, "--data", data, "--integration", id, "--organization", "other").
		refuses(t, 1, "in organization other")
	t.Setenv("CONSENTSYNC_ADMIN_TOKEN", "wrong-token")
	refused := command(t, "", "status", "--url", c.url, "--data", data, "--organization", demoOrganization)
	refused.refuses(t, 1, "refuses the administrator's token", "CONSENTSYNC_ADMIN_TOKEN")
	if strings.Contains(refused.err, "wrong-token") {
		t.Errorf("the token is told: %q", refused.err)
	}
}

func TestStatusSaysWhatToDo(t *testing.T) {
	t.Setenv("CONSENTSYNC_ADMIN_TOKEN", "a-token")
	closed := httptest.NewServer(nil)
	closed.Close()
	command(t, "", "status", "--organization", "acme", "--url", closed.URL).
		refuses(t, 1, "no server can be reached at "+closed.URL, "connection refused", "--url")
	command(t, "", "status", "--organization", "acme", "--url", "127.0.0.1:8080").refuses(t, 2, "--url: must be an http or https address")
	command(t, "", "status", "--organization", "acme", "--every", "1ms").refuses(t, 2, "--every: must be 1s or longer")
	command(t, "", "status").refuses(t, 2, "--organization", "--integration")
	command(t, "", "status", "--organisation", "acme").refuses(t, 2, "unknown flag --organisation")

	for name, h := range map[string]http.HandlerFunc{
		"another server":       func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) },
		"a page":               func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"a redirect":           func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) },
		"errors of its own":    func(w http.ResponseWriter, _ *http.Request) { reply.JSON(w, 500, map[string]int{"code": 500}) },
		"JSON of another kind": func(w http.ResponseWriter, _ *http.Request) { reply.JSON(w, 200, []int{1}) },
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(h)
			defer server.Close()
			command(t, "", "status", "--organization", "acme", "--url", server.URL).refuses(t, 1, server.URL+" is not a consentsync server", "--url")
		})
	}
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reply.Error(w, consent.Errorf(consent.Transient, "test", "the database is locked"))
	}))
	defer busy.Close()
	command(t, "", "status", "--organization", "acme", "--url", busy.URL).refuses(t, 1, "the database is locked")

	t.Setenv("CONSENTSYNC_ADMIN_TOKEN", "")
	command(t, "", "status", "--organization", "acme").refuses(t, 1, "set CONSENTSYNC_ADMIN_TOKEN", "--data")
	empty := t.TempDir()
	command(t, "", "status", "--organization", "acme", "--data", empty).refuses(t, 1, "--data", filepath.Join(empty, "admin-token"))
	if err := os.WriteFile(filepath.Join(empty, "admin-token"), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "", "status", "--organization", "acme", "--data", empty).refuses(t, 1, "--data", "it is empty")
}

// pages is a server of an organization with three integrations in two pages, of
// which one was deleted meanwhile.
func pages(w http.ResponseWriter, r *http.Request) {
	list := func(next any, ids ...string) {
		data := []map[string]any{}
		for _, id := range ids {
			data = append(data, map[string]any{"id": id, "status": "active"})
		}
		reply.JSON(w, http.StatusOK, map[string]any{"data": data, "next": next})
	}
	switch q := r.URL.Query(); {
	case r.Header.Get("Authorization") != "Bearer a-token":
		reply.Error(w, consent.Errorf(consent.Unauthorized, "test", "no"))
	case r.URL.Path == integrations && q.Get("organization_id") != "acme & co":
		list(nil)
	case r.URL.Path == integrations && q.Get("cursor") == "":
		list("two", "one", "two")
	case r.URL.Path == integrations && q.Get("cursor") == "two":
		list(nil, "three")
	case r.URL.Path == integrations+"/two/plan":
		reply.Error(w, consent.Errorf(consent.NotFound, "test", "no such integration"))
	default:
		reply.JSON(w, http.StatusOK, map[string]any{"integration_id": "x"})
	}
}

func TestStatusFollowsThePages(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(pages))
	defer server.Close()
	s := statusCommand{remote: remote{URL: server.URL}, Organization: "acme & co"}
	seen, err := s.look(t.Context(), &client{url: server.URL, token: "a-token"})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, i := range seen.integrations {
		ids = append(ids, i.ID)
	}
	if got := strings.Join(ids, " "); got != "one three" {
		t.Errorf("shown are %q, want those of both pages that are still there", got)
	}
}

// screens keeps what was drawn, and tells of each screen.
type screens struct {
	mu    sync.Mutex
	drawn []string
	on    func(n int)
}

func (s *screens) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drawn = append(s.drawn, string(b))
	s.on(len(s.drawn))
	return len(b), nil
}

// The live view goes on while the server is away, shows what it saw last, and
// ends without an error.
func TestStatusWatches(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	server := httptest.NewServer(http.HandlerFunc(pages))
	defer server.Close()
	out := &screens{on: func(n int) {
		switch n {
		case 2:
			server.CloseClientConnections()
			server.Close()
		case 4:
			stop()
		}
	}}
	s := statusCommand{remote: remote{URL: server.URL}, Organization: "acme & co", Every: time.Millisecond}
	size := func() (columns, rows int) { return 80, 0 }
	if err := s.watch(ctx, &client{url: server.URL, token: "a-token"}, out, size); err != nil {
		t.Fatal(err)
	}
	for n, screen := range out.drawn {
		if !strings.HasPrefix(screen, clearScreen) || !strings.Contains(screen, "\none /\n") {
			t.Errorf("screen %d: %q", n, screen)
		}
		if away := strings.Contains(screen, "no server can be reached"); away != (n >= 2) {
			t.Errorf("screen %d tells of trouble: %v", n, away)
		}
	}
	if len(out.drawn) != 4 {
		t.Errorf("%d screens", len(out.drawn))
	}
	// A server that is not there to begin with is an error.
	if err := s.watch(t.Context(), &client{url: server.URL, token: "a-token"}, out, size); err == nil {
		t.Error("no error of a server that cannot be reached")
	}
}

// An interrupt while the server is asked is no error either.
func TestStatusIsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		stop()
		<-r.Context().Done()
	}))
	defer server.Close()
	s := statusCommand{remote: remote{URL: server.URL}, Organization: "acme", Every: time.Hour}
	none := &screens{on: func(int) { t.Error("something was drawn") }}
	if err := s.watch(ctx, &client{url: server.URL, token: "a-token"}, none, func() (columns, rows int) { return 80, 0 }); err != nil {
		t.Error(err)
	}
}

// What the program reads of an integration is what the API gives.
func TestListedReadsTheView(t *testing.T) {
	t.Parallel()
	var i listed
	err := json.Unmarshal([]byte(`{"id":"a","status":"suspended","status_reason":"why","properties":{"entity_id":"e","table_name":"t","calls_per_minute":9},
		"reprojection":{"state":"asking","people":5,"withdrawals":1,"grants":4},"snapshot":{"subscriptions":[]}}`), &i)
	if err != nil || i.ID != "a" || i.Status != "suspended" || i.StatusReason != "why" || i.Properties.EntityID != "e" || i.Properties.TableName != "t" || i.Reprojection.Grants != 4 {
		t.Errorf("%+v, %v", i, err)
	}
}
