package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"consentsync/internal/backfill"
	"consentsync/internal/consent"
	"consentsync/internal/store"
)

type importCommand struct {
	remote
	Organization string   `help:"Whose events they are." required:"" env:"CONSENTSYNC_ORGANIZATION"`
	Name         string   `help:"Under which name a rerun goes on; the paths otherwise." env:"CONSENTSYNC_IMPORT_NAME"`
	Paths        []string `arg:"" help:"Folders of Didomi's daily export, or files of events, users or webhooks: a JSON array or one a line (NDJSON), gzipped or not." type:"path" name:"path"`
}

// Help is shown by --help.
func (importCommand) Help() string {
	return "The server stays as it is and goes on serving. Run the same command again after an interruption, and it goes on where it was; " +
		"what is known already changes nothing. Withdrawals take effect as they are merged, grants when all are: if they are of more than 100 people " +
		"and 1 %, the integration asks first. No e-mail is sent because of an import."
}

// Validate is called by the parser.
func (c *importCommand) Validate() error { return c.checkURL() }

// Run takes files in through a running server.
func (c *importCommand) Run(ctx context.Context, std streams) error {
	found, skipped, err := sources(c.Paths)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fmt.Errorf("there is no file to take in (%s of other kinds): its name has to end with %s, or with one of these and .gz, or be given itself",
			of(int64(skipped), "file", "files"), strings.Join(exportEndings, ", "))
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	api.patience = longAnswer
	m := &importing{client: api, organization: c.Organization, now: time.Now}
	columns, _ := terminal(std.err)
	m.line = statusLine{out: std.err, columns: columns, now: time.Now}
	for _, s := range found {
		m.size += s.size
	}
	err = m.run(ctx, cmp.Or(c.Name, strings.Join(c.Paths, " ")), found)
	m.line.end()
	if ctx.Err() != nil {
		return errors.New("interrupted: run the same command again, and it goes on where it was")
	}
	if err != nil {
		return err
	}
	std.sayf("%s", m.report(skipped))
	if len(m.broken) > 0 {
		return fmt.Errorf("%s not taken in to the end", of(int64(len(m.broken)), "file was", "files were"))
	}
	return nil
}

// importing is an import under way.
type importing struct {
	client       *client
	organization string
	now          func() time.Time
	line         statusLine

	is      backfill.ImportView // as it is now
	was     backfill.ImportView // as it was before this run
	places  map[string]store.ImportFile
	size    int64 // of all files
	read    int64 // of the files before the one at hand
	rows    int64
	skipped int64 // rows taken before
	began   time.Time
	told    []store.ImportRefusal
	broken  []string
}

// mostTold is how many refusals are told one by one.
const mostTold = 20

func (m *importing) path(rest string, q url.Values) string {
	if q == nil {
		q = url.Values{}
	}
	q.Set("organization_id", m.organization)
	return "/v1/imports" + rest + "?" + q.Encode()
}

func (m *importing) run(ctx context.Context, name string, files []source) error {
	if _, err := m.client.ask(ctx, http.MethodPost, m.path("", nil), map[string]string{"name": name}, &m.is); err != nil {
		return err
	}
	m.was, m.is = m.is, backfill.ImportView{ID: m.is.ID}
	m.places, m.began = map[string]store.ImportFile{}, m.now()
	for _, f := range m.was.Files {
		m.places[f.Name] = f
	}
	for _, f := range files {
		if err := m.file(ctx, f); err != nil {
			return err
		}
		m.read += f.size
	}
	return m.merged(ctx)
}

