package e2e_test

import (
	"context"
	"database/sql"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// While somebody else holds the database nothing is accepted, and Didomi is
// told when to come again; nothing of it is lost or half done.
func TestLockedDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	mustPut(t, b, anna)
	b.integrate(nil)
	b.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": yes()}))
	b.eventually("synced", func() bool { return b.synced(anna) })

	ctx := context.Background()
	db, err := sql.Open("sqlite", filepath.Join(b.cfg.Data, "consentsync.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b.eventually("the database is held", func() bool {
		_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		return err == nil
	})
	withdrawal := event("e2", anna, time.Now(), simulator.Choices{"newsletter": no()})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/webhooks/didomi/"+organization, encoded(t, withdrawal))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+b.token)
	start := time.Now()
	resp, err := b.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("the answer is %d with Retry-After %q, want 503 and a time", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	if took := time.Since(start); took > 9*time.Second {
		t.Errorf("the answer took %v: Didomi may have given up", took)
	}
	if status, _ := b.ask(http.MethodGet, "/readyz", ""); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %d", status)
	}
	if p := b.person(anna); len(p.Choices) != 1 || !p.Choices[0].Enabled {
		t.Errorf("the choices changed: %+v", p.Choices)
	}
	if _, err := conn.ExecContext(ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	b.send(withdrawal)
	b.eventually("it is delivered", func() bool { return !b.on(anna, "Newsletter") && b.synced(anna) })
	if status, _ := b.ask(http.MethodGet, "/readyz", ""); status != http.StatusOK {
		t.Errorf("/readyz answers %d", status)
	}
}

// A data directory has one process.
func TestSecondProcessRefusesToStart(t *testing.T) {
	t.Parallel()
	b, _ := setupProcess(t, simulator.ActitoOptions{})
	second := b.spawn()
	if code := second.exit(); code == 0 || !strings.Contains(second.stderr.String(), b.cfg.Data) {
		t.Errorf("the exit code is %d, and it says %q; want it to name %s", code, &second.stderr, b.cfg.Data)
	}
	b.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": yes()})) // the first goes on
}

// After SIGTERM the program lets what is under way end, and what it
// acknowledged is there.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	b, p := setupProcess(t, simulator.ActitoOptions{CallsPerMinute: -1, Latency: 100 * time.Millisecond})
	people := crowd("p", 200)
	id := b.integrate(nil)
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := i; n < len(people); n += 8 {
				status, _, err := b.try(event("e-"+people[n], people[n], time.Now(), simulator.Choices{"newsletter": yes()}))
				if err != nil {
					return // it listens no more
				}
				if status != http.StatusOK {
					t.Errorf("a webhook was answered %d", status)
				}
				mu.Lock()
				acknowledged[people[n]] = true
				mu.Unlock()
			}
		})
	}
	b.eventually("it is in the middle of it", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(acknowledged) > 40 && b.actito.CallCount(simulator.KindUpdate) > 1
	})
	start := time.Now()
	p.terminate()
	if code := p.exit(); code != 0 {
		t.Errorf("the exit code is %d: %s", code, &p.stderr)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v to end", took)
	}
	wg.Wait()
	for _, c := range b.actito.Calls() {
		if c.Kind == simulator.KindUpdate && c.Status == 0 {
			t.Errorf("a call was cut off")
		}
	}
	b.url = b.spawn().ready()
	for email := range acknowledged {
		if len(b.person(email).Choices) != 1 {
			t.Errorf("the acknowledged choice of %s is not there", email)
		}
	}
	b.eventually("all is delivered", func() bool {
		for email := range acknowledged {
			if !b.on(email, "Newsletter") {
				return false
			}
		}
		return true
	})
	if n := b.actito.CallCount(simulator.KindRead); n != 0 {
		t.Errorf("%d profiles were read back, though no call was cut off", n)
	}
	if v := b.integration(id); v.Status != "active" {
		t.Errorf("the integration is %s", v.Status)
	}
}

