package audit

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"consentsync/internal/store"
)

// Problem is something in an audit chain that is not as it was sealed.
type Problem struct {
	Link     int64  `json:"link,omitempty"`
	Position int64  `json:"position,omitempty"`
	What     string `json:"what"`
}

// String says where and what.
func (p Problem) String() string {
	switch {
	case p.Position > 0:
		return fmt.Sprintf("link %d, record %d: %s", p.Link, p.Position, p.What)
	case p.Link > 0:
		return fmt.Sprintf("link %d: %s", p.Link, p.What)
	}
	return p.What
}

// Report is what a verification has found.
type Report struct {
	Header
	Links    int64      `json:"links"`
	Records  int64      `json:"records"`
	Removed  int64      `json:"removed"` // records that retention has let go
	Erased   int64      `json:"erased"`  // records of people who were erased
	End      Checkpoint `json:"end"`
	Problems []Problem  `json:"problems"`
	More     int64      `json:"more"` // problems that are not listed
}

// mostRecords bounds what a link is taken to have.
const mostRecords = 1 << 16

// mostProblems bounds how many problems are listed.
const mostProblems = 100

// Verifier checks an export, a link at a time: nothing was removed, changed,
// reordered, cut off or forged since it was sealed. What is missing must be
// explained by sealed records of the erasure, or of the retention, behind it.
type Verifier struct {
	key    PublicKey
	noted  []Checkpoint
	report Report
	last   store.AuditLink

	gone     map[store.Kept]int64  // the newest of each kind that retention must have removed
	erased   map[string]Problem    // where a person's record is erased first
	proved   store.Horizons        // what sealed records say of retention
	erasures map[string]bool       // whom sealed records say to be erased
	heads    map[int64][]store.Hex // what the checkpoints to be met are
}

// NewVerifier checks against a key and against checkpoints that were noted
// down. Without a key that of the header counts, which whoever can forge the
// export can choose.
func NewVerifier(h Header, key PublicKey, noted ...Checkpoint) *Verifier {
	v := &Verifier{
		key: key, noted: noted, report: Report{Header: h, Problems: []Problem{}},
		gone: map[store.Kept]int64{}, erased: map[string]Problem{}, proved: store.Horizons{}, erasures: map[string]bool{}, heads: map[int64][]store.Hex{},
	}
	if len(key) == 0 {
		v.key = h.PublicKey
	}
	for _, c := range append(slices.Clone(noted), h.Head) {
		if c.Number > 0 {
			// The head of the export is not to be taken for one that was noted down.
			v.heads[c.Number] = append(v.heads[c.Number], c.Hash)
		}
	}
	return v
}

func (v *Verifier) problem(link, position int64, what string, args ...any) {
	if len(v.report.Problems) == mostProblems {
		v.report.More++
		return
	}
	v.report.Problems = append(v.report.Problems, Problem{link, position, fmt.Sprintf(what, args...)})
}

// Horizons takes what a later page says that retention has removed.
func (v *Verifier) Horizons(h store.Horizons) {
	if v.report.Horizons == nil {
		v.report.Horizons = store.Horizons{}
	}
	for kind, n := range h {
		v.report.Horizons[kind] = max(v.report.Horizons[kind], n)
	}
}

// Link checks the next link.
func (v *Verifier) Link(view *Link) {
	l, ok := view.link(v.report.OrganizationID)
	switch {
	case !ok:
		v.problem(view.Number, 0, "a hash of it was changed: it has another length")
		return
	case v.report.Links == 0 && l.Number > 1:
		v.gone[store.KeptChain] = l.Number // retention has removed what was before
	case l.Number != v.last.Number+1:
		v.problem(l.Number, 0, "it follows on link %d: what was between them was removed, or the order was changed", v.last.Number)
	case l.Previous != v.last.Hash:
		v.problem(l.Number, 0, "it was made after another link %d than is there now", v.last.Number)
	case l.First != v.last.Last+1:
		v.problem(l.Number, 0, "its records begin at %d and those before end at %d", l.First, v.last.Last)
	}
	genuine := true
	switch {
	case linkHash(&l) != l.Hash:
		v.problem(l.Number, 0, "it was changed: its hash is not that of what it says")
		genuine = false
	case !v.key.verifies(&l):
		v.problem(l.Number, 0, "its signature was not made with the key %s: the checkpoint is forged", v.key.Name())
		genuine = false
	}
	if slices.ContainsFunc(v.heads[l.Number], func(want store.Hex) bool { return !bytes.Equal(want, l.Hash[:]) }) {
		v.problem(l.Number, 0, "it is another link than the checkpoint tells that was noted down, or than the head of the chain")
	}
	delete(v.heads, l.Number)
	v.records(&l, view.Records, genuine)
	v.report.Links++
	v.last = l
	v.report.End = Checkpoint{l.Number, l.Hash[:]}
}

