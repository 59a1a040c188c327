package actito

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"

	"consentsync/internal/consent"
)

// rowsOf reads refused rows from a JSON array. What is not an object gives a row
// that names nobody.
func rowsOf(list json.RawMessage, keyAttribute string) iter.Seq2[RefusedRow, error] {
	return func(yield func(RefusedRow, error) bool) {
		dec := json.NewDecoder(bytes.NewReader(list))
		dec.UseNumber()
		_, err := dec.Token()
		for err == nil && dec.More() {
			var element any
			if err = dec.Decode(&element); err == nil && !yield(rowOf(element, keyAttribute), nil) {
				return
			}
		}
		if err != nil {
			yield(RefusedRow{}, err)
		}
	}
}

func rowOf(element any, keyAttribute string) RefusedRow {
	object, ok := element.(map[string]any)
	if !ok {
		return RefusedRow{Reason: text(element)}
	}
	row := RefusedRow{
		Row:    number(field(object, "row", "rowNumber", "rowIndex")),
		Key:    keyOf(object, keyAttribute),
		Reason: reasonOf(field(object, "message", "reason", "error", "errorMessage", "description", "errors")),
	}
	if row.Row == 0 {
		// A line of the file: the header is the first.
		row.Row = max(0, number(field(object, "line", "lineNumber"))-1)
	}
	return row
}

// keyOf finds the key in what is told about a row: under the attribute's name,
// as the "key", as the value of that attribute, or in the row as it was sent.
func keyOf(object map[string]any, attribute string) string {
	if key := text(field(object, attribute)); key != "" {
		return key
	}
	switch told := field(object, "key", "profileKey").(type) {
	case map[string]any:
		return text(field(told, attribute))
	default:
		key := text(told)
		if value, ok := strings.CutPrefix(key, attribute+"="); ok {
			return value
		}
		if key != "" && key != attribute {
			return key
		}
	}
	if about := text(field(object, "key", "attribute", "column", "field")); about == attribute {
		return text(field(object, "value"))
	}
	for _, name := range sortedKeys(object) {
		if inner, ok := object[name].(map[string]any); ok {
			if key := text(field(inner, attribute)); key != "" {
				return key
			}
		}
	}
	return ""
}

func reasonOf(v any) string {
	switch v := v.(type) {
	case map[string]any:
		return reasonOf(field(v, "message", "reason", "error", "description", "code"))
	case []any:
		if len(v) > 0 {
			return reasonOf(v[0])
		}
	}
	return text(v)
}

// resultTable is a file about the rows of a load.
type resultTable struct {
	file        *scratch
	key         string // the attribute
	onlyRefused bool
}

// columns says where in a result file something stands; -1 is nowhere.
type columns struct{ key, row, line, reason, status, count int }

var errNotAbout = errors.New("the file does not say which rows were refused")

// survey reads the whole file, so that nothing in it surprises afterwards.
func (t *resultTable) survey() (tally, error) {
	var found tally
	rows := 0
	for row, err := range t.each() {
		if err != nil {
			return found, &consent.Error{
				Kind: consent.Invalid, Op: "actito.LoadResult", Err: err, Message: "the result file could not be understood",
			}
		}
		rows++
		if row != nil {
			found.add(*row)
		}
	}
	if rows == 0 && !t.onlyRefused {
		// Of a file about all rows, an empty one says that none was looked at.
		found.unnamed++
	}
	return found, nil
}

func (t *resultTable) rows() iter.Seq2[RefusedRow, error] {
	return func(yield func(RefusedRow, error) bool) {
		for row, err := range t.each() {
			if err != nil {
				yield(RefusedRow{}, err)
				return
			}
			if row != nil && !yield(*row, nil) {
				return
			}
		}
	}
}

