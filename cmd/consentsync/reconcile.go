package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"consentsync/internal/backfill"
	"consentsync/internal/consent"
	"consentsync/internal/integration"
	"consentsync/internal/store"
)

type reconcileCommand struct {
	remote
	Integration string `arg:"" help:"The integration's id." name:"integration"`
	CSV         string `arg:"" optional:"" help:"Actito's export of the profile table, with a header, gzipped or not. Without it the last reconciliation is shown." type:"path" name:"csv"`
	AsOf        string `help:"When the export was made, such as 2026-11-02T09:00:00Z; the time of the file otherwise." placeholder:"TIME" env:"CONSENTSYNC_RECONCILE_AS_OF"`
	Policy      string `help:"What to do about what differs: report (nothing), withdrawals-only, or all." default:"withdrawals-only" enum:"report,withdrawals-only,all" env:"CONSENTSYNC_RECONCILE_POLICY"`
}

// Validate is called by the parser.
func (c *reconcileCommand) Validate() error {
	if _, err := time.Parse(time.RFC3339, c.AsOf); c.AsOf != "" && err != nil {
		return errors.New("--as-of: must be a time such as 2026-11-02T09:00:00Z")
	}
	return c.checkURL()
}

// Run compares an export with what Actito should hold, through a running server.
func (c *reconcileCommand) Run(ctx context.Context, std streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	api.patience = longAnswer
	columns, _ := terminal(std.err)
	r := &reconciling{client: api, base: "/v1/marketplace/integrations/" + url.PathEscape(c.Integration), now: time.Now}
	r.line = statusLine{out: std.err, columns: columns, now: time.Now}
	if c.CSV == "" {
		return r.last(ctx, std)
	}
	err = r.run(ctx, c)
	r.line.end()
	if ctx.Err() != nil {
		return errors.New("interrupted: run the same command again, and it goes on where it was")
	}
	if err != nil {
		return err
	}
	std.sayf("%s", r.text())
	if r.cut != "" {
		return errors.New("the file was not read to its end, so nothing was compared")
	}
	return nil
}

// reconciling is a reconciliation under way.
type reconciling struct {
	client  *client
	base    string
	now     func() time.Time
	line    statusLine
	is      backfill.ReconciliationView
	refused []string
	more    int64 // refused beyond those
	cut     string
}

func (r *reconciling) path(rest string) string { return r.base + "/reconciliations" + rest }

// last shows the last one.
func (r *reconciling) last(ctx context.Context, std streams) error {
	var all struct {
		Data []backfill.ReconciliationView `json:"data"`
	}
	if _, err := r.client.ask(ctx, http.MethodGet, r.path("?limit=1"), nil, &all); err != nil {
		return err
	}
	if len(all.Data) == 0 {
		return errors.New("there was no reconciliation yet: give Actito's export of the table")
	}
	r.is = all.Data[0]
	std.sayf("%s", r.text())
	return nil
}

func (r *reconciling) run(ctx context.Context, c *reconcileCommand) error {
	var i integration.View
	if _, err := r.client.ask(ctx, http.MethodGet, r.base, nil, &i); err != nil {
		return err
	}
	file, err := os.Open(c.CSV)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it is only read
	info, err := file.Stat()
	if err != nil {
		return err
	}
	raw := &counted{Reader: file}
	plain, err := unzipped(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", c.CSV, err)
	}
	e, err := readExport(plain, i.Properties.UserUniqueKey, i.Snapshot.Subscriptions)
	if err != nil {
		return fmt.Errorf("%s: %w", c.CSV, err)
	}
	in := backfill.ReconcileInput{
		AsOf: cmp.Or(c.AsOf, info.ModTime().UTC().Format(time.RFC3339)), Policy: c.Policy, Source: filepath.ToSlash(c.CSV), Columns: e.names(),
	}
	if err := r.begin(ctx, in); err != nil {
		return err
	}
	began := r.now()
	another, err := r.feed(ctx, e, func(rows int64) string { return rateText("reading", raw.read, info.Size(), rows, r.now().Sub(began)) })
	switch {
	case another:
		return fmt.Errorf("%s is another file than the one that was begun with: give it another --as-of, and it begins anew", c.CSV)
	case err != nil || r.cut != "":
		return err
	}
	return r.compare(ctx)
}

// feed hands in the rows of an export, but those that were taken before. another
// tells that these are not the same. Where the export cannot be read on, cut says
// why.
func (r *reconciling) feed(ctx context.Context, e *export, progress func(rows int64) string) (another bool, err error) {
	begun := r.is
	p := part{from: begun.Rows, sum: sha256.New()}
	for number := int64(0); ; {
		row, err := e.next()
		if bad, ok := errors.AsType[*errRow](err); ok {
			r.refuse(bad)
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			r.cut = err.Error()
		}
		if err != nil {
			return false, r.send(ctx, &p)
		}
		number++
		p.sum.Write(row)
		p.sum.Write([]byte("\n"))
		if number <= begun.Rows {
			if number == begun.Rows && p.fingerprint() != begun.Fingerprint {
				return true, nil
			}
			continue
		}
		if p.add(row); p.full() {
			if err := r.send(ctx, &p); err != nil {
				return false, err
			}
			r.line.say(func() string { return progress(p.from) })
		}
	}
}

