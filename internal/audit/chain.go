package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"

	"consentsync/internal/store"
)

// The chain. Records are put into links, a batch each. A link's root is that of
// a binary tree over its records, so that one record can be shown to be in it
// without the others; its hash covers the root and the hash of the link before,
// and is signed.

// leaf is the hash of a record at its position.
func leaf(r *store.AuditRecord) [32]byte {
	sum := sha256.New()
	b := binary.BigEndian.AppendUint64([]byte{0}, uint64(r.Position)) //nolint:gosec // positions are not negative
	sum.Write(append(b, byte(len(r.Kind))))                           //nolint:gosec // a kind is a short word
	sum.Write([]byte(r.Kind))
	sum.Write(r.ID[:])
	sum.Write(r.Person[:])
	sum.Write(r.Digest[:])
	return [32]byte(sum.Sum(nil))
}

// join is the hash of two halves of a tree.
func join(left, right [32]byte) [32]byte {
	var b [65]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}

// split is where a tree over n leaves is divided: at the greatest power of two
// below n, as in RFC 6962.
func split(n int) int {
	k := 1
	for k*2 < n {
		k *= 2
	}
	return k
}

func rootOf(leaves [][32]byte) [32]byte {
	switch len(leaves) {
	case 0:
		return [32]byte{}
	case 1:
		return leaves[0]
	}
	k := split(len(leaves))
	return join(rootOf(leaves[:k]), rootOf(leaves[k:]))
}

// Step is one step of the way from a leaf to the root.
type Step struct {
	Left bool      `json:"left"` // whether the other half is the left one
	Hash store.Hex `json:"hash"`
}

// pathOf gives the way from the leaf at i to the root.
func pathOf(leaves [][32]byte, i int) []Step {
	if len(leaves) < 2 {
		return []Step{}
	}
	k := split(len(leaves))
	if i < k {
		other := rootOf(leaves[k:])
		return append(pathOf(leaves[:k], i), Step{false, other[:]})
	}
	other := rootOf(leaves[:k])
	return append(pathOf(leaves[k:], i-k), Step{true, other[:]})
}

// climb gives the root that a leaf leads to.
func climb(at [32]byte, path []Step) [32]byte {
	for _, s := range path {
		if len(s.Hash) != len(at) {
			return [32]byte{}
		}
		if s.Left {
			at = join([32]byte(s.Hash), at)
		} else {
			at = join(at, [32]byte(s.Hash))
		}
	}
	return at
}

func leavesOf(records []store.AuditRecord) [][32]byte {
	leaves := make([][32]byte, len(records))
	for i := range records {
		leaves[i] = leaf(&records[i])
	}
	return leaves
}

// linkHash is the hash of a link: of all that it says but the hash itself and
// the signature, as compact JSON.
func linkHash(l *store.AuditLink) [32]byte {
	b, _ := json.Marshal(struct { // texts and numbers can always be written
		Organization string    `json:"organization"`
		Number       int64     `json:"number"`
		First        int64     `json:"first"`
		Last         int64     `json:"last"`
		At           int64     `json:"at"`
		Previous     store.Hex `json:"previous"`
		Root         store.Hex `json:"root"`
	}{l.Organization, l.Number, l.First, l.Last, int64(l.At), l.Previous[:], l.Root[:]})
	return sha256.Sum256(b)
}

// signed is what a signature is over: nothing else that the key signs looks
// like it.
func signed(l *store.AuditLink) []byte {
	return append([]byte("consentsync audit link\n"), l.Hash[:]...)
}

// Signer signs links.
type Signer struct{ key ed25519.PrivateKey }

// NewSigner makes a signer from a secret of 32 bytes.
func NewSigner(seed []byte) *Signer { return &Signer{ed25519.NewKeyFromSeed(seed)} }

// Public is the key with which signatures are checked.
func (s *Signer) Public() PublicKey { return PublicKey(s.key.Public().(ed25519.PublicKey)) }

func (s *Signer) sign(l *store.AuditLink) {
	l.Hash = linkHash(l)
	l.Key = s.Public().Name()
	l.Signature = ed25519.Sign(s.key, signed(l))
}

// PublicKey checks signatures.
type PublicKey ed25519.PublicKey

// Name tells keys apart.
func (k PublicKey) Name() string {
	sum := sha256.Sum256(k)
	return hex.EncodeToString(sum[:8])
}

// MarshalText writes it in base64.
func (k PublicKey) MarshalText() ([]byte, error) {
	return []byte(base64.StdEncoding.EncodeToString(k)), nil
}

// UnmarshalText reads it.
func (k *PublicKey) UnmarshalText(text []byte) error {
	b, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil || len(b) != ed25519.PublicKeySize {
		return errKey
	}
	*k = b
	return nil
}

func (k PublicKey) verifies(l *store.AuditLink) bool {
	return len(k) == ed25519.PublicKeySize && ed25519.Verify(ed25519.PublicKey(k), signed(l), l.Signature)
}

// Next makes the link that follows on a head, over records whose digests are
// set. It gives them their positions.
func (s *Signer) next(h *store.AuditHead, records []store.AuditRecord, l store.AuditLink) store.AuditLink {
	for i := range records {
		records[i].Position = h.Position + 1 + int64(i)
	}
	l.Organization, l.Number, l.Previous = h.Organization, h.Number+1, h.Hash
	l.First, l.Last = h.Position+1, h.Position+int64(len(records))
	l.Root = rootOf(leavesOf(records))
	s.sign(&l)
	return l
}
