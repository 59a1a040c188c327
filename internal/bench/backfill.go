package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

const (
	leastImport      = 3.0   // times as fast as webhooks that are merged
	mostImportMemory = 300e6 // bytes, of the server and of the command
	mostReconcile    = time.Minute
)

// taken is what taking a file in came to.
type taken struct {
	rows         int
	took, read   time.Duration // in all; the file read alone
	peak, client int64         // memory of the server and of the command
	cpu          time.Duration // of the server
	webhooks     []float64     // merged a second, in rounds before it; none where that is no matter
	webhook      time.Duration // processor time of the server for one, merging included
}

func (t *taken) perSecond() float64 { return float64(t.rows) / t.took.Seconds() }

// importing takes in a file of events by the command, beside the rate at which
// webhooks are merged. They are measured before it, for what is left after it to seal
// and to deliver takes from them.
func (b *bench) importing(ctx context.Context, r *report) (err error) {
	data, err := b.database(ctx)
	if err != nil {
		return err
	}
	s, err := b.ours(ctx, data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	path := filepath.Join(b.dir, "events.ndjson")
	if err := writeEvents(path, data.People); err != nil {
		return err
	}
	for range b.rounds {
		if err := s.measure(ctx, b.round); err != nil {
			return err
		}
	}
	r.imported = taken{rows: data.People, webhooks: s.sustained, webhook: s.figures().cpu}
	progress("importing %d events", data.People)
	return r.imported.measure(ctx, b, s.process, path, lines, "import", "--organization", organization, path)
}

// reconciling compares an export of everybody by the command.
func (b *bench) reconciling(ctx context.Context, r *report) (err error) {
	data, err := b.database(ctx)
	if err != nil {
		return err
	}
	p, err := b.serve(ctx, data.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	path := filepath.Join(b.dir, "export.csv")
	if err := writeExport(path, data.People); err != nil {
		return err
	}
	r.learnt, r.reconciled = taken{rows: data.People}, taken{rows: data.People}
	for _, t := range []*taken{&r.learnt, &r.reconciled} { // then there is nothing left to learn
		progress("reconciling %d profiles", data.People)
		if err := t.measure(ctx, b, p, path, records, "reconcile", "--policy", "report", data.Integration, path); err != nil {
			return err
		}
	}
	return nil
}

// measure runs the command, and reads the file alone.
func (t *taken) measure(ctx context.Context, b *bench, p *process, path string, read func(io.Reader) error, args ...string) error {
	began := time.Now()
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = errors.Join(read(f), f.Close())
	t.read = time.Since(began)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, b.binary, args...) //nolint:gosec // our own program
	cmd.Env = append(append(os.Environ(), programEnv...), "CONSENTSYNC_URL="+p.url)
	before, err := p.cpuTime()
	if err != nil {
		return err
	}
	began = time.Now()
	out, err := cmd.CombinedOutput()
	t.took = time.Since(began)
	if err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], err, out)
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		t.client = usage.Maxrss << 10
	}
	after, err := p.cpuTime()
	if err != nil {
		return err
	}
	t.cpu = after - before
	t.peak, err = p.peakMemory()
	return err
}

func lines(r io.Reader) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
	}
	return s.Err()
}

func records(r io.Reader) error {
	c := csv.NewReader(r)
	c.ReuseRecord = true
	for {
		if _, err := c.Read(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// written writes a file through a buffer.
func written(path string, f func(w *bufio.Writer) error) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w := bufio.NewWriterSize(file, 1<<20)
	return errors.Join(f(w), w.Flush())
}

// writeEvents writes an event for each person in a random order, a line each.
func writeEvents(path string, people int) error {
	w, err := newWebhooks(people)
	if err != nil {
		return err
	}
	return written(path, func(to *bufio.Writer) error {
		r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // for figures that can be repeated
		var line []byte
		for _, person := range r.Perm(people) {
			line = append(w.of(line[:0], r, person, time.Now().Add(-time.Hour)), '\n')
			if _, err := to.Write(line); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeExport writes a row for each person.
func writeExport(path string, people int) error {
	return written(path, func(to *bufio.Writer) error {
		if _, err := to.WriteString("emailAddress,subscriptions#Newsletter,subscriptions#Promotions,subscriptions#SmsAlerts\n"); err != nil {
			return err
		}
		for person := range people {
			if _, err := fmt.Fprintf(to, "person.%07d@example.com,%t,%t,%t\n", person, person%2 == 0, person%3 == 0, person%5 == 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// backfillLines are those of the parts import and reconcile.
func (r *report) backfillLines(line func(...any)) {
	megabytes := func(n int64) string { return fmt.Sprintf("%d MB", n/1e6) }
	if t := r.imported; t.rows > 0 {
		var each []float64
		for _, webhooks := range t.webhooks {
			each = append(each, t.perSecond()/webhooks)
		}
		line(fmt.Sprintf("import of %d events, a second; baseline: webhooks merged", t.rows), fmt.Sprintf("%.0f", t.perSecond()), fmt.Sprintf("%.0f", median(t.webhooks)),
			fmt.Sprintf("**%.2f** (%.2f to %.2f)", median(each), slices.Min(each), slices.Max(each)), fmt.Sprintf("at least %.1f", leastImport), yes(median(each) >= leastImport))
		one := t.cpu / time.Duration(t.rows)
		line("processor time of the server for one; baseline: a webhook", short(one), short(t.webhook), fmt.Sprintf("%.2f", float64(one)/float64(t.webhook)), "", "")
		line("most resident memory of it, server and command", megabytes(t.peak)+", "+megabytes(t.client), "", "", "under 300 MB", yes(max(t.peak, t.client) < mostImportMemory))
	}
	if t := r.learnt; t.rows > 0 {
		line(fmt.Sprintf("reconciliation of %d rows that tell something new of nearly everybody", t.rows), short(t.took), short(t.read), fmt.Sprintf("%.0f", t.took.Seconds()/t.read.Seconds()), "", "")
		line("processor time of the server for a row", short(t.cpu/time.Duration(t.rows)), "", "", "", "")
	}
	if t := r.reconciled; t.rows > 0 {
		most := time.Duration(float64(mostReconcile) * float64(t.rows) / 1e6)
		line(fmt.Sprintf("reconciliation of %d rows; baseline: reading the file", t.rows), short(t.took), short(t.read), fmt.Sprintf("%.0f", t.took.Seconds()/t.read.Seconds()),
			"under "+short(most), yes(t.took < most))
		line("processor time of the server for a row", short(t.cpu/time.Duration(t.rows)), "", "", "", "")
		line("most resident memory of it, server and command", megabytes(t.peak)+", "+megabytes(t.client), "", "", "", "")
	}
}
