package backfill

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"consentsync/internal/changes"
	"consentsync/internal/consent"
	"consentsync/internal/didomi"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// ImportStore is what importing needs of the database.
type ImportStore interface {
	Feature(ctx context.Context, organization string) (exists, actito bool, err error)
	OpenImport(ctx context.Context, organization, name string, changes ...store.Change) (*store.Import, error)
	Import(ctx context.Context, k store.ImportKey) (*store.Import, error)
	Imports(ctx context.Context, organization, before string, limit int) ([]*store.Import, error)
	TakeRows(ctx context.Context, s *store.ImportStep) (*store.Import, error)
	NextStaged(ctx context.Context, k store.ImportKey, after store.StagedPlace) ([]store.StagedBlock, error)
	MergeRows(ctx context.Context, s *store.MergeStep) (*store.Import, []store.Receipt, error)
	StagedImports(ctx context.Context) ([]*store.Import, error)
	ImportRefusals(ctx context.Context, k store.ImportKey, after store.RefusalCursor, limit int) ([]store.ImportRefusal, error)
	EndImport(ctx context.Context, k store.ImportKey, changes ...store.Change) (*store.Import, error)
	Now(ctx context.Context) (consent.Time, error)
}

// Importer takes in events and users of Didomi out of files, part by part.
//
// What it has acknowledged is on disk together with its place, so that a rerun
// goes on after it. It is staged there first, and merged in the order of people's
// keys: little at once, much when it is the end or has become too much, see Run. Its
// refusals take effect when they are merged, its grants when the import is ended:
// then everybody is compared, and many are asked for first (R23). No part of it
// sends mail (R28).
type Importer struct {
	Store  ImportStore
	Hasher *store.Hasher
	// Due is called when something became due, Changed when everybody is to be
	// compared.
	Due, Changed func()
	Now          func() time.Time
	Log          *slog.Logger
	// Little is up to how many rows are merged as soon as they are taken, and Room how
	// many bytes are staged at most, about; zero is 1,000, and 1 GB.
	Little, Room int64

	mu    sync.Mutex
	going map[store.ImportKey]*merging // what this node merges
}

// ImportView is an import as it is shown.
type ImportView struct {
	ID             string `json:"id"`
	OrganizationID string `json:"organization_id"`
	Name           string `json:"name"`
	// Ended tells that all is merged, and that everybody is compared.
	Ended bool `json:"ended"`
	// Staged is how many rows were taken and are not merged yet; Outcomes are those
	// of the others.
	Staged    int64                     `json:"staged"`
	Outcomes  map[consent.Outcome]int64 `json:"outcomes"`
	Refused   int64                     `json:"refused"`
	StartedAt consent.Time              `json:"started_at"`
	UpdatedAt consent.Time              `json:"updated_at"`
	Files     []store.ImportFile        `json:"files,omitempty"`
}

func importView(i *store.Import) *ImportView {
	if i.Outcomes == nil {
		i.Outcomes = map[consent.Outcome]int64{}
	}
	return &ImportView{i.ID, i.Organization, i.Name, i.Ended, i.Staged.Rows, i.Outcomes, i.Refused, i.StartedAt, i.UpdatedAt, i.Files}
}

// Part is a part of a file: rows, one a line, each an event or a user of Didomi or
// a webhook of its.
type Part struct {
	File string
	From int64 // how many rows of the file come before; 0 begins it anew
	// Fingerprint of all rows up to the end of the part. It is given back with
	// the place, so that whoever hands in a file can tell whether it is the same.
	Fingerprint string
	Body        []byte
}

// PartView is what became of a part.
type PartView struct {
	// Rows is how many rows of the file are taken now.
	Rows int64 `json:"rows"`
	// Outcomes are those of the rows; that of rows that are merged later is queued.
	Outcomes map[consent.Outcome]int64 `json:"outcomes"`
	Refused  []store.ImportRefusal     `json:"refused"`
	// Stopped is the row because of which the file is not gone on with. It was
	// not taken, and neither was what comes after it.
	Stopped *store.ImportRefusal `json:"stopped"`
}

