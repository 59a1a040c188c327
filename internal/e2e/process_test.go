package e2e_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"consentsync/internal/simulator"
	"consentsync/internal/store/pgtest"
)

// programDir holds the program once a test has asked for it.
var programDir string

// program builds the program as users run it, once for all tests.
var program = sync.OnceValues(func() (path string, err error) {
	if programDir, err = os.MkdirTemp("", "consentsync-e2e-"); err != nil {
		return "", err
	}
	path = filepath.Join(programDir, "consentsync")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "consentsync/cmd/consentsync").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	flag.Parse()
	atOnce()
	code := pgtest.Main(m)
	if programDir != "" {
		_ = os.RemoveAll(programDir)
	}
	os.Exit(code)
}

// atOnce has three tests for each processor run at once, unless -parallel says
// otherwise: nearly all of their time is spent waiting.
func atOnce() {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", strconv.Itoa(3*runtime.GOMAXPROCS(0))) // it is a number
	}
}

// process is the program in a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr output
	stdout output
	url    chan string   // gets the address once the program listens
	ended  chan struct{} // closed when it has ended
}

// The tests that are left out with -short, which is for the race detector.
const (
	crashes = "it crashes processes, into which the race detector does not see"
	timed   = "it is about how long things take, and under the race detector all take many times as long"
	another = "it is one more bulk load, and those take long under the race detector"
)

// parallelUnlessShort runs a test beside others, or leaves it out.
func parallelUnlessShort(t *testing.T, why string) {
	t.Helper()
	t.Parallel()
	if testing.Short() {
		t.Skip(why)
	}
}

// output collects what a process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// complaints is what the program has said on its standard error, but for the
// link that makes the first administrator.
func (p *process) complaints() string {
	said := p.stderr.String()
	before, link, found := strings.Cut(said, "Nobody can sign in to the console yet.")
	if !found {
		return said
	}
	lines := strings.SplitN(link, "\n", 3)
	return before + lines[len(lines)-1]
}

// launch starts the program; it is killed at the end of the test at the
// latest.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	return launchOf(t, program, nil, args...)
}

// launchOf is launch of a program that build makes, with more in its
// environment.
func launchOf(t *testing.T, build func() (string, error), env []string, args ...string) *process {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(path, args...), url: make(chan string, 1), ended: make(chan struct{})}
	p.cmd.Dir = t.TempDir()
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CONSENTSYNC_") {
			p.cmd.Env = append(p.cmd.Env, v)
		}
	}
	p.cmd.Env = append(append(p.cmd.Env, "CONSENTSYNC_ADMIN_TOKEN="+adminToken), env...)
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			_, _ = fmt.Fprintln(&p.stdout, lines.Text())
			if m := listens.FindStringSubmatch(lines.Text()); m != nil {
				p.url <- m[1]
			}
		}
		_ = p.cmd.Wait() // ProcessState has the result
	}()
	t.Cleanup(p.kill)
	return p
}

var listens = regexp.MustCompile(`^consentsync \S+ listens on (http://\S+)$`)

// ready waits until the program listens and gives its address.
func (p *process) ready() string {
	p.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case url := <-p.url:
		return url
	case <-p.ended:
	case <-late.C:
	}
	p.t.Fatalf("the program does not listen: %s%s", &p.stdout, &p.stderr)
	return ""
}

// kill ends the process as a crash would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// terminate asks the process to end, as an operator would.
func (p *process) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits until the process has ended by itself and gives its exit code.
func (p *process) exit() int {
	p.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-p.ended:
	case <-late.C:
		p.t.Fatalf("the program does not end: %s%s", &p.stdout, &p.stderr)
	}
	return p.cmd.ProcessState.ExitCode()
}

// spawn starts the program on the bundle's data directory in a process of its
// own.
func (b *bundle) spawn() *process {
	b.t.Helper()
	return b.spawnOf(program)
}

// spawnOf is spawn of a program that build makes.
func (b *bundle) spawnOf(build func() (string, error)) *process {
	b.t.Helper()
	args := []string{
		"serve", "--listen", "127.0.0.1:0", "--data", b.cfg.Data, "--allow-private-networks",
		"--readback-delay", b.cfg.ReadbackDelay.String(), "--log-level", "error",
	}
	for flag, value := range map[string]string{"--database": b.cfg.Database, "--public-url": b.cfg.PublicURL, "--didomi-url": b.cfg.DidomiURL} {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	return launchOf(b.t, build, b.env, append(args, b.flags...)...)
}

// setupProcess is setup with the program in a process of its own.
func setupProcess(t *testing.T, opts simulator.ActitoOptions) (*bundle, *process) {
	t.Helper()
	b := newBundle(t, opts)
	p := b.spawn()
	b.url = p.ready()
	b.enrol()
	return b, p
}
