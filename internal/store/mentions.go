package store

import (
	"regexp"
	"slices"

	"consentsync/internal/consent"
)

// Mentions is what stands about a person beside choices, events, calls, profiles
// and messages: in bulk loads, files and comparisons.
type Mentions struct {
	Loads      []LoadMention
	Held       []HeldMention
	Examples   []ExampleMention
	Refusals   []RefusalMention
	Aside      []AsideMention
	ToBeErased consent.Time // since when, because Didomi has deleted the user; 0 if not
}

// LoadMention is a row of a bulk load.
type LoadMention struct {
	Integration string
	Load        ID
	Number      int64
	Cells       map[string]bool // by subscription
	Refused     string          // why Actito refused it
}

// HeldMention is a row of Actito's export that waits to be compared.
type HeldMention struct {
	Integration string
	Run         ID
	Cells       map[string]bool
}

// ExampleMention is an example in the report of a reconciliation.
type ExampleMention struct {
	Integration string
	Run         ID
	DriftExample
}

// RefusalMention is a row of an import that was refused for a reason that names
// the person.
type RefusalMention struct {
	Import string
	ImportRefusal
}

// AsideMention is a webhook that names the person and could not be merged.
type AsideMention struct {
	ArrivedAt consent.Time
	Body      string
	Reason    string
}

// Full tells whether one of the lists has as many as were asked for.
func (m *Mentions) Full(limit int) bool {
	return max(len(m.Loads), len(m.Held), len(m.Examples), len(m.Refusals), len(m.Aside)) >= limit
}

// Refused takes of refusals whose reason has a person's id in it somewhere those
// that name the person, and not somebody whose id has it in it.
func (m *Mentions) Refused(found []RefusalMention, userID string) {
	name := regexp.MustCompile(`(^|[^\pL\pN@_+-])` + regexp.QuoteMeta(userID) + `($|[^\pL\pN@_+-])`)
	m.Refusals = slices.DeleteFunc(found, func(r RefusalMention) bool { return !name.MatchString(r.Reason) })
}

// Compared takes the examples of a person from reconciliations.
func (m *Mentions) Compared(found []*Reconciliation, userID string) {
	for _, r := range found {
		for _, e := range r.Report.Examples {
			if e.OrganizationUserID == userID {
				m.Examples = append(m.Examples, ExampleMention{r.ID, r.RunID, e})
			}
		}
	}
}

// LoadMentionColumns are those that ScanLoadMention reads, of load_rows r and
// loads l.
const LoadMentionColumns = `r.integration, r.load, r.number, l.columns, r.cells, r.refused`

// ScanLoadMention reads LoadMentionColumns.
func ScanLoadMention(row Row) (m LoadMention, err error) {
	var load []byte
	var columns, cells string
	if err := row.Scan(&m.Integration, &load, &m.Number, &columns, &cells, &m.Refused); err != nil {
		return m, err
	}
	m.Load = ID(load)
	var names []string
	if err := FromJSON(columns, &names); err != nil {
		return m, err
	}
	r := LoadRow{On: fromCells(cells)}
	m.Cells = r.Difference(names).Subscriptions
	return m, nil
}

// HeldMentionColumns are those that ScanHeldBlock reads, of held_blocks h and
// reconciliations r.
const HeldMentionColumns = `h.integration, h.run, r.body, h.rows`

// HeldBlockOf is a block of rows beside its reconciliation.
type HeldBlockOf struct {
	integration string
	run         ID
	columns     []string
	rows        []byte
}

// ScanHeldBlock reads HeldMentionColumns.
func ScanHeldBlock(row Row) (b HeldBlockOf, err error) {
	var run []byte
	var body string
	if err := row.Scan(&b.integration, &run, &body, &b.rows); err != nil {
		return b, err
	}
	var r Reconciliation
	err = FromJSON(body, &r)
	b.run, b.columns = ID(run), r.Columns
	return b, err
}

// HeldMentions gives a person's rows out of blocks, which are in the order of their
// reconciliations and in that in which they came: the last of each reconciliation,
// of at most limit.
func HeldMentions(person PersonKey, blocks []HeldBlockOf, limit int) (mentions []HeldMention, err error) {
	for _, b := range blocks {
		rows, err := HeldRows([][]byte{b.rows})
		if err != nil {
			return nil, err
		}
		at, found := slices.BinarySearchFunc(rows, person[:], compareHeld)
		if !found {
			continue
		}
		m := HeldMention{Integration: b.integration, Run: b.run, Cells: map[string]bool{}}
		for n, name := range b.columns {
			if on := rows[at].Cell(n); on != nil {
				m.Cells[name] = *on
			}
		}
		if last := len(mentions) - 1; last >= 0 && mentions[last].Run == m.Run {
			mentions = mentions[:last]
		}
		mentions = append(mentions, m)
	}
	return mentions[:min(len(mentions), limit)], nil
}

// ScanRefusalMention reads import, file, number, reason.
func ScanRefusalMention(row Row) (m RefusalMention, err error) {
	err = row.Scan(&m.Import, &m.File, &m.Row, &m.Reason)
	return m, err
}

// ScanAsideMention reads arrived_at, body, reason.
func ScanAsideMention(row Row) (m AsideMention, err error) {
	var body []byte
	err = row.Scan(&m.ArrivedAt, &body, &m.Reason)
	m.Body = string(body)
	return m, err
}