const (
	mostName     = 500
	mostPartRows = 5000
)

// queued is the outcome of a row that is on disk and is merged later, as it is that
// of a webhook.
const queued consent.Outcome = "queued"

// Open gives the import of a name, which a rerun goes on with; a new name begins
// a new one.
func (m *Importer) Open(ctx context.Context, organization, name string) (*ImportView, error) {
	if !nameable(name) {
		return nil, incoming.RefuseField("name", fmt.Sprintf("must be a text of 1 to %d bytes, such as the folder's path; the same name goes on where it was", mostName))
	}
	exists, _, err := m.Store.Feature(ctx, organization)
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, consent.Errorf(consent.NotFound, "backfill.Open", "there is no organization %q: make it with PUT /v1/premium-features/%s", organization, organization)
	}
	i, err := m.Store.OpenImport(ctx, organization, name, changes.New(ctx, m.Now(), organization, "", "import.opened", store.Detail{Name: "name", Is: name}))
	if err != nil {
		return nil, err
	}
	return importView(i), nil
}

// nameable tells whether a name can be stored and shown.
func nameable(name string) bool {
	return name != "" && len(name) <= mostName && utf8.ValidString(name) && !strings.ContainsRune(name, 0)
}

// Get reads an import.
func (m *Importer) Get(ctx context.Context, k store.ImportKey) (*ImportView, error) {
	i, err := m.Store.Import(ctx, k)
	if err != nil {
		return nil, err
	}
	return importView(i), nil
}

// List reads the imports of an organization, the newest first; next is empty at
// the end.
func (m *Importer) List(ctx context.Context, organization, before string, limit int) (views []*ImportView, next string, err error) {
	found, err := m.Store.Imports(ctx, organization, before, limit+1)
	if err != nil {
		return nil, "", err
	}
	if len(found) > limit {
		found, next = found[:limit], found[limit-1].ID
	}
	views = []*ImportView{}
	for _, i := range found {
		views = append(views, importView(i))
	}
	return views, next, nil
}

// Refusals lists why rows were refused, by file and row.
func (m *Importer) Refusals(ctx context.Context, k store.ImportKey, after store.RefusalCursor, limit int) ([]store.ImportRefusal, error) {
	if _, err := m.Store.Import(ctx, k); err != nil {
		return nil, err
	}
	found, err := m.Store.ImportRefusals(ctx, k, after, limit)
	if found == nil {
		found = []store.ImportRefusal{}
	}
	return found, err
}

// Take takes a part of a file. What cannot be read is refused, row by row; a row
// of another organization stops the file. Where the part does not follow what was
// taken of the file, nothing is, and the error is Conflict.
func (m *Importer) Take(ctx context.Context, k store.ImportKey, p Part) (*PartView, error) {
	if !nameable(p.File) || len(p.Fingerprint) > mostName || !nameable(p.Fingerprint+"-") {
		return nil, incoming.RefuseField("file", fmt.Sprintf("must be the file's name, of 1 to %d bytes", mostName))
	}
	if p.From < 0 {
		return nil, incoming.RefuseField("from", "must be how many rows of the file come before this part")
	}
	lines := bytes.Split(bytes.TrimSuffix(p.Body, []byte("\n")), []byte("\n"))
	if len(lines) > mostPartRows {
		return nil, consent.Errorf(consent.TooLarge, "backfill.Take", "a part has at most %d rows: send smaller ones", mostPartRows)
	}
	s := store.ImportStep{ImportKey: k, File: p.File, Fingerprint: p.Fingerprint, From: p.From}
	stop := m.read(&s, lines)
	v := &PartView{Rows: s.From + s.Rows, Outcomes: map[consent.Outcome]int64{}, Refused: s.Refused}
	if stop != "" {
		v.Stopped = &store.ImportRefusal{File: p.File, Row: v.Rows + 1, Reason: stop}
	}
	if s.Rows == 0 {
		return v, nil
	}
	if err := m.awaitRoom(ctx, k); err != nil {
		return nil, err
	}
	i, err := m.Store.TakeRows(ctx, &s)
	if err != nil {
		return nil, err
	}
	if len(s.Staged) > 0 {
		v.Outcomes = m.follow(ctx, i, int64(len(s.Staged)))
	}
	return v, nil
}

