package store

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"sync"

	"consentsync/internal/consent"
)

// PersonKey stands for a subject in every table and in every log line. It is a
// keyed hash, so that without the key it tells nothing about the person.
type PersonKey [16]byte

// String gives the key in hexadecimal.
func (k PersonKey) String() string { return hex.EncodeToString(k[:]) }

func (k PersonKey) compare(o PersonKey) int { return bytes.Compare(k[:], o[:]) }

// Keys is a range of keys: those after one and before another, which may be of any
// length; an empty one bounds nothing.
type Keys struct{ After, Before []byte }

// lastKey is after all keys.
var lastKey = bytes.Repeat([]byte{0xff}, len(PersonKey{})+1)

// End is what all keys of the range are before, never empty.
func (k Keys) End() []byte {
	if len(k.Before) == 0 {
		return lastKey
	}
	return k.Before
}

// Digest is a keyed hash of an entity id or of a payload (R29: ledgers that
// last for ever keep nothing else).
type Digest [16]byte

// Hasher makes the keyed hashes. It is safe for concurrent use.
type Hasher struct{ pool sync.Pool }

// NewHasher makes a hasher for a secret key. The key must stay the same for
// the life of the database.
func NewHasher(key []byte) *Hasher {
	return &Hasher{pool: sync.Pool{New: func() any { return &keyed{mac: hmac.New(sha256.New, key)} }}}
}

// keyed is a keyed hash with room for what goes into it and what comes out.
type keyed struct {
	mac hash.Hash
	buf []byte
}

func (h *Hasher) sum(domain byte, parts ...string) (out [16]byte) {
	k := h.pool.Get().(*keyed) // the pool holds nothing else
	defer h.pool.Put(k)
	k.buf = append(k.buf[:0], domain)
	for _, p := range parts {
		k.buf = binary.BigEndian.AppendUint32(k.buf, uint32(len(p))) //nolint:gosec // no id or payload is that long
		k.buf = append(k.buf, p...)
	}
	k.mac.Reset()
	k.mac.Write(k.buf)
	copy(out[:], k.mac.Sum(k.buf[:0]))
	return out
}

// Person gives the key of a subject within an organization.
func (h *Hasher) Person(organization string, s consent.Subject) PersonKey {
	if s.Person() {
		return h.sum('p', organization, s.OrganizationUserID)
	}
	return h.sum('d', organization, s.DidomiUserID)
}

// Entity gives the digest under which an event (or a user record) is found
// again by its id.
func (h *Hasher) Entity(organization string, user bool, id string) Digest {
	if user {
		return h.sum('u', organization, id)
	}
	return h.sum('e', organization, id)
}

// News gives the digest under which news of Actito are found again by Actito's
// id of them.
func (h *Hasher) News(organization, integration, id string) Digest {
	return h.sum('n', organization, integration, id)
}

// Content gives the digest of a message's type and canonical payload.
func (h *Hasher) Content(organization string, t consent.MessageType, canonical []byte) Digest {
	return h.sum('c', organization, string(t), string(canonical))
}