// compare has the server compare what was handed in, and waits until it has.
func (r *reconciling) compare(ctx context.Context) error {
	if _, err := r.client.ask(ctx, http.MethodPost, r.path("/"+r.is.ID+"/end"), nil, &r.is); err != nil {
		return err
	}
	for r.is.State == store.ReconciliationComparing {
		r.line.say(func() string { return "comparing: " + of(r.is.Report.People, "person", "people") })
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
		if _, err := r.client.ask(ctx, http.MethodGet, r.path("/"+r.is.ID), nil, &r.is); err != nil {
			return err
		}
	}
	return nil
}

// begin goes on with the last reconciliation by an export if it was begun with the
// same, and not ended.
func (r *reconciling) begin(ctx context.Context, in backfill.ReconcileInput) error {
	var all struct {
		Data []backfill.ReconciliationView `json:"data"`
	}
	if _, err := r.client.ask(ctx, http.MethodGet, r.path(fmt.Sprintf("?limit=%d", store.MostReconciliations)), nil, &all); err != nil {
		return err
	}
	if n := slices.IndexFunc(all.Data, func(v backfill.ReconciliationView) bool { return v.Source != store.SourceReads }); n >= 0 {
		r.is = all.Data[n]
		var asOf consent.Time
		if asOf.UnmarshalText([]byte(in.AsOf)) == nil && r.is.State == store.ReconciliationLoading && r.is.Source == in.Source && r.is.AsOf == asOf &&
			string(r.is.Policy) == in.Policy && slices.Equal(r.is.Columns, in.Columns) {
			return nil
		}
	}
	_, err := r.client.ask(ctx, http.MethodPost, r.path(""), in, &r.is)
	return err
}

func (r *reconciling) refuse(bad *errRow) {
	if len(r.refused) < mostTold {
		r.refused = append(r.refused, bad.Error())
	} else {
		r.more++
	}
}

// send has the server take a part, and empties it.
func (r *reconciling) send(ctx context.Context, p *part) error {
	if p.rows == 0 {
		return nil
	}
	path := r.path("/" + r.is.ID + "/rows?" + url.Values{"from": {fmt.Sprint(p.from)}, "fingerprint": {p.fingerprint()}}.Encode())
	if err := patiently(ctx, func() error {
		_, err := r.client.send(ctx, http.MethodPost, path, bytes.NewReader(p.body), &r.is)
		return err
	}); err != nil {
		return err
	}
	p.from, p.rows = p.from+p.rows, 0
	p.body = p.body[:0]
	return nil
}

// text says what was found.
func (r *reconciling) text() string {
	b := &sheet{width: plainWidth}
	v, d := r.is, r.is.Report
	if minute := "2006-01-02 15:04 UTC"; v.Source == store.SourceReads {
		b.say("reads", fmt.Sprintf("from %s to %s: %s, policy %s, %s", v.StartedAt.Std().Format(minute), v.AsOf.Std().Format(minute), of(v.Rows, "profile", "profiles"), v.Policy, v.State))
	} else {
		b.say("export", fmt.Sprintf("of %s: %s, policy %s, %s", v.AsOf.Std().Format(minute), of(v.Rows, "row", "rows"), v.Policy, v.State))
	}
	for n, why := range r.refused {
		b.say(first(n, "refused"), printable(why))
	}
	if r.more > 0 {
		b.say("", count(r.more)+" more")
	}
	if r.cut != "" {
		b.say("cut off", r.cut+". Put the file right and run the same command again: it goes on from there")
		return b.String()
	}
	b.say("people", fmt.Sprintf("%s compared, %s have a row, of %s nobody is known", count(d.People), count(d.Profiles), of(d.UnknownProfiles, "row", "rows")))
	rows := [][]string{
		{"subscriptions of people", ""},
		{"as they should be", count(d.Agree)},
		{"on, should be off", count(d.ShouldBeOff)},
		{"off, should be on", count(d.ShouldBeOn)},
		{"turned on by somebody else", count(d.TurnedOn)},
		{"turned off by somebody else", count(d.TurnedOff)},
		{"written since, or about to be", count(d.ChangedSince)},
		{"nobody chose", count(d.Unsaid)},
	}
	b.block("drift", aligned(rows))
	b.say("profiles", fmt.Sprintf("%s missing, %s found again", count(d.MissingProfiles), count(d.FoundProfiles)))
	if len(d.UnknownSubscriptions) > 0 {
		b.say("unknown", strings.Join(d.UnknownSubscriptions, ", ")+": not in the snapshot of the table")
	}
	if len(d.MissingColumns) > 0 {
		b.say("no column", strings.Join(d.MissingColumns, ", "))
	}
	b.say("follows", fmt.Sprintf("refusals are sent again to %s, %s read, grants of %s sent once everybody was counted",
		of(d.Off, "person", "people"), of(d.Read, "profile is", "profiles are"), of(d.On, "person are", "people are")))
	for n, e := range d.Examples {
		b.say(first(n, "examples"), printable(strings.TrimSpace(e.Kind+": "+e.OrganizationUserID+" "+e.Subscription)))
	}
	return b.String()
}