// read reads lines, on all processors, up to one because of which the file is not
// gone on with; stop says why.
func (m *Importer) read(s *store.ImportStep, lines [][]byte) (stop string) {
	const some = 250
	read := make([]readRows, (len(lines)+some-1)/some)
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for n := range read {
		from := n * some
		g.Go(func() error {
			read[n] = m.readSome(s, s.From+int64(from), lines[from:min(from+some, len(lines))])
			return nil
		})
	}
	_ = g.Wait() // none of them fails
	s.Refused = []store.ImportRefusal{}
	for _, r := range read {
		s.Rows += r.rows
		s.Staged = append(s.Staged, r.staged...)
		s.Refused = append(s.Refused, r.refused...)
		if r.stop != "" {
			return r.stop
		}
	}
	return ""
}

// readRows is what some lines say.
type readRows struct {
	rows    int64 // of the file
	staged  []store.StagedRow
	refused []store.ImportRefusal
	stop    string // why the next of them, and all after it, are not taken
}

func (m *Importer) readSome(s *store.ImportStep, from int64, lines [][]byte) (r readRows) {
	for _, line := range lines {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			number := from + r.rows + 1
			in, stop, err := importable(s.Organization, line)
			switch {
			case stop != "":
				r.stop = stop
				return r
			case err != nil:
				r.refused = append(r.refused, store.ImportRefusal{File: s.File, Row: number, Reason: consent.MessageOf(err)})
			default:
				r.staged = append(r.staged, store.StagedRow{Person: in.Whom(m.Hasher), Row: number, Payload: in.Payload})
			}
		}
		r.rows++
	}
	return r
}

// importable reads one row. stop tells why nothing of its file is taken any more.
func importable(organization string, line []byte) (in store.Inbound, stop string, err error) {
	webhook, of, payload, err := didomi.ParseRow(line)
	if of != "" && of != organization {
		return in, fmt.Sprintf("it is of organization %q, not %q: is it the right file?", clipped(of), organization), nil
	}
	if err == nil {
		in, err = imported(organization, webhook, payload)
	}
	return in, "", err
}

// importedRow reads a row that was brought into the form of a webhook.
func importedRow(organization string, webhook []byte) (in store.Inbound, err error) {
	payload, err := didomi.Parse(webhook)
	if err != nil {
		return in, err
	}
	if in, err = imported(organization, webhook, payload); err == nil {
		in.Canonical = payload.Canonical()
	}
	return in, err
}

// imported gives the row without its canonical form, which only merging asks for.
func imported(organization string, webhook []byte, payload *didomi.Payload) (store.Inbound, error) {
	message, err := payload.Message(organization)
	if err != nil {
		return store.Inbound{}, err
	}
	return store.Inbound{
		Organization: organization, Message: message, Payload: webhook, Source: store.Imported,
	}, store.Check(message)
}

func clipped(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

// End has everybody compared, for every integration of the organization, so that
// what was imported takes effect: now, if it is merged within two seconds, or as
// soon as it is. It may be called after every run; what comes later is ended again.
func (m *Importer) End(ctx context.Context, k store.ImportKey) (*ImportView, error) {
	i, err := m.Store.Import(ctx, k)
	if err != nil {
		return nil, err
	}
	change := changes.New(ctx, m.Now(), k.Organization, "", "import.ended", store.Detail{Name: "name", Is: i.Name})
	if i, err = m.Store.EndImport(ctx, k, change); err != nil {
		return nil, err
	}
	if i.Ended {
		m.Changed()
	} else {
		m.finish(ctx, k)
	}
	return m.Get(ctx, k)
}
