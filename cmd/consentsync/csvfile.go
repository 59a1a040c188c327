package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"consentsync/internal/actito"
)

// export is Actito's export of a profile table, a row at a time.
type export struct {
	csv     *csv.Reader
	key     int            // the column of the unique key
	columns map[int]string // those of subscriptions
	width   int

	end  *rowEnd
	last error // of the row before
}

// cellWords are what a cell of a subscription may say. Actito documents no format
// of exports; these are the spellings of its files and the usual ones.
var cellWords = map[string]bool{
	"true": true, "1": true, "yes": true, "y": true, "on": true, "subscribed": true,
	"false": false, "0": false, "no": false, "n": false, "off": false, "unsubscribed": false,
}

// readExport reads the header of an export: it needs the column of the unique key,
// and one of a subscription at least, under its name or as in files for bulk
// loads.
func readExport(r io.Reader, uniqueKey string, subscriptions []string) (*export, error) {
	end := &rowEnd{r: r, left: mostRow}
	b := bufio.NewReaderSize(end, 64<<10)
	if mark, _ := b.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		_, _ = b.Discard(len(mark))
	}
	first, _ := b.Peek(b.Size())
	line, _, _ := bytes.Cut(first, []byte("\n"))
	e := &export{csv: csv.NewReader(b), end: end, key: -1, columns: map[int]string{}}
	e.csv.Comma, e.csv.FieldsPerRecord, e.csv.ReuseRecord = separator(line), -1, true
	header, err := e.read()
	if err != nil {
		return nil, fmt.Errorf("row 1: there is no header: %w", cutOff(err))
	}
	if !utf8.ValidString(strings.Join(header, "")) {
		return nil, errors.New("row 1: the header is not UTF-8: export the table in that encoding")
	}
	e.width = len(header)
	for n, name := range header {
		name = strings.TrimSpace(name)
		subscription := strings.TrimPrefix(name, actito.SubscriptionColumn(""))
		switch {
		case name == uniqueKey && e.key >= 0, slices.Contains(e.names(), subscription):
			return nil, fmt.Errorf("row 1: the column %q is there twice", name)
		case name == uniqueKey:
			e.key = n
		case name != subscription || slices.Contains(subscriptions, name):
			e.columns[n] = subscription
		}
	}
	switch {
	case e.key < 0:
		return nil, fmt.Errorf("row 1: the header has no column %q, the unique key of the integration; it has %s", uniqueKey, strings.Join(header, ", "))
	case len(e.columns) == 0:
		return nil, fmt.Errorf("row 1: the header has no subscription of the table, such as %q; it has %s", actito.SubscriptionColumn("Newsletter"), strings.Join(header, ", "))
	}
	return e, nil
}

// separator guesses what stands between the cells.
func separator(header []byte) rune {
	best, most := ',', 0
	for _, c := range []rune{',', ';', '\t'} {
		if n := bytes.Count(header, []byte(string(c))); n > most {
			best, most = c, n
		}
	}
	return best
}

// names gives the subscriptions, in the order of their columns.
func (e *export) names() []string {
	var names []string
	for n := range e.width {
		if name, is := e.columns[n]; is {
			names = append(names, name)
		}
	}
	return names
}

// errRow is what is wrong with one row; the next may be read.
type errRow struct {
	line   int
	reason string
	quoted bool // its quotes do not fit
}

func (e *errRow) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.reason) }

// next reads a row as the server takes it; io.EOF at the end.
func (e *export) next() ([]byte, error) {
	last := e.last
	row, err := e.row()
	if broken, ok := errors.AsType[*errRow](last); errors.Is(err, io.EOF) && ok && (e.end.is != '\n' || broken.quoted) {
		err = cutOff(io.ErrUnexpectedEOF) // the last row is broken, and does not end
	}
	e.last = err
	return row, err
}

// rowEnd remembers with what the reading ended, and ends it within a row of more
// than mostRow bytes, give or take what is read ahead: a quote that is not closed
// would make one row of all the rest.
type rowEnd struct {
	r    io.Reader
	is   byte
	left int // bytes that the row may still take
	cut  bool
}

func (l *rowEnd) Read(p []byte) (int, error) {
	if l.left <= 0 {
		l.cut = true
		return 0, io.EOF
	}
	n, err := l.r.Read(p[:min(len(p), l.left)])
	if l.left -= n; n > 0 {
		l.is = p[n-1]
	}
	return n, err
}

// read reads a row of the file. One that is too long is the end of it, for where
// the next begins is not known.
func (e *export) read() ([]string, error) {
	e.end.left = mostRow
	record, err := e.csv.Read()
	if !e.end.cut {
		return record, err
	}
	line := 1
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		line = parse.StartLine
	} else if len(record) > 0 {
		line, _ = e.csv.FieldPos(0)
	}
	return nil, fmt.Errorf("line %d: the row that begins here has more than %d bytes: close its quotes", line, mostRow)
}

func (e *export) row() ([]byte, error) {
	record, err := e.read()
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		return nil, &errRow{line: parse.StartLine, reason: parse.Err.Error(), quoted: errors.Is(parse.Err, csv.ErrQuote)}
	}
	if err != nil {
		return nil, cutOff(err)
	}
	line, _ := e.csv.FieldPos(0)
	if len(record) != e.width {
		return nil, &errRow{line: line, reason: fmt.Sprintf("it has %d cells, the header %d", len(record), e.width)}
	}
	switch key := record[e.key]; {
	case key == "":
		return nil, &errRow{line: line, reason: "the unique key is empty"}
	case !utf8.ValidString(key): // it would pass for somebody else's
		return nil, &errRow{line: line, reason: "the unique key is not UTF-8: export the table in that encoding"}
	}
	says := map[string]bool{}
	for n := range e.width { // in their order, so that the same row is always told of alike
		name, is := e.columns[n]
		if !is {
			continue
		}
		cell := strings.ToLower(strings.TrimSpace(record[n]))
		on, known := cellWords[cell]
		switch {
		case known:
			says[name] = on
		case cell != "":
			return nil, &errRow{line: line, reason: fmt.Sprintf("column %q is neither on nor off", name)}
		}
	}
	return json.Marshal(map[string]any{"key": record[e.key], "subscriptions": says})
}
