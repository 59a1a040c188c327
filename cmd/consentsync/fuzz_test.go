package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// An export of Actito's ends, says the same however its bytes come, and each of
// its rows is one that the server takes: with a key, and of the header's
// subscriptions alone.
func FuzzExportFile(f *testing.F) {
	for _, seed := range []string{
		"email,News,Offers\nana@example.com,1,0\n", "\xef\xbb\xbfemail;subscriptions#News\n\"a;\"\"b\";yes\n", "email\tNews\n\ta\n", "News,email\n1,a\n\"", "email,News,News\n", "email,News\na,1,2\nb\nc,perhaps\n", "email,News\n\xe9,1\n", "",
	} {
		f.Add([]byte(seed))
	}
	read := func(r io.Reader) (rows []string, names []string, err error) {
		e, err := readExport(r, "email", []string{"News", "Offers"})
		if err != nil {
			return nil, nil, err
		}
		for {
			row, err := e.next()
			broken, isRow := errors.AsType[*errRow](err)
			switch {
			case errors.Is(err, io.EOF):
				return rows, e.names(), nil
			case isRow:
				rows = append(rows, broken.Error())
			case err != nil:
				return rows, e.names(), err
			default:
				rows = append(rows, string(row))
			}
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		rows, names, err := read(bytes.NewReader(file))
		again, _, errAgain := read(iotest.HalfReader(bytes.NewReader(file)))
		if !slices.Equal(rows, again) || (err == nil) != (errAgain == nil) {
			t.Errorf("it says %q, %v, and in other pieces %q, %v", rows, err, again, errAgain)
		}
		if len(rows) > bytes.Count(file, []byte("\n"))+1 {
			t.Errorf("%d rows of it", len(rows))
		}
		for _, row := range rows {
			if !strings.HasPrefix(row, "{") {
				continue // one that is broken
			}
			var said struct {
				Key           string
				Subscriptions map[string]bool
			}
			if err := json.Unmarshal([]byte(row), &said); err != nil || said.Key == "" || strings.Contains(row, "\n") {
				t.Errorf("the row %q, %v", row, err)
			}
			for name := range said.Subscriptions {
				if !slices.Contains(names, name) {
					t.Errorf("the row %q says something of %q", row, name)
				}
			}
		}
	})
}

// A file of events ends, says the same however its bytes come, and each row
// is one line; those of a list are JSON.
func FuzzEventFile(f *testing.F) {
	for _, seed := range []string{
		"{\"id\":1}\n{\"id\":2}\n", " [{\"id\":1},\n{\"id\": 2}] ", "[1,2", "[]x", "[{\"a\":\"\\n\"}]", "\r\n\r\n", "[[[[[[[[", "\x1f\x8b\x08\x00", "",
	} {
		f.Add([]byte(seed))
	}
	read := func(r io.Reader) (rows []string, err error) {
		plain, err := unzipped(r)
		if err != nil {
			return nil, err
		}
		for row, err := range rowsOf(io.LimitReader(plain, 4<<20)) {
			if err != nil {
				return rows, err
			}
			rows = append(rows, string(row))
		}
		return rows, nil
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		rows, err := read(bytes.NewReader(file))
		again, errAgain := read(iotest.HalfReader(bytes.NewReader(file)))
		if !slices.Equal(rows, again) || (err == nil) != (errAgain == nil) {
			t.Errorf("it says %q, %v, and in other pieces %q, %v", rows, err, again, errAgain)
		}
		list := bytes.HasPrefix(bytes.TrimLeft(file, " \t\r\n"), []byte("["))
		for _, row := range rows {
			if strings.Contains(row, "\n") || list && !json.Valid([]byte(row)) {
				t.Errorf("the row %q", row)
			}
		}
	})
}
