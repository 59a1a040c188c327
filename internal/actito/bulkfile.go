package actito

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

// maxKeyRunes is what Actito takes of a text in a file.
const maxKeyRunes = 255

// LoadableKey says whether a key can stand in a load. A person whose key cannot
// has to be written one by one.
func LoadableKey(key string) bool {
	return key != "" && utf8.ValidString(key) && utf8.RuneCountInString(key) <= maxKeyRunes &&
		!strings.ContainsAny(key, "\x00\r\n")
}

// SubscriptionColumn is what heads the column of a subscription.
func SubscriptionColumn(name string) string { return "subscriptions#" + name }

// LoadColumns gives the header line of a load, column by column.
func LoadColumns(keyAttribute string, subscriptions []string) []string {
	columns := []string{keyAttribute}
	for _, name := range subscriptions {
		columns = append(columns, SubscriptionColumn(name))
	}
	return columns
}

// RowBytes is the most that a row of so many subscriptions takes of a load's
// text, so that a load can be ended before MaxLoadBytes. The header takes at most
// 2*len+3 for each of LoadColumns.
func RowBytes(key string, subscriptions int) int {
	const quotes, lineEnd = 2, 2
	return 2*len(key) + quotes + subscriptions*len(",FALSE") + lineEnd
}

// appendCell writes a cell as RFC 4180 has it.
func appendCell(line []byte, cell string) []byte {
	if !strings.ContainsAny(cell, "\",\r\n") && strings.TrimSpace(cell) == cell {
		return append(line, cell...)
	}
	line = append(line, '"')
	line = append(line, strings.ReplaceAll(cell, `"`, `""`)...)
	return append(line, '"')
}

func appendRow(line []byte, row LoadRow) []byte {
	line = appendCell(line, row.Key)
	for _, on := range row.On {
		if on {
			line = append(line, ",TRUE"...)
		} else {
			line = append(line, ",FALSE"...)
		}
	}
	return append(line, "\r\n"...)
}

// WriteText writes a load as its file holds it, before it is zipped. It is for
// those who set up the ETL.
func (l Load) WriteText(ctx context.Context, to io.Writer) error {
	return writeRows(ctx, "actito.WriteText", to, l)
}

// writeLoad writes a load to a zipped file. Its errors mean that nothing was
// sent.
func writeLoad(ctx context.Context, op string, l Load) (*scratch, error) {
	file, err := newScratch(op)
	if err != nil {
		return nil, err
	}
	if err := zipRows(ctx, op, file, l); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func zipRows(ctx context.Context, op string, file *scratch, l Load) error {
	buffer := bufio.NewWriterSize(file.File, 64<<10)
	archive := zip.NewWriter(buffer)
	text, err := archive.Create("profiles.csv")
	if err != nil {
		return unwritten(op, err)
	}
	if err := writeRows(ctx, op, text, l); err != nil {
		return err
	}
	if err := errors.Join(archive.Close(), buffer.Flush()); err != nil {
		return unwritten(op, err)
	}
	if file.size, err = file.Seek(0, io.SeekEnd); err != nil {
		return unwritten(op, err)
	}
	if file.size > MaxLoadBytes {
		return tooLarge(op)
	}
	return nil
}

func writeRows(ctx context.Context, op string, to io.Writer, l Load) error {
	var line []byte
	for i, column := range LoadColumns(l.KeyAttribute, l.Subscriptions) {
		if i > 0 {
			line = append(line, ',')
		}
		line = appendCell(line, column)
	}
	line = append(line, "\r\n"...)
	written, rows := 0, 0
	for row, err := range l.Rows {
		switch {
		case err != nil:
			return fmt.Errorf("%s: the rows broke off, nothing was sent: %w", op, err)
		case row.Key == "" || len(row.On) != len(l.Subscriptions):
			return consent.Errorf(consent.Invalid, op,
				"row %d has no key, or not one value for each subscription; nothing was sent", rows+1)
		case ctx.Err() != nil:
			return &consent.Error{
				Kind: consent.Transient, Op: op, Err: context.Cause(ctx), Message: "the load was given up; nothing was sent",
			}
		}
		rows++
		line = appendRow(line, row) // behind the header, for the first row
		if written += len(line); written > MaxLoadBytes {
			return tooLarge(op)
		}
		if _, err := to.Write(line); err != nil {
			return unwritten(op, err)
		}
		line = line[:0]
	}
	if rows == 0 {
		return consent.Errorf(consent.Invalid, op, "the load has no rows; nothing was sent")
	}
	return nil
}

func tooLarge(op string) error {
	return consent.Errorf(consent.TooLarge, op, "the load is larger than %d bytes; nothing was sent", MaxLoadBytes)
}

func unwritten(op string, err error) error {
	return &consent.Error{
		Kind: consent.Transient, Op: op, Err: err, Message: "a temporary file cannot be written",
	}
}

// keysIn gives those keys of a load's file that a text repeats, letters' case
// aside, or the whole text if they are too many to be taken out one by one. It
// reads the file again, which is cheaper than to keep a million keys in case of
// a refusal.
func (s *scratch) keysIn(text string) []string {
	const most = 100
	given := strings.ToLower(text)
	plain := strings.ToLower(outbound.Readable(text))
	archive, err := zip.NewReader(s.File, s.size)
	if err != nil || len(archive.File) == 0 {
		return []string{text}
	}
	rows, err := archive.File[0].Open()
	if err != nil {
		return []string{text}
	}
	defer rows.Close()
	var found []string
	for r, header := newReader(rows, ','), true; ; header = false {
		row, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return found
		case err != nil || len(found) == most:
			return []string{text}
		case header:
			continue
		}
		key := strings.ToLower(row[0])
		if strings.Contains(plain, key) || strings.Contains(given, key) {
			found = append(found, strings.Clone(row[0]))
		}
	}
}

func newReader(from io.Reader, comma rune) *csv.Reader {
	r := csv.NewReader(from)
	r.Comma, r.ReuseRecord, r.FieldsPerRecord = comma, true, -1
	return r
}

// zipped says whether a file begins like a zip, gzipped the like.
func zipped(head []byte) bool  { return bytes.HasPrefix(head, []byte("PK\x03\x04")) }
func gzipped(head []byte) bool { return bytes.HasPrefix(head, []byte("\x1f\x8b")) }

// scratch is a temporary file. Where the system allows it the file has no name,
// so that nothing of it is left, whatever becomes of the program.
type scratch struct {
	*os.File
	size int64
	name string // of a file that has to be removed at its end
}

func newScratch(op string) (*scratch, error) {
	f, err := os.CreateTemp("", "consentsync-load-*")
	if err != nil {
		return nil, unwritten(op, err)
	}
	s := &scratch{File: f}
	if os.Remove(f.Name()) != nil {
		s.name = f.Name()
	}
	return s, nil
}

// Close ends the file. It may be called twice.
func (s *scratch) Close() {
	_ = s.File.Close()
	if s.name != "" {
		_ = os.Remove(s.name)
	}
}

// reader reads the file from its beginning, whoever else reads it.
func (s *scratch) reader() *io.SectionReader { return io.NewSectionReader(s.File, 0, s.size) }
