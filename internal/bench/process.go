package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// buildProgram makes the binary as `make build` does.
func buildProgram(ctx context.Context, to string) error {
	progress("building")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", to, "./cmd/consentsync") //nolint:gosec // a path of our own
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// process is a server under test.
type process struct {
	url   string
	ready time.Duration // from its start until it was ready
	cmd   *exec.Cmd
	ended chan error
}

// start runs a server that is told its address as the last argument, and waits
// until GET probe answers 200. It ends with ctx at the latest.
func start(ctx context.Context, probe string, env []string, name string, args ...string) (*process, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	p := &process{url: "http://" + address, ended: make(chan error, 1)}
	p.cmd = exec.CommandContext(ctx, name, append(args, address)...) //nolint:gosec // our own binaries
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = os.Stderr
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 20 * time.Second // then it is killed
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.ended <- p.cmd.Wait() }()
	for {
		if answers(ctx, p.url+probe) {
			p.ready = time.Since(began)
			return p, nil
		}
		select {
		case err := <-p.ended:
			return nil, fmt.Errorf("%s ended before it was ready: %w", name, errors.Join(err, ctx.Err()))
		case <-time.After(time.Millisecond):
		}
		if time.Since(began) > time.Minute {
			return nil, errors.Join(fmt.Errorf("%s is not ready after a minute", name), p.stop())
		}
	}
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func answers(ctx context.Context, url string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop ends the server and waits for it.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	killed := time.AfterFunc(20*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer killed.Stop()
	if err := <-p.ended; err != nil {
		return fmt.Errorf("a server ended badly: %w", err)
	}
	return nil
}

// metric reads one metric without labels.
func (p *process) metric(ctx context.Context, name string) (float64, error) {
	values, err := p.metrics(ctx, name+" ")
	if err == nil && len(values) == 0 {
		err = fmt.Errorf("there is no metric %s", name)
	}
	if err != nil {
		return 0, err
	}
	return values[0], nil
}

// sum adds up a metric over its labels; one that was never counted is 0.
func (p *process) sum(ctx context.Context, name string) (sum float64, err error) {
	values, err := p.metrics(ctx, name+"{")
	for _, v := range values {
		sum += v
	}
	return sum, err
}

// metrics reads those that begin so.
func (p *process) metrics(ctx context.Context, prefix string) (values []float64, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		fields := strings.Fields(line)
		value, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

// peakMemory gives the most resident memory that the server ever had, in bytes.
func (p *process) peakMemory() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("this system does not tell the peak of a process's memory")
}

// cpuTime gives the processor time that the server has used.
func (p *process) cpuTime() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold spaces; utime and stime are the 12th and
	// 13th fields after it, in hundredths of a second.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("this system does not tell a process's processor time")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}
