package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mostRow bounds a row of a file, as the server bounds a webhook.
const mostRow = 1 << 20

// source is a file to be taken in.
type source struct {
	name string // by which the server knows it
	path string
	size int64
}

// exportEndings are those of the files in a folder that are taken. Didomi's daily
// export has .json.gz (https://developers.didomi.io/integrations/batch-export).
var exportEndings = []string{".json", ".ndjson", ".jsonl"}

// sources lists the files of paths: a file is taken whatever its name, of a folder
// all that look like events or users. skipped counts the others.
func sources(paths []string) (found []source, skipped int, err error) {
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "proofs": // of Didomi's export: documents, not choices
				return filepath.SkipDir
			case d.IsDir():
				return nil
			case path != root && !slices.ContainsFunc(exportEndings, func(ending string) bool {
				return strings.HasSuffix(strings.TrimSuffix(path, ".gz"), ending)
			}):
				skipped++
				return nil
			}
			info, err := os.Stat(path)
			if err == nil {
				found = append(found, source{filepath.ToSlash(filepath.Clean(path)), path, info.Size()})
			}
			return err
		})
		if err != nil {
			return nil, 0, err
		}
	}
	return found, skipped, nil
}

// counted counts what is read of a file.
type counted struct {
	io.Reader
	read int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += int64(n)
	return n, err
}

// unzipped gives what a file holds, which may be gzipped.
func unzipped(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	if head, _ := b.Peek(2); !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return b, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, cutOff(err)
	}
	return z, nil
}

// cutOff says what is wrong with a file that cannot be read on.
func cutOff(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file is cut off: get it again")
	}
	return err
}

// rowsOf gives the rows of a file: the lines of NDJSON, or the elements of a JSON
// array, each as one line. It holds one at a time in memory. A row that is cut off
// is none; the error says what is wrong after the rows before it.
func rowsOf(r io.Reader) iter.Seq2[[]byte, error] {
	b := bufio.NewReaderSize(r, mostRow)
	if beginsWith(b, '[') {
		return elements(b)
	}
	return lines(b)
}

func lines(b *bufio.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for {
			line, err := b.ReadSlice('\n')
			switch {
			case err == nil:
				if !yield(line[:len(line)-1], nil) {
					return
				}
				continue
			case errors.Is(err, bufio.ErrBufferFull):
				err = fmt.Errorf("it is longer than %d bytes, so that it is no line of events", mostRow)
			case errors.Is(err, io.EOF) && len(line) > 0:
				yield(line, nil)
				return
			case errors.Is(err, io.EOF):
				return
			}
			yield(nil, cutOff(err))
			return
		}
	}
}

func elements(b *bufio.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for raw, err := range eventFile(b) {
			var line bytes.Buffer
			if err == nil {
				err = json.Compact(&line, raw)
			}
			if !yield(line.Bytes(), err) || err != nil {
				return
			}
		}
	}
}