// What is wrong on the command line is named.
func TestCommandLineRefusals(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	for name, c := range map[string]struct {
		args []string
		says string
		code int
	}{
		"unknown flag":           {[]string{"serve", "--nonsense"}, "--nonsense", 2},
		"unknown command":        {[]string{"server"}, "server", 2},
		"no command":             {nil, "serve", 2},
		"token life no duration": {[]string{"serve", "--token-life", "1 hour"}, "--token-life", 2},
		"token life too long":    {[]string{"serve", "--token-life", "48h"}, "--token-life", 2},
		"token life too short":   {[]string{"serve", "--token-life", "1ms"}, "--token-life", 2},
		"database out of reach":  {[]string{"serve", "--database", "postgres://127.0.0.1:1/x?connect_timeout=2"}, "--database", 1},
		"public URL":             {[]string{"serve", "--public-url", "example.com"}, "--public-url", 2},
		"Didomi's URL":           {[]string{"serve", "--didomi-url", "ftp://example.com"}, "--didomi-url", 2},
		"read-back delay":        {[]string{"serve", "--readback-delay", "0s"}, "--readback-delay", 2},
		"confirm after":          {[]string{"serve", "--confirm-after", "-1s"}, "--confirm-after", 2},
		"log level":              {[]string{"serve", "--log-level", "loud"}, "--log-level", 2},
		"port in use":            {[]string{"serve", "--listen", taken.Addr().String()}, "--listen", 1},
		"no address":             {[]string{"serve", "--listen", "nowhere"}, "--listen", 1},
		"demo: port in use":      {[]string{"demo", "--listen", taken.Addr().String()}, "--listen", 1},
		"simulator: port in use": {[]string{"simulator", "--listen", taken.Addr().String()}, "--listen", 1},
		"data is a file":         {[]string{"serve", "--listen", "127.0.0.1:0", "--data", "/dev/null"}, "data directory", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := launch(t, c.args...)
			if code := p.exit(); code != c.code {
				t.Errorf("the exit code is %d, want %d", code, c.code)
			}
			if said := p.stderr.String(); !strings.Contains(said, c.says) || strings.Contains(said, "goroutine") {
				t.Errorf("it says %q, want it to name %s", said, c.says)
			}
			if p.stdout.String() != "" {
				t.Errorf("it prints %q", &p.stdout)
			}
		})
	}
}

func TestCommandLineAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		says []string
	}{
		"version":    {[]string{"version"}, []string{"consentsync"}},
		"help":       {[]string{"--help"}, []string{"serve", "demo", "simulator", "version", "CONSENTSYNC_ADMIN_TOKEN", "CONSENTSYNC_MASTER_KEY"}},
		"serve help": {[]string{"serve", "--help"}, []string{"--listen", "--data", "--token-life", "CONSENTSYNC_TOKEN_LIFE"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := launch(t, c.args...)
			if code := p.exit(); code != 0 {
				t.Errorf("the exit code is %d: %s", code, &p.stderr)
			}
			for _, text := range c.says {
				if !strings.Contains(p.stdout.String(), text) {
					t.Errorf("it says nothing of %s:\n%s", text, &p.stdout)
				}
			}
		})
	}
}

// The demo shows consent flowing, without any set-up.
func TestDemo(t *testing.T) {
	t.Parallel()
	p := launch(t, "demo", "--duration", "5s", "--pace", "200ms", "--listen", "127.0.0.1:0")
	if code := p.exit(); code != 0 {
		t.Errorf("the exit code is %d: %s", code, &p.stderr)
	}
	arrived := 0
	for line := range strings.Lines(p.stdout.String()) {
		if strings.Contains(line, "  Actito  ") && strings.Contains(line, "@example.com") {
			arrived++
		}
	}
	if arrived == 0 {
		t.Errorf("nothing arrived in Actito:\n%s", &p.stdout)
	}
}
