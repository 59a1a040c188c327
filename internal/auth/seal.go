// Package auth keeps secrets and knows who is calling.
//
// Secrets of users are encrypted at rest with AES-256-GCM, bound to the
// organization and field that they belong to, with a key that is itself sealed
// with the master key; a secret that we only have to recognize is kept as a hash.
// Comparisons take the same time whatever differs. No error of this package holds
// a secret.
package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// The forms of a sealed secret. What it was sealed with stands at its beginning:
// the first key of an installation in sealedFirst, any later one by its number,
// of four bytes, in sealedNumbered.
const (
	sealedFirst    = 1
	sealedNumbered = 2
	numberedHead   = 5
)

// Sealer encrypts secrets with the newest of its keys, and decrypts with each.
// It is safe for concurrent use.
type Sealer struct {
	// refresh reads the keys anew; nil where there is but one.
	refresh func() error
	asked   lookout

	mu      sync.RWMutex
	keys    map[uint32]cipher.AEAD
	current uint32
}

// NewSealer makes a sealer for one key of 32 bytes.
func NewSealer(key []byte) (*Sealer, error) {
	s := &Sealer{}
	return s, s.add(1, key)
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// add makes a key known; the one with the highest number seals.
func (s *Sealer) add(number uint32, key []byte) error {
	aead, err := newAEAD(key)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = map[uint32]cipher.AEAD{}
	}
	s.keys[number] = aead
	s.current = max(s.current, number)
	return nil
}

func (s *Sealer) key(number uint32) cipher.AEAD {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.keys[number]
}

// newest gives the number of the key that seals.
func (s *Sealer) newest() uint32 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.current
}

// Seal encrypts secret for a context, such as an organization and a field;
// only the same context opens it.
func (s *Sealer) Seal(secret []byte, context ...string) []byte {
	number := s.newest()
	head := headOf(number)
	return s.key(number).Seal(head, nil, secret, additional(head, context)) //nolint:gosec // this AEAD makes its own random nonce
}

// headOf is what a secret begins with that was sealed with a key.
func headOf(number uint32) []byte {
	if number == 1 {
		return []byte{sealedFirst}
	}
	return binary.BigEndian.AppendUint32([]byte{sealedNumbered}, number)
}

// SealedWith gives the number of the key that a secret was sealed with; 0 if the
// form is unknown.
func SealedWith(sealed []byte) uint32 {
	switch {
	case len(sealed) > 0 && sealed[0] == sealedFirst:
		return 1
	case len(sealed) > numberedHead && sealed[0] == sealedNumbered:
		return binary.BigEndian.Uint32(sealed[1:])
	}
	return 0
}

// Open decrypts what Seal made for the same context.
func (s *Sealer) Open(sealed []byte, context ...string) ([]byte, error) {
	number := SealedWith(sealed)
	if number == 0 {
		return nil, errors.New("a sealed secret has an unknown form")
	}
	aead := s.key(number)
	if aead == nil && s.refresh != nil {
		if err := s.asked.look(s.refresh); err != nil {
			return nil, err
		}
		aead = s.key(number)
	}
	if aead == nil {
		return nil, fmt.Errorf("a sealed secret cannot be opened: the key %d that it was sealed with is not there", number)
	}
	head := headOf(number)
	secret, err := aead.Open(nil, nil, sealed[len(head):], additional(head, context))
	if err != nil {
		return nil, errors.New("a sealed secret cannot be opened: it is not what was sealed here, or the master key is another than the one that it was sealed with")
	}
	return secret, nil
}

// lookEvery is how often keys are looked for at most. What comes sealed from
// outside, such as a cookie, may name any key, and must not cost a read each.
const lookEvery = time.Second

// lookout makes many who look for a key do so at once, and not too often. Its
// zero value is ready.
type lookout struct {
	mu   sync.Mutex
	next *looking // that has not begun, so that whoever asks now may wait for it
	last time.Time
}

type looking struct {
	done chan struct{}
	err  error // may be read once done is closed
}

// look calls read, or waits for somebody else's call that begins after now.
func (o *lookout) look(read func() error) error {
	o.mu.Lock()
	l := o.next
	if l == nil {
		l = &looking{done: make(chan struct{})}
		o.next = l
		go o.run(l, lookEvery-time.Since(o.last), read)
	}
	o.mu.Unlock()
	<-l.done
	return l.err
}

func (o *lookout) run(l *looking, wait time.Duration, read func() error) {
	<-time.After(wait) // none where it is over
	o.mu.Lock()
	o.next, o.last = nil, time.Now()
	o.mu.Unlock()
	l.err = read()
	close(l.done)
}

// additional is what a secret is bound to: its context, and which key it is of,
// unless that is the first.
func additional(head []byte, context []string) []byte {
	bound := []byte(strings.Join(context, "\x00"))
	if head[0] == sealedFirst {
		return bound
	}
	return append(append([]byte{}, head...), bound...)
}

// NewSecret makes a secret of 32 random bytes that is safe in URLs and headers.
func NewSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// Hash gives the form in which a random secret is kept that we only have to
// recognize. It is no password hash: the secret must be random.
func Hash(secret string) [32]byte { return sha256.Sum256([]byte(secret)) }

// Mask shows that a secret is there, and its end where that gives nothing away.
func Mask(secret string) string {
	if len(secret) < 16 {
		return "********"
	}
	return "********" + secret[len(secret)-4:]
}

// Masked tells whether text is a mask of secret, sent back to say "unchanged".
func Masked(text, secret string) bool {
	return text == Mask(secret) || text != "" && strings.Trim(text, "*") == ""
}
