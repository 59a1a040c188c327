package store

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"consentsync/internal/consent"
)

// NewSalt makes the salt of a commitment.
func NewSalt() []byte {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	return salt
}

// Commit is SHA-256 over a salt and what it is committed to: it tells nothing
// of that once the salt is destroyed.
func Commit(salt, content []byte) (c [32]byte) {
	sum := sha256.New()
	sum.Write(salt)
	sum.Write(content)
	sum.Sum(c[:0])
	return c
}

// Hex is bytes as JSON shows them.
type Hex []byte

// MarshalText writes hexadecimal digits.
func (h Hex) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

// UnmarshalText reads them.
func (h *Hex) UnmarshalText(text []byte) (err error) {
	*h, err = hex.AppendDecode(nil, text)
	return err
}

// The sealed forms. Each is what a record's digest is over, as compact JSON: it
// holds no personal data but keyed hashes and salted commitments, so that it
// stays the same when the personal data is erased. Times are microseconds
// since 1970. A field that is added later must be left out where it is empty,
// or the digests of old records would change.
type (
	sealedEvent struct {
		Kind         AuditKind           `json:"kind"`
		Organization string              `json:"organization"`
		ID           ID                  `json:"id"`
		Type         consent.MessageType `json:"type"`
		Entity       Hex                 `json:"entity"`
		Person       Hex                 `json:"person"`
		Regulation   string              `json:"regulation"`
		ConsentAt    int64               `json:"consent_at"`
		ArrivedAt    int64               `json:"arrived_at"`
		Outcome      consent.Outcome     `json:"outcome"`
		Payload      Hex                 `json:"payload"`
	}
	sealedChange struct {
		Kind         AuditKind `json:"kind"`
		Organization string    `json:"organization"`
		ID           ID        `json:"id"`
		Integration  string    `json:"integration"`
		At           int64     `json:"at"`
		By           string    `json:"by"`
		Action       string    `json:"action"`
		Details      []Detail  `json:"details"`
	}
	sealedCall struct {
		Kind         AuditKind `json:"kind"`
		Organization string    `json:"organization"`
		ID           ID        `json:"id"`
		Person       Hex       `json:"person"`
		Integration  string    `json:"integration"`
		Revision     int64     `json:"revision"`
		Operation    string    `json:"operation"`
		Content      Hex       `json:"content"`
		StartedAt    int64     `json:"started_at"`
		AnsweredAt   int64     `json:"answered_at,omitempty"`
		Outcome      string    `json:"outcome,omitempty"`
		Answer       Hex       `json:"answer,omitempty"`
	}
)

// Sealed writes the form of a record that its digest is over; nothing if the
// record is gone.
func (h *Hasher) Sealed(r *AuditRecord) ([]byte, error) {
	switch {
	case r.Event != nil:
		return json.Marshal(h.sealedEvent(r.Event, r.Person))
	case r.Change != nil:
		c := r.Change
		return json.Marshal(sealedChange{AuditChange, c.Organization, c.ID, c.Integration, int64(c.At), c.By, c.Action, c.Details})
	case r.Call != nil:
		return json.Marshal(sealCall(r.Kind, r.Call))
	}
	return nil, nil
}

func (h *Hasher) sealedEvent(e *AuditedEvent, person PersonKey) sealedEvent {
	entity := e.ErasedEntity
	if !e.Erased() {
		entity = h.EntityOf(&e.Event)
	}
	return sealedEvent{
		AuditEvent, e.Organization, e.ID, e.Type, entity[:], person[:], e.Regulation,
		int64(e.ConsentAt), int64(e.ArrivedAt), e.Outcome, e.Commitment[:],
	}
}

// EntityOf is the keyed hash of what an event is about.
func (h *Hasher) EntityOf(e *Event) Digest {
	return h.Entity(e.Organization, e.Type.OfUser(), e.EntityID)
}

func sealCall(kind AuditKind, c *AuditedCall) sealedCall {
	commitments := c.Erasure
	if !c.Erased() {
		commitments = c.Commitments()
	}
	s := sealedCall{
		Kind: kind, Organization: c.Organization, ID: c.ID, Person: c.Person[:], Integration: c.Integration, Revision: c.Revision,
		Operation: c.Operation, Content: commitments[:32], StartedAt: int64(c.StartedAt),
	}
	if kind == AuditCall {
		s.AnsweredAt, s.Outcome, s.Answer = int64(c.AnsweredAt), c.Outcome, commitments[32:64]
	}
	return s
}

// Commitments gives those to what was sent and to what was answered, one after
// the other. They are what is left of both when they are erased.
func (c *AuditedCall) Commitments() []byte {
	sent, _ := json.Marshal(struct { // maps and texts can always be written
		Subscriptions map[string]bool `json:"subscriptions"`
		Attributes    []string        `json:"attributes"`
	}{c.Subscriptions, c.Attributes})
	content, answer := Commit(c.Salt, sent), Commit(c.Salt, []byte("answer "+c.Detail))
	return append(content[:], answer[:]...)
}

