package audit

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var errKey = errors.New("a key is 32 bytes in base64")

// Checkpoint is an end of a chain as somebody may note it down: from then on
// nobody can take back what the chain held.
type Checkpoint struct {
	Number int64     `json:"number"`
	Hash   store.Hex `json:"hash"`
}

// String writes it as ParseCheckpoint reads it.
func (c Checkpoint) String() string {
	return fmt.Sprintf("%d:%s", c.Number, hex.EncodeToString(c.Hash))
}

// ParseCheckpoint reads number:hash.
func ParseCheckpoint(text string) (c Checkpoint, err error) {
	number, hash, _ := strings.Cut(text, ":")
	c.Number, err = strconv.ParseInt(number, 10, 64)
	if err == nil {
		c.Hash, err = hex.DecodeString(hash)
	}
	if err != nil || c.Number < 1 || len(c.Hash) != 32 {
		return c, errors.New("a checkpoint is the number of a link, a colon and its hash in 64 hexadecimal digits")
	}
	return c, nil
}

// Header says what an export is of.
type Header struct {
	OrganizationID string    `json:"organization_id"`
	PublicKey      PublicKey `json:"public_key"`
	// Head is the end of the chain; number 0 if nothing is sealed yet.
	Head Checkpoint `json:"head"`
	// Oldest is the number of the first link that is kept.
	Oldest int64 `json:"oldest"`
	// Horizons tell what retention has removed: all of a kind before a time in
	// microseconds since 1970, of the chain all links before a number.
	Horizons store.Horizons `json:"horizons"`
}

// Link is a link of the chain with its records, as it is exported.
type Link struct {
	Number    int64        `json:"number"`
	First     int64        `json:"first"`
	Last      int64        `json:"last"`
	At        int64        `json:"at"` // microseconds since 1970
	Previous  store.Hex    `json:"previous"`
	Root      store.Hex    `json:"root"`
	Hash      store.Hex    `json:"hash"`
	Key       string       `json:"key"`
	Signature []byte       `json:"signature"`
	Records   []RecordView `json:"records,omitempty"`
}

// What there is of the payload of an event.
const (
	PayloadKept    = "kept"    // it is what the event was sealed with
	PayloadGone    = "gone"    // it was erased, or kept long enough
	PayloadChanged = "changed" // it is another than the event was sealed with
)

// RecordView is a sealed record as it is exported.
type RecordView struct {
	Position int64           `json:"position"`
	Kind     store.AuditKind `json:"kind"`
	ID       store.ID        `json:"id"`
	Person   store.Hex       `json:"person"`
	Digest   store.Hex       `json:"digest"`
	// Record is the form that the digest is over, of the record as it is now;
	// null if it is gone.
	Record json.RawMessage `json:"record"`
	// Erased tells that what was personal is erased.
	Erased  bool   `json:"erased,omitempty"`
	Payload string `json:"payload,omitempty"`
}

func viewOf(l *store.AuditLink) Link {
	return Link{l.Number, l.First, l.Last, int64(l.At), l.Previous[:], l.Root[:], l.Hash[:], l.Key, l.Signature, nil}
}

// link reads a view; ok is false if a hash has another length than hashes have.
func (v *Link) link(organization string) (l store.AuditLink, ok bool) {
	l = store.AuditLink{Organization: organization, Number: v.Number, First: v.First, Last: v.Last, At: consent.Time(v.At), Key: v.Key, Signature: v.Signature}
	for _, h := range []struct {
		from store.Hex
		to   *[32]byte
	}{{v.Previous, &l.Previous}, {v.Root, &l.Root}, {v.Hash, &l.Hash}} {
		if len(h.from) != len(h.to) {
			return l, false
		}
		copy(h.to[:], h.from)
	}
	return l, true
}

func (v *RecordView) record() (r store.AuditRecord) {
	r = store.AuditRecord{Position: v.Position, Kind: v.Kind, ID: v.ID}
	copy(r.Person[:], v.Person)
	copy(r.Digest[:], v.Digest)
	return r
}
