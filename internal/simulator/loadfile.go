package simulator

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// readFile takes the one file of a multipart body.
func (q *request) readFile(r *http.Request, most int64) {
	form, err := r.MultipartReader()
	if err != nil {
		q.refusal = refuse(http.StatusBadRequest, "the body has to be multipart/form-data with a file")
		return
	}
	for {
		part, err := form.NextPart()
		switch {
		case errors.Is(err, io.EOF) && q.file != nil:
			return
		case err != nil, part.FileName() == "", q.file != nil:
			q.refusal = refuse(http.StatusBadRequest, "the body has to hold one file and nothing else")
			return
		}
		q.file, err = io.ReadAll(io.LimitReader(part, most+1))
		switch {
		case err != nil:
			q.refusal = refuse(http.StatusBadRequest, "the file cannot be read")
		case int64(len(q.file)) > most:
			q.refusal = refuse(http.StatusBadRequest, "the file is larger than %d bytes", most)
		}
		if q.refusal != nil {
			q.file = nil
			return
		}
	}
}

// openFile gives the records of a file: zipped, gzipped or plain
// (https://developersbuild.actito.com/develop/docs/integration-framework/etls/formats).
func openFile(file []byte) (*csv.Reader, error) {
	var text io.Reader = bytes.NewReader(file)
	switch {
	case bytes.HasPrefix(file, []byte("PK\x03\x04")):
		archive, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
		if err != nil || len(archive.File) != 1 {
			return nil, refuse(http.StatusBadRequest, "the zip has to hold one file")
		}
		if text, err = archive.File[0].Open(); err != nil {
			return nil, refuse(http.StatusBadRequest, "the zip cannot be read")
		}
	case bytes.HasPrefix(file, []byte("\x1f\x8b")):
		var err error
		if text, err = gzip.NewReader(text); err != nil {
			return nil, refuse(http.StatusBadRequest, "the gzip cannot be read")
		}
	}
	records := csv.NewReader(text)
	records.ReuseRecord, records.FieldsPerRecord = true, -1
	return records, nil
}

// column is what a column of a file goes into.
type column struct {
	name         string
	key          bool
	subscription bool
	attribute    Attribute
}

const subscriptionPrefix = "subscriptions#"

// columnsOf reads a file's header. Each column has to be known and the key has
// to be among them.
func (t *table) columnsOf(file []byte, etl ETL) ([]column, error) {
	records, err := openFile(file)
	if err != nil {
		return nil, err
	}
	names, err := records.Read()
	switch {
	case err != nil || !utf8.ValidString(strings.Join(names, "")):
		return nil, refuse(http.StatusBadRequest, "the header line cannot be read")
	case strings.HasPrefix(names[0], "\ufeff"):
		return nil, refuse(http.StatusBadRequest, "the file begins with a byte order mark")
	}
	columns := make([]column, 0, len(names))
	for _, name := range names {
		c := column{name: strings.Clone(name), key: name == etl.Key}
		known := false
		if sub, ok := strings.CutPrefix(c.name, subscriptionPrefix); ok {
			c.name, c.subscription = sub, true
			known = slices.Contains(t.Subscriptions, sub)
		} else if c.attribute, known = t.attribute(c.name); known {
			known = c.key || !isTechnical(c.name) && !c.attribute.MultiValued
		}
		if !known {
			return nil, refuse(http.StatusBadRequest, "the column %q goes nowhere", name)
		}
		if slices.ContainsFunc(columns, func(other column) bool {
			return other.name == c.name && other.subscription == c.subscription
		}) {
			return nil, refuse(http.StatusBadRequest, "the column %q is there twice", name)
		}
		columns = append(columns, c)
	}
	if !slices.ContainsFunc(columns, func(c column) bool { return c.key }) {
		return nil, refuse(http.StatusBadRequest, "the key's column %q is missing", etl.Key)
	}
	return columns, nil
}

// fileTruth reads a boolean as files have it.
func fileTruth(cell string) (yes, ok bool) {
	switch strings.ToUpper(cell) {
	case "TRUE", "1", "Y", "YES":
		return true, true
	case "FALSE", "0", "N", "NO":
		return false, true
	}
	return false, false
}

// readRowErrors answers the file that an execution links to.
func (a *Actito) readRowErrors(q *request) (outcome, error) {
	a.loads.mu.Lock()
	defer a.loads.mu.Unlock()
	x, err := a.loads.found(q)
	if err == nil && (x.Finished.IsZero() || a.opts.LoadResults != LoadResultsFile) {
		err = refuse(http.StatusNotFound, "this execution has no such file")
	}
	if err != nil {
		return outcome{}, err
	}
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	_ = w.Write([]string{"row", "key", "error"})
	for _, e := range x.errors {
		_ = w.Write([]string{strconv.Itoa(e.Row), e.Key, e.Message})
	}
	w.Flush()
	return outcome{status: http.StatusOK, header: http.Header{"Content-Type": {"text/csv"}}, body: text.Bytes()}, nil
}
