// Command bench measures the whole program on this machine and says how its
// figures compare with what is asked of it.
//
// Every figure is taken from the real binary, over HTTP on the loopback
// interface, or from its real parts in simulated time, and is put beside a
// baseline. Answers other than 2xx make the run fail; they are never counted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	only     string
	people   int
	profiles int
	clients  int
	rounds   int
	round    time.Duration
	limit    time.Duration
	data     string
	profile  string
	write    string
}

// part is what can be run alone.
type part struct {
	name string
	run  func(*bench, context.Context, *report) error
}

var parts = []part{
	{"accept", (*bench).accept},
	{"calls", (*bench).calls},
	{"twoway", (*bench).twoWay},
	{"lanes", (*bench).lanes},
	{"bulk", (*bench).bulk},
	{"postgres", (*bench).postgres},
	{"simulate", (*bench).simulate},
	{"import", (*bench).importing},
	{"reconcile", (*bench).reconciling},
	{"console", (*bench).console},
}

func main() {
	if len(os.Args) > 1 {
		if child, ok := children[os.Args[1]]; ok {
			exit(child(os.Args[2:]))
		}
	}
	var o options
	flag.StringVar(&o.only, "only", "", "run one part only: accept (with memory and start), calls, twoway, lanes, bulk, postgres, simulate, import, reconcile or console")
	flag.IntVar(&o.people, "people", 1_000_000, "people in the store before anything is measured")
	flag.IntVar(&o.profiles, "profiles", 1_000_000, "changed profiles that go by bulk")
	flag.IntVar(&o.clients, "clients", 64, "clients that post webhooks at once")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of each server, in turn")
	flag.DurationVar(&o.round, "round", 6*time.Second, "time measured in a round, after a second of warming up")
	flag.DurationVar(&o.limit, "limit", 90*time.Minute, "give up after this time")
	flag.StringVar(&o.data, "data", "", "keep the filled database in this `directory`, and use it if it is filled; for the profiler's sake, not for figures")
	flag.StringVar(&o.profile, "profile", "", "write the CPU profile of a server that accepts Didomi's webhooks, with -only twoway Actito's, to this `file` instead of measuring")
	flag.StringVar(&o.write, "write", "docs/benchmarks.md", "`file` whose figures are replaced when everything was run; empty for none")
	flag.Parse()
	if o.only != "" && !slices.ContainsFunc(parts, func(p part) bool { return p.name == o.only }) {
		exit(fmt.Errorf("there is no part %q", o.only))
	}
	exit(measure(o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// measure runs what was asked for and reports it. Whatever it started has ended
// when it returns.
func measure(o options) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	defer func() {
		if why := ctx.Err(); why != nil {
			err = errors.Join(why, err)
		}
	}()
	dir, err := os.MkdirTemp("", "consentsync-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	b := &bench{options: o, dir: dir, binary: filepath.Join(dir, "consentsync")}
	if err := buildProgram(ctx, b.binary); err != nil {
		return err
	}
	var r report
	if o.profile != "" {
		return b.profileAccept(ctx)
	}
	for _, p := range parts {
		if o.only != "" && o.only != p.name {
			continue
		}
		if err := p.run(b, ctx, &r); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	text := r.text(ctx, o)
	fmt.Println(text)
	if o.only != "" || o.write == "" {
		return nil
	}
	return replaceFigures(o.write, text)
}

// bench is a run.
type bench struct {
	options
	dir    string // for all that the run makes
	binary string
}

// progress tells whoever waits what is going on.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}
