package backfill

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

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
	TakeRows(ctx context.Context, s *store.ImportStep) ([]store.Receipt, error)
	ImportRefusals(ctx context.Context, k store.ImportKey, after store.RefusalCursor, limit int) ([]store.ImportRefusal, error)
	EndImport(ctx context.Context, k store.ImportKey, changes ...store.Change) error
}

// Importer takes in events and users of Didomi out of files, part by part.
//
// What it has acknowledged is on disk together with its place, so that a rerun
// goes on after it. Its refusals take effect at once, its grants when the import
// is ended: then everybody is compared, and many are asked for first (R23). No
// part of it sends mail (R28).
type Importer struct {
	Store ImportStore
	// Due is called when something became due, Changed when everybody is to be
	// compared.
	Due, Changed func()
	Now          func() time.Time
}

// ImportView is an import as it is shown.
type ImportView struct {
	ID             string                    `json:"id"`
	OrganizationID string                    `json:"organization_id"`
	Name           string                    `json:"name"`
	Ended          bool                      `json:"ended"`
	Outcomes       map[consent.Outcome]int64 `json:"outcomes"`
	Refused        int64                     `json:"refused"`
	StartedAt      consent.Time              `json:"started_at"`
	UpdatedAt      consent.Time              `json:"updated_at"`
	Files          []store.ImportFile        `json:"files,omitempty"`
}

func importView(i *store.Import) *ImportView {
	return &ImportView{i.ID, i.Organization, i.Name, i.Ended, i.Outcomes, i.Refused, i.StartedAt, i.UpdatedAt, i.Files}
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
	Rows     int64                     `json:"rows"`
	Outcomes map[consent.Outcome]int64 `json:"outcomes"`
	Refused  []store.ImportRefusal     `json:"refused"`
	// Stopped is the row because of which the file is not gone on with. It was
	// not taken, and neither was what comes after it.
	Stopped *store.ImportRefusal `json:"stopped"`
}

const (
	mostName     = 500
	mostPartRows = 5000
	// importStep is how many rows share a transaction, for which webhooks wait.
	importStep = 500
)

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
	v := &PartView{Rows: p.From, Outcomes: map[consent.Outcome]int64{}, Refused: []store.ImportRefusal{}}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for some := range readAhead(ctx, k.Organization, p.From, lines) {
		if err := m.merge(ctx, store.ImportStep{ImportKey: k, File: p.File, Fingerprint: p.Fingerprint, From: v.Rows}, some.rows, some.refused, v); err != nil {
			return nil, err
		}
		if some.stop != "" {
			v.Stopped = &store.ImportRefusal{File: p.File, Row: v.Rows + 1, Reason: some.stop}
		}
	}
	return v, nil
}

// importRow is a row that can be read, or one that stands for none.
type importRow struct {
	number int64
	in     *store.Inbound
}

// readRows are rows that share a transaction. stop is why the next of them, and
// all after it, are not taken; empty if they are.
type readRows struct {
	rows    []importRow
	refused map[int64]string
	stop    string
}

// readAhead reads rows while those before them are merged.
func readAhead(ctx context.Context, organization string, from int64, lines [][]byte) <-chan readRows {
	ahead := make(chan readRows, 1)
	go func() {
		defer close(ahead)
		for some := range slices.Chunk(lines, importStep) {
			read := readSome(organization, from, some)
			from += int64(len(some))
			select {
			case ahead <- read:
			case <-ctx.Done():
				return
			}
			if read.stop != "" {
				return
			}
		}
	}()
	return ahead
}

// readSome reads rows up to one that stops the file.
func readSome(organization string, from int64, lines [][]byte) (r readRows) {
	r.refused = make(map[int64]string)
	for n, line := range lines {
		row := importRow{number: from + int64(n) + 1}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			in, stop, err := importable(organization, line)
			switch {
			case stop != "":
				r.stop = stop
				return r
			case err != nil:
				r.refused[row.number] = consent.MessageOf(err)
			default:
				row.in = in
			}
		}
		r.rows = append(r.rows, row)
	}
	return r
}

// importable reads one row. stop tells why nothing of its file is taken any more.
func importable(organization string, line []byte) (in *store.Inbound, stop string, err error) {
	webhook, of := didomi.AsWebhook(line)
	if of != "" && of != organization {
		return nil, fmt.Sprintf("it is of organization %q, not %q: is it the right file?", clipped(of), organization), nil
	}
	payload, err := didomi.Parse(webhook)
	if err != nil {
		return nil, "", err
	}
	message, err := payload.Message(organization)
	if err != nil {
		return nil, "", err
	}
	in = &store.Inbound{
		Organization: organization, Message: message, Canonical: payload.Canonical(), Payload: bytes.Clone(webhook), Source: store.Imported,
	}
	return in, "", store.Check(message)
}

func clipped(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

// merge takes rows, all in one transaction. Where that fails for a reason that may
// lie in one of them, they are taken by halves, until only that one is refused.
func (m *Importer) merge(ctx context.Context, s store.ImportStep, rows []importRow, refused map[int64]string, v *PartView) error {
	if len(rows) == 0 {
		return nil
	}
	s.Rows = int64(len(rows))
	s.Batch, s.Refused = nil, nil
	for _, r := range rows {
		if r.in != nil {
			s.Batch = append(s.Batch, *r.in)
		} else if why, no := refused[r.number]; no {
			s.Refused = append(s.Refused, store.ImportRefusal{File: s.File, Row: r.number, Reason: why})
		}
	}
	receipts, err := m.Store.TakeRows(ctx, &s)
	switch kind := consent.KindOf(err); {
	case err == nil:
		m.took(&s, receipts, v)
		return nil
	case kind == consent.Transient || kind == consent.Conflict || kind == consent.NotFound || ctx.Err() != nil || len(s.Batch) == 0:
		return err
	case len(rows) == 1:
		refused[rows[0].number] = "it cannot be merged, which is a fault of consentsync"
		rows[0].in = nil
		return m.merge(ctx, s, rows, refused, v)
	}
	half := len(rows) / 2
	if err := m.merge(ctx, s, rows[:half], refused, v); err != nil {
		return err
	}
	s.From = v.Rows
	return m.merge(ctx, s, rows[half:], refused, v)
}

// took adds what a transaction did.
func (m *Importer) took(s *store.ImportStep, receipts []store.Receipt, v *PartView) {
	v.Rows = s.From + s.Rows
	v.Refused = append(v.Refused, s.Refused...)
	due := false
	for _, r := range receipts {
		v.Outcomes[r.Outcome]++
		due = due || r.Due
	}
	if due {
		m.Due()
	}
}

// End has everybody compared, for every integration of the organization, so that
// what was imported takes effect. It may be called after every run; what comes
// later is ended again.
func (m *Importer) End(ctx context.Context, k store.ImportKey) (*ImportView, error) {
	i, err := m.Store.Import(ctx, k)
	if err != nil {
		return nil, err
	}
	change := changes.New(ctx, m.Now(), k.Organization, "", "import.ended", store.Detail{Name: "name", Is: i.Name})
	if err := m.Store.EndImport(ctx, k, change); err != nil {
		return nil, err
	}
	m.Changed()
	return m.Get(ctx, k)
}