// SealDigest gives the digest of a sealed form.
func SealDigest(form []byte) [32]byte { return sha256.Sum256(form) }

// ScanAuditEvent reads HeaderColumns, the commitment, and the erased entity, of
// an organization's event.
func ScanAuditEvent(organization string, extra ...any) func(Row) (AuditRecord, error) {
	return func(row Row) (AuditRecord, error) {
		e := AuditedEvent{Event: Event{Organization: organization}}
		var id, person, commitment, erased []byte
		if err := row.Scan(append([]any{
			&id, &e.Type, &e.EntityID, &person, &e.Regulation, &e.ConsentAt, &e.ArrivedAt, &e.Outcome, &commitment, &erased,
		}, extra...)...); err != nil {
			return AuditRecord{}, err
		}
		e.ID = ID(id)
		copy(e.Person[:], person)
		copy(e.Commitment[:], commitment)
		copy(e.ErasedEntity[:], erased)
		return AuditRecord{Kind: AuditEvent, ID: e.ID, Person: e.Person, Event: &e}, nil
	}
}

// ScanAuditCall reads the person, CallColumns, the salt, and the commitments
// to what was erased, of an organization's call.
func ScanAuditCall(organization string, extra ...any) func(Row) (AuditRecord, error) {
	return func(row Row) (AuditRecord, error) {
		c := AuditedCall{Call: Call{Organization: organization}}
		var id, person []byte
		var subscriptions, attributes string
		if err := row.Scan(append([]any{
			&person, &id, &c.Integration, &c.Operation, &subscriptions, &attributes, &c.StartedAt, &c.AnsweredAt, &c.Outcome, &c.Detail, &c.Revision, &c.Salt, &c.Erasure,
		}, extra...)...); err != nil {
			return AuditRecord{}, err
		}
		c.ID, c.Person = ID(id), PersonKey(person)
		kind := AuditCall
		if c.AnsweredAt == 0 {
			kind = AuditBegun
		}
		r := AuditRecord{Kind: kind, ID: c.ID, Person: c.Person, Call: &c}
		if err := FromJSON(subscriptions, &c.Subscriptions); err != nil {
			return r, err
		}
		return r, FromJSON(attributes, &c.Attributes)
	}
}

// ScanAuditChange reads ChangeColumns.
func ScanAuditChange(extra ...any) func(Row) (AuditRecord, error) {
	return func(row Row) (AuditRecord, error) {
		c, err := ScanChange(withMore{row, extra})
		return AuditRecord{Kind: AuditChange, ID: c.ID, Change: &c}, err
	}
}

// withMore is a row with more columns than its reader knows.
type withMore struct {
	Row
	extra []any
}

func (w withMore) Scan(dest ...any) error { return w.Row.Scan(append(dest, w.extra...)...) }

// ScanAuditHead reads AuditHeadColumns.
func ScanAuditHead(row Row) (*AuditHead, error) {
	h := &AuditHead{}
	var hash []byte
	var cursors, horizons string
	if err := row.Scan(&h.Organization, &h.Number, &h.Position, &hash, &h.Epoch, &cursors, &horizons); err != nil {
		return nil, err
	}
	copy(h.Hash[:], hash)
	if err := FromJSON(cursors, &h.Cursors); err != nil {
		return nil, err
	}
	return h, FromJSON(horizons, &h.Retention)
}

// ScanAuditLink reads AuditLinkColumns.
func ScanAuditLink(row Row) (l AuditLink, err error) {
	var previous, root, hash []byte
	err = row.Scan(&l.Organization, &l.Number, &l.First, &l.Last, &l.At, &previous, &root, &hash, &l.Key, &l.Signature)
	copy(l.Previous[:], previous)
	copy(l.Root[:], root)
	copy(l.Hash[:], hash)
	return l, err
}

// ScanAuditRecord reads AuditRecordColumns, without the record itself.
func ScanAuditRecord(row Row) (r AuditRecord, err error) {
	var id, person, digest []byte
	err = row.Scan(&r.Position, &r.Kind, &id, &person, &digest)
	copy(r.ID[:], id)
	copy(r.Person[:], person)
	copy(r.Digest[:], digest)
	return r, err
}

// What engines list of the audit.
const (
	AuditEventColumns  = HeaderColumns + `, commitment, erased`
	AuditCallColumns   = `person, ` + CallColumns + `, salt, erased`
	AuditHeadColumns   = `organization, number, position, hash, epoch, cursors, horizons`
	AuditLinkColumns   = `organization, number, first, last, at, previous, root, hash, signer, signature`
	AuditRecordColumns = `position, kind, id, person, digest`
)