func (v *Verifier) records(l *store.AuditLink, views []RecordView, genuine bool) {
	records := make([]store.AuditRecord, 0, len(views))
	there, before := map[int64]bool{}, l.First-1
	for i := range views {
		r := views[i].record()
		if r.Position <= before || r.Position > l.Last {
			v.problem(l.Number, r.Position, "it does not belong here: the order was changed")
		}
		before = r.Position
		there[r.Position] = true
		records = append(records, r)
	}
	for n := range min(l.Last-l.First, mostRecords) + 1 {
		if p := l.First + n; !there[p] {
			v.problem(l.Number, p, "it was removed from the chain")
		}
	}
	sealed := rootOf(leavesOf(records)) == l.Root
	if !sealed && genuine && int64(len(records)) == l.Last-l.First+1 {
		v.problem(l.Number, 0, "records %d to %d are not those that were sealed, or stand in another order", l.First, l.Last)
	}
	genuine = genuine && sealed // what is not counts as proof of nothing
	for i := range views {
		v.record(l, &views[i], genuine)
	}
	v.report.Records += int64(len(records))
}

func (v *Verifier) record(l *store.AuditLink, view *RecordView, genuine bool) {
	if len(view.Record) == 0 || string(view.Record) == "null" {
		v.report.Removed++
		v.missing(l, view, keptOf(view.Kind))
		return
	}
	var form bytes.Buffer
	if err := json.Compact(&form, view.Record); err != nil {
		v.problem(l.Number, view.Position, "the %s is not JSON", view.Kind)
		return
	}
	if digest := store.SealDigest(form.Bytes()); !bytes.Equal(digest[:], view.Digest) {
		v.problem(l.Number, view.Position, "the %s %s was changed after it was sealed", view.Kind, view.ID)
		return
	}
	switch view.Payload {
	case PayloadChanged:
		v.problem(l.Number, view.Position, "the payload of the event %s was changed after it was sealed", view.ID)
	case PayloadGone:
		if !view.Erased {
			v.missing(l, view, store.KeptPayloads)
		}
	}
	if view.Erased {
		v.report.Erased++
		v.erasedOf(l, view)
	}
	if view.Kind == store.AuditChange && genuine {
		v.learn(form.Bytes())
	}
}

// keptOf says what retention calls a kind of records.
func keptOf(k store.AuditKind) store.Kept {
	switch k {
	case store.AuditEvent:
		return store.KeptEvents
	case store.AuditChange:
		return store.KeptChanges
	}
	return store.KeptCalls
}

// missing notes what retention must have removed: it is looked at in the end.
func (v *Verifier) missing(l *store.AuditLink, view *RecordView, kind store.Kept) {
	at := timeOf(view.ID)
	horizon := v.report.Horizons[kind]
	if kind == store.KeptPayloads {
		horizon = max(horizon, v.report.Horizons[store.KeptEvents])
	}
	if at >= horizon {
		v.problem(l.Number, view.Position, "the %s %s was removed", map[bool]string{true: "payload of the event", false: string(view.Kind)}[kind == store.KeptPayloads], view.ID)
		return
	}
	v.gone[kind] = max(v.gone[kind], at+1)
}

// erasedOf notes that a record of somebody is erased.
func (v *Verifier) erasedOf(l *store.AuditLink, view *RecordView) {
	if _, noted := v.erased[string(view.Person)]; !noted {
		v.erased[string(view.Person)] = Problem{l.Number, view.Position, "what it says was erased, and no sealed record tells of that erasure (one of the last minutes is sealed soon)"}
	}
}

// learn takes from a sealed change what it says of erasures and retention.
func (v *Verifier) learn(form []byte) {
	var c struct {
		Action  string         `json:"action"`
		Details []store.Detail `json:"details"`
	}
	if json.Unmarshal(form, &c) != nil {
		return
	}
	for _, d := range c.Details {
		switch {
		case c.Action == store.PersonErased && d.Name == detailPerson:
			v.erasures[d.Is] = true // in hexadecimal
		case c.Action == store.RetentionKept:
			if n, err := strconv.ParseInt(d.Is, 10, 64); err == nil {
				v.proved[store.Kept(d.Name)] = max(v.proved[store.Kept(d.Name)], n)
			}
		}
	}
}

// timeOf is when an id was made.
func timeOf(id store.ID) int64 { return int64(binary.BigEndian.Uint64(id[:8])>>16) * 1000 }

// End tells what was found, after the last link.
func (v *Verifier) End() Report {
	for kind, newest := range v.gone {
		proved := v.proved[kind]
		if kind == store.KeptPayloads {
			proved = max(proved, v.proved[store.KeptEvents])
		}
		if proved < newest {
			v.problem(0, 0, "%s were removed, and no sealed record tells that retention did it", kind)
		}
	}
	for person, where := range v.erased {
		if !v.erasures[hex.EncodeToString([]byte(person))] {
			v.problem(where.Link, where.Position, "%s", where.What)
		}
	}
	numbers := []int64{}
	for n := range v.heads {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		switch {
		case n > v.last.Number:
			v.problem(n, 0, "it is not there: the chain ends with link %d, its end was cut off", v.last.Number)
		case v.report.Oldest <= n:
			v.problem(n, 0, "it is not there")
		}
	}
	return v.report
}
