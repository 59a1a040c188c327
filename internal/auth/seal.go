// Package auth keeps secrets and knows who is calling.
//
// Secrets of users are encrypted at rest with AES-256-GCM, bound to the
// organization and field that they belong to; a secret that we only have to
// recognize is kept as a hash. Comparisons take the same time whatever
// differs. No error of this package holds a secret.
package auth

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// sealVersion stands before every sealed secret, so that the way of sealing
// can change.
const sealVersion = 1

// Sealer encrypts secrets. It is safe for concurrent use.
type Sealer struct{ aead cipher.AEAD }

// NewSealer makes a sealer for a key of 32 bytes.
func NewSealer(key []byte) (*Sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Sealer{aead}, nil
}

// Seal encrypts secret for a context, such as an organization and a field;
// only the same context opens it.
func (s *Sealer) Seal(secret []byte, context ...string) []byte {
	return s.aead.Seal([]byte{sealVersion}, nil, secret, additional(context)) //nolint:gosec // this AEAD makes its own random nonce
}

// Open decrypts what Seal made for the same context.
func (s *Sealer) Open(sealed []byte, context ...string) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return nil, errors.New("a sealed secret has an unknown form")
	}
	secret, err := s.aead.Open(nil, nil, sealed[1:], additional(context))
	if err != nil {
		return nil, errors.New("a sealed secret cannot be opened: the master key is another than the one that it was sealed with")
	}
	return secret, nil
}

func additional(context []string) []byte { return []byte(strings.Join(context, "\x00")) }

const masterKeySize = 32

// LoadMasterKey gives the key that protects all others: from the text given,
// if any, otherwise from the file master-key in dir, which is made with mode
// 0600 at first start. The text and the file hold 32 bytes in base64.
func LoadMasterKey(text, dir string) ([]byte, error) {
	if text != "" {
		return decodeMasterKey(text, "CONSENTSYNC_MASTER_KEY")
	}
	path := filepath.Join(dir, "master-key")
	saved, err := os.ReadFile(path)
	if err == nil {
		return decodeMasterKey(string(saved), path)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("master key: %w", err)
	}
	key := make([]byte, masterKeySize)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	return key, writeSecretFile(path, base64.StdEncoding.EncodeToString(key))
}

func decodeMasterKey(text, where string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != masterKeySize {
		return nil, fmt.Errorf("%s must hold %d bytes in base64", where, masterKeySize)
	}
	return key, nil
}

// writeSecretFile writes a file that only its owner may read, whole or not at
// all, and on disk when it returns.
func writeSecretFile(path, text string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, writeErr := f.WriteString(text + "\n")
	if err := errors.Join(writeErr, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	// The name is on disk only when the directory is: a database must not
	// outlive the key that it was made with.
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// KeyStore keeps sealed keys.
type KeyStore interface {
	SecretKey(ctx context.Context, name string, make func() ([]byte, error)) ([]byte, error)
}

// Keyring holds the keys of an installation, each for one purpose.
type Keyring struct {
	Sealer *Sealer // secrets of users
	Hash   []byte  // keyed hashes of people and messages
	Token  []byte  // signatures of access tokens
	Audit  []byte  // signatures of audit checkpoints
}

// OpenKeyring reads the keys of an installation, making them at first start.
// They are sealed with the master key; a wrong one is an error that says so.
func OpenKeyring(ctx context.Context, s KeyStore, master []byte) (*Keyring, error) {
	wrapping, err := hkdf.Key(sha256.New, master, nil, "consentsync master key", 32)
	if err != nil {
		return nil, err
	}
	wrap, err := NewSealer(wrapping)
	if err != nil {
		return nil, err
	}
	key := func(name string) []byte {
		if err != nil {
			return nil
		}
		var sealed, opened []byte
		sealed, err = s.SecretKey(ctx, name, func() ([]byte, error) {
			fresh := make([]byte, 32)
			_, err := rand.Read(fresh)
			return wrap.Seal(fresh, "key", name), err
		})
		if err == nil {
			if opened, err = wrap.Open(sealed, "key", name); err != nil {
				err = fmt.Errorf("%w: put back the file master-key (or CONSENTSYNC_MASTER_KEY) that the database was made with", err)
			}
		}
		return opened
	}
	sealing := key("seal")
	ring := &Keyring{Hash: key("hash"), Token: key("token"), Audit: key("audit")}
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	ring.Sealer, err = NewSealer(sealing)
	return ring, err
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
