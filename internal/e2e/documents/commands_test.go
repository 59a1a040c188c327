package documents_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"consentsync/internal/docs"
	"consentsync/internal/simulator"
)

// shellOf makes a shell that stops at the first command that fails, shows each
// before it runs, and takes everything that it started with it when it is ended.
func shellOf(ctx context.Context, commands string) *exec.Cmd {
	shell := exec.CommandContext(ctx, "bash", "-euxo", "pipefail", "-c", commands)
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	shell.WaitDelay = time.Second
	return shell
}

// commands gives those of a page that are to be run, and tells which are not,
// and why.
func commands(t *testing.T, page string) string {
	t.Helper()
	fences, err := docs.Fences(page, read(t, page))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	left := 0
	for _, f := range fences {
		switch reason := f.NotRun(); {
		case reason != "":
			left++
			t.Logf("%s:%d is not run: %s", page, f.Line, reason)
		case f.Info == "sh":
			fmt.Fprintf(&all, ": %s:%d\n%s", page, f.Line, f.Text)
		case strings.HasPrefix(f.Info, "sh"), f.Language() == "bash", f.Language() == "console":
			t.Errorf("%s:%d: %q: commands are marked sh, and are run; or \"sh not run: \" and why", page, f.Line, f.Info)
		}
	}
	t.Logf("%s: %d blocks of commands are not run", page, left)
	return all.String()
}

// TestCommandsOfPages runs the commands of each page of docs in one shell,
// against a server of its own on which one person has chosen.
func TestCommandsOfPages(t *testing.T) {
	t.Parallel()
	ran := 0
	for _, page := range pagesOf(t) {
		script := commands(t, page)
		if script == "" {
			continue
		}
		ran++
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel()
			in := install(t)
			id := in.integrate("examples/integration-full.json")
			in.tell(simulator.EventCreated(organization, simulator.Event{
				ID: "e1", DidomiUserID: "d1", OrganizationUserID: "anna@example.com", CreatedAt: time.Now(),
				Purposes: simulator.Choices{"newsletter": new(true)}, Metadata: map[string]any{"firstName": "Anna"},
			}))
			dir := in.workplace()
			backup := filepath.Join(dir, "backup")
			if err := os.Mkdir(backup, 0o700); err != nil {
				t.Fatal(err)
			}
			script = strings.NewReplacer(
				"http://127.0.0.1:8080", in.url, "http://127.0.0.1:8090", in.actitoURL, "/var/lib/consentsync", in.data, "/backup/", backup+"/",
			).Replace(script)
			run(t, dir, script, append(environment(in.url), "ID="+id)...)
		})
	}
	if ran < 6 {
		t.Errorf("only %d pages have commands that are run", ran)
	}
}

// TestReadme follows the README: the simulated Actito, the server, the
// integration and the first consent, which has to reach the profile.
func TestReadme(t *testing.T) {
	t.Parallel()
	script := commands(t, "README.md")
	programs, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(programs, filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	server, actito := freeAddress(t), freeAddress(t)
	addresses := strings.NewReplacer("127.0.0.1:8080", server, "127.0.0.1:8090", actito)
	if err := os.CopyFS(filepath.Join(dir, "examples"), os.DirFS(root+"examples")); err != nil {
		t.Fatal(err)
	}
	simulated := filepath.Join(dir, "examples", "integration-simulated.json")
	if err := os.WriteFile(simulated, []byte(addresses.Replace(read(t, "examples/integration-simulated.json"))), 0o600); err != nil {
		t.Fatal(err)
	}
	said := run(t, dir, addresses.Replace(script), "CONSENTSYNC_URL=http://"+server)
	for _, want := range []string{`"status":"synced"`, `"Newsletter":true`, "is active"} {
		if !strings.Contains(said, want) {
			t.Errorf("nothing said %s", want)
		}
	}
}

// freeAddress gives one at which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