// merged says that all files were read, and waits until they are merged. It says so
// again where another run of the same import has brought more in between.
func (m *importing) merged(ctx context.Context) error {
	end := true
	for {
		method, path := http.MethodGet, m.path("/"+m.is.ID, nil)
		if end {
			method, path = http.MethodPost, m.path("/"+m.is.ID+"/end", nil)
		}
		err := patiently(ctx, func() error {
			m.is = backfill.ImportView{ID: m.is.ID}
			_, err := m.client.ask(ctx, method, path, nil, &m.is)
			return err
		})
		if err != nil || m.is.Ended {
			return err
		}
		end = m.is.Staged == 0
		m.line.say(func() string { return "merging: " + of(m.is.Staged, "row", "rows") + " left" })
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// file takes in a file. What is wrong with it stops it and no other file.
func (m *importing) file(ctx context.Context, f source) error {
	place := m.places[f.name]
	for {
		anew, err := m.rowsFrom(ctx, f, place)
		if err != nil || !anew {
			return err
		}
		place = store.ImportFile{}
	}
}

// rowsFrom takes in a file from a place on. anew tells that the file is another
// than the one that was taken up to that place.
func (m *importing) rowsFrom(ctx context.Context, f source, place store.ImportFile) (anew bool, err error) {
	opened, err := os.Open(f.path)
	if err != nil {
		m.stop(f, 0, err)
		return false, nil
	}
	defer opened.Close() //nolint:errcheck // it is only read
	raw := &counted{Reader: opened}
	r, err := unzipped(raw)
	if err != nil {
		m.stop(f, 0, err)
		return false, nil
	}
	p := part{from: place.Rows, sum: sha256.New()}
	number := int64(0)
	for row, err := range rowsOf(r) {
		if err != nil {
			if err := m.finish(ctx, f, &p); err != nil {
				return false, err
			}
			if !p.stopped {
				m.stop(f, number+1, err)
			}
			return false, nil
		}
		number++
		p.sum.Write(row)
		p.sum.Write([]byte("\n"))
		if number <= place.Rows {
			if number == place.Rows && p.fingerprint() != place.Fingerprint {
				return true, nil
			}
			continue
		}
		p.add(row)
		if !p.full() {
			continue
		}
		if err := m.send(ctx, f, &p); err != nil {
			return false, err
		}
		if p.stopped {
			return false, nil
		}
		m.line.say(func() string { return m.progress(m.read + raw.read) })
	}
	if number < place.Rows {
		return true, nil
	}
	m.skipped += place.Rows
	return false, m.finish(ctx, f, &p)
}

// part is a part of a file that is about to be sent.
type part struct {
	from    int64
	rows    int64
	body    []byte
	sum     hash.Hash   // of all rows up to here
	under   <-chan sent // the part before, while it is under way
	stopped bool        // the server goes on no further with the file
}

const (
	partRows  = 5000
	partBytes = 4 << 20
)

func (p *part) add(row []byte) {
	p.rows++
	p.body = append(append(p.body, row...), '\n')
}

func (p *part) full() bool { return p.rows >= partRows || len(p.body) >= partBytes }

func (p *part) fingerprint() string { return hex.EncodeToString(p.sum.Sum(nil)) }

// send hands a part to the server, once what was handed in before is taken, and
// empties it. Reading goes on meanwhile.
func (m *importing) send(ctx context.Context, f source, p *part) error {
	if err := m.await(f, p); err != nil || p.rows == 0 || p.stopped {
		return err
	}
	path := m.path("/"+m.is.ID+"/rows", url.Values{"file": {f.name}, "from": {fmt.Sprint(p.from)}, "fingerprint": {p.fingerprint()}})
	body, from := p.body, p.from
	p.from, p.rows, p.body = p.from+p.rows, 0, nil
	done := make(chan sent, 1)
	p.under = done
	go func() {
		s := sent{from: from}
		s.err = patiently(ctx, func() error {
			_, err := m.client.send(ctx, http.MethodPost, path, bytes.NewReader(body), &s.view)
			return err
		})
		done <- s
	}()
	return nil
}

// sent is what became of a part.
type sent struct {
	from int64
	view backfill.PartView
	err  error
}

// await waits for the part that is under way, if one is.
func (m *importing) await(f source, p *part) error {
	if p.under == nil {
		return nil
	}
	s := <-p.under
	p.under = nil
	if s.err != nil {
		return fmt.Errorf("%s: %w", f.name, s.err)
	}
	v := s.view
	m.rows += v.Rows - s.from
	m.told = append(m.told, v.Refused[:min(len(v.Refused), mostTold-len(m.told))]...)
	switch nothing := s.from == 0 && v.Rows > 0 && int64(len(v.Refused)) == v.Rows; {
	case v.Stopped != nil:
		m.stop(f, v.Stopped.Row, errors.New(v.Stopped.Reason))
		p.stopped = true
	case nothing:
		m.stop(f, 1, errors.New("none of its first rows is an event or a user of Didomi: "+v.Refused[0].Reason))
		p.stopped = true
	}
	return nil
}

// finish hands in what is left of a file, and waits until it is taken.
func (m *importing) finish(ctx context.Context, f source, p *part) error {
	if err := m.send(ctx, f, p); err != nil {
		return err
	}
	return m.await(f, p)
}

// patiently repeats what a server was too busy for.
func patiently(ctx context.Context, try func() error) error {
	const tries = 20
	for n := 1; ; n++ {
		err := try()
		if err == nil || n == tries || !tooBusy(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(n) * time.Second / 2):
		}
	}
}

// stop notes why a file is not gone on with.
func (m *importing) stop(f source, row int64, err error) {
	where := f.name
	if row > 0 {
		where += fmt.Sprintf(", row %d", row)
	}
	m.broken = append(m.broken, where+": "+printable(err.Error()))
}

// progress says how far it is; read is how much of the files was read.
func (m *importing) progress(read int64) string {
	return rateText("importing", read, m.size, m.rows, m.now().Sub(m.began))
}

// rateText says how much of the files was read, and how fast rows of them are
// taken.
func rateText(verb string, read, size, rows int64, took time.Duration) string {
	text := fmt.Sprintf("%s: %s of %s MB, %s", verb, percent(read, size), count(size>>20), of(rows, "row", "rows"))
	if took < time.Second || rows == 0 || read == 0 {
		return text
	}
	left := took.Seconds() * float64(size-read) / float64(read)
	return fmt.Sprintf("%s, %s a second, %s left", text, count(int64(float64(rows)/took.Seconds())), spell(seconds(left)))
}

// rowWords tell what became of a row.
var rowWords = map[consent.Outcome]string{
	consent.Applied: "changed what is known", consent.Superseded: "newer consent was known", consent.Duplicate: "were known",
	consent.PendingApproval: "await approval", consent.RegulationConflict: "name two regulations, not applied",
	consent.NoPerson: "name nobody", consent.Unlinked: "are of Didomi users that nobody has identified",
}

// report says what became of it all.
func (m *importing) report(skipped int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Taken in: %s in %s", of(m.rows, "row", "rows"), spell(m.now().Sub(m.began)))
	if m.skipped > 0 {
		fmt.Fprintf(&b, ", after %s of an earlier run", count(m.skipped))
	}
	fmt.Fprintln(&b, ".")
	for _, outcome := range slices.Sorted(maps.Keys(m.is.Outcomes)) {
		if n := m.is.Outcomes[outcome] - m.was.Outcomes[outcome]; n > 0 {
			fmt.Fprintf(&b, "  %s %s\n", count(n), cmp.Or(rowWords[outcome], string(outcome)))
		}
	}
	if skipped > 0 {
		fmt.Fprintf(&b, "  %s of other kinds passed over\n", of(int64(skipped), "file", "files"))
	}
	if refused := m.is.Refused - m.was.Refused; refused > 0 {
		fmt.Fprintf(&b, "Refused: %s.\n", of(refused, "row", "rows"))
		for _, r := range m.told {
			fmt.Fprintf(&b, "  %s, row %d: %s\n", printable(r.File), r.Row, printable(r.Reason))
		}
		if more := refused - int64(len(m.told)); more > 0 {
			fmt.Fprintf(&b, "  and %s more: GET /v1/imports/%s/refusals\n", count(more), m.is.ID)
		}
	}
	for _, why := range m.broken {
		fmt.Fprintf(&b, "Not taken in to the end: %s\n", why)
	}
	if len(m.broken) > 0 {
		b.WriteString("Whatever comes before is kept. Put the file right and run the same command again: it goes on from there.\n")
	}
	b.WriteString("Everybody is being compared now: consentsync status shows what is due, and whether a yes is asked for.\n")
	return b.String()
}
