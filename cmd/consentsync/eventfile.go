package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

// eventFile reads what stands in a JSON array, or one JSON value after another,
// such as one a line (NDJSON). It holds one at a time in memory. What it cannot
// get past ends it with an error that says after how many it stands.
func eventFile(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		buffered := bufio.NewReaderSize(r, 64<<10)
		dec := json.NewDecoder(buffered)
		array := beginsWith(buffered, '[')
		if array {
			if _, err := dec.Token(); err != nil {
				yield(nil, fmt.Errorf("the list of events cannot be read: %w", err))
				return
			}
		}
		for n := 0; !array || dec.More(); n++ {
			var raw json.RawMessage
			err := dec.Decode(&raw)
			switch {
			case errors.Is(err, io.EOF) && !array:
				return
			case err != nil:
				yield(nil, fmt.Errorf("after %s, at byte %d, it is not JSON, or ends too soon: %w", of(n, "event", "events"), dec.InputOffset(), err))
				return
			case !yield(raw, nil):
				return
			}
		}
		if _, err := dec.Token(); err != nil {
			yield(nil, fmt.Errorf("the list of events does not end: %w", err))
		}
	}
}

// beginsWith tells whether what comes first, but for white space, is c.
func beginsWith(r *bufio.Reader, c byte) bool {
	for {
		b, err := r.ReadByte()
		switch {
		case err != nil:
			return false
		case bytes.IndexByte([]byte(" \t\r\n"), b) < 0:
			return r.UnreadByte() == nil && b == c
		}
	}
}
