package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

// eventFile reads webhooks of Didomi, or events or users as its API shows them,
// out of a JSON array or out of one JSON value after another, such as one a line
// (NDJSON). It holds one at a time in memory. What it cannot get past ends it
// with an error that says after how many it stands.
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
			case !yield(asWebhook(raw), nil):
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

// bare is what tells an event and a user of Didomi's API, and a webhook, apart.
type bare struct {
	Type           json.RawMessage `json:"type"`
	User           json.RawMessage `json:"user"`
	Consents       json.RawMessage `json:"consents"`
	OrganizationID string          `json:"organization_id"`
	Flat           string          `json:"entity__organization_id"`
	Parameters     struct {
		Entity, NewEntity struct {
			OrganizationID string `json:"organization_id"`
		}
	} `json:"parameters"`
}

// asWebhook gives a webhook as it is, and makes one of a bare event or user.
func asWebhook(raw []byte) []byte {
	var b bare
	_ = json.Unmarshal(raw, &b) // what is wrong with it is said when it is read as a webhook
	message := ""
	switch {
	case b.Type != nil || b.Consents == nil && b.User == nil:
		return raw
	case b.User != nil:
		message = "event.created"
	default:
		message = "user.created"
	}
	text, err := json.Marshal(map[string]any{"type": message, "parameters": map[string]any{"entity": json.RawMessage(raw)}})
	if err != nil {
		return raw
	}
	return text
}

// organizationOf finds out whose a webhook is; empty if it does not say.
func organizationOf(webhook []byte) string {
	var b bare
	_ = json.Unmarshal(webhook, &b)
	return cmp.Or(b.OrganizationID, b.Flat, b.Parameters.Entity.OrganizationID, b.Parameters.NewEntity.OrganizationID)
}