// each gives every row of the file, nil for one that was applied.
func (t *resultTable) each() iter.Seq2[*RefusedRow, error] {
	return func(yield func(*RefusedRow, error) bool) {
		plain, err := t.open()
		if err != nil {
			yield(nil, err)
			return
		}
		buffer := bufio.NewReader(plain)
		if head, _ := buffer.Peek(3); bytes.Equal(head, []byte("\xef\xbb\xbf")) {
			_, _ = buffer.Discard(3)
		}
		head, _ := buffer.Peek(buffer.Size())
		r := newReader(buffer, separator(head))
		names, err := r.Read()
		if err != nil {
			yield(nil, err)
			return
		}
		at := t.columns(names)
		if at.key < 0 && at.row < 0 && at.line < 0 || at.reason < 0 && !t.onlyRefused {
			yield(nil, errNotAbout)
			return
		}
		for {
			cells, err := r.Read()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err == nil && len(cells) != at.count:
				err = errNotAbout
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(t.refused(cells, at), nil) {
				return
			}
		}
	}
}

// open gives the text of a file that may be a zip or gzip of it.
func (t *resultTable) open() (io.Reader, error) {
	head := make([]byte, 4)
	n, _ := t.file.reader().Read(head)
	var plain io.Reader = t.file.reader()
	switch {
	case zipped(head[:n]):
		archive, err := zip.NewReader(t.file.reader(), t.file.size)
		if err != nil {
			return nil, err
		}
		if len(archive.File) != 1 {
			return nil, errNotAbout
		}
		if plain, err = archive.File[0].Open(); err != nil {
			return nil, err
		}
	case gzipped(head[:n]):
		var err error
		if plain, err = gzip.NewReader(plain); err != nil {
			return nil, err
		}
	}
	return &limited{from: plain, left: 10 * MaxLoadBytes}, nil
}

// limited fails where io.LimitedReader would end as if that were all.
type limited struct {
	from io.Reader
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.from.Read(p)
	if l.left -= n; l.left < 0 {
		return 0, errors.New("the file is too large")
	}
	return n, err
}

// separator is the likely one that the first line has most of.
func separator(head []byte) rune {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	best := ','
	for _, c := range ";\t|" {
		if bytes.ContainsRune(line, c) && bytes.Count(line, []byte(string(c))) > bytes.Count(line, []byte(string(best))) {
			best = c
		}
	}
	return best
}

func (t *resultTable) columns(names []string) columns {
	find := func(fits func(name string) bool) int {
		return slices.IndexFunc(names, func(name string) bool { return fits(letters(name)) })
	}
	one := func(of ...string) int {
		return find(func(name string) bool { return slices.Contains(of, name) })
	}
	at := columns{
		key: slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(strings.TrimSpace(name), t.key) }),
		row: one("row", "rownumber"), line: one("line", "linenumber"),
		reason: find(func(name string) bool {
			return troubleWord(name) != "" || strings.Contains(name, "reason") || strings.Contains(name, "message")
		}),
		status: one("status", "state", "result", "outcome"),
		count:  len(names),
	}
	if at.key < 0 {
		at.key = one("key", "profilekey")
	}
	return at
}

// refused gives the row if it was not applied. A status that is not known to be
// a good one is a refusal.
func (t *resultTable) refused(cells []string, at columns) *RefusedRow {
	cell := func(i int) string {
		if i < 0 {
			return ""
		}
		return strings.TrimSpace(cells[i])
	}
	status := strings.ToUpper(cell(at.status))
	good := status == "" || slices.Contains(endedWell, status) || status == "CREATED" || status == "UPDATED"
	if !t.onlyRefused && cell(at.reason) == "" && good {
		return nil
	}
	row := &RefusedRow{Row: number(cell(at.row)), Reason: strings.Clone(cell(at.reason))}
	if at.key >= 0 {
		row.Key = strings.Clone(cells[at.key])
	}
	if row.Row == 0 {
		row.Row = max(0, number(cell(at.line))-1)
	}
	return row
}
