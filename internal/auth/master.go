package auth

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"consentsync/internal/store"
)

const masterKeySize = 32

// MasterSource says where the master key comes from: Text, else Command, else
// File, else the file master-key in Dir. Each holds 32 bytes in base64; where
// there are several, apart by white space or commas, the first seals and those
// after it still open, so that the key can be changed.
type MasterSource struct {
	Text    string // of CONSENTSYNC_MASTER_KEY
	Command string // prints the key; its words are apart by spaces, and no shell sees it
	File    string
	Dir     string
}

// commandTime bounds the command that prints the master key.
const commandTime = 30 * time.Second

// Load gives the master keys. It makes the file in Dir, with mode 0600, if it is
// the source and is not there; any other source has to be there.
func (m MasterSource) Load(ctx context.Context) ([][]byte, error) {
	switch {
	case m.Text != "":
		return decodeMasterKeys(m.Text, "CONSENTSYNC_MASTER_KEY")
	case m.Command != "":
		text, err := m.run(ctx)
		if err != nil {
			return nil, err
		}
		return decodeMasterKeys(text, "what --master-key-command prints")
	case m.File != "":
		saved, err := os.ReadFile(m.File)
		if err != nil {
			return nil, fmt.Errorf("--master-key-file: %w", err)
		}
		return decodeMasterKeys(string(saved), m.File)
	}
	saved, err := os.ReadFile(m.path())
	if err == nil {
		return decodeMasterKeys(string(saved), m.path())
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("master key: %w", err)
	}
	key := newKey()
	return [][]byte{key}, m.write(key)
}

// Made tells whether Load would find a key, instead of making one.
func (m MasterSource) Made() bool {
	if !m.Managed() {
		return true
	}
	_, err := os.Stat(m.path())
	return m.Dir != "" && !errors.Is(err, os.ErrNotExist)
}

// Managed tells whether the key stands in the file of Dir, which the program
// makes and changes itself.
func (m MasterSource) Managed() bool { return m.Text == "" && m.Command == "" && m.File == "" }

func (m MasterSource) path() string { return filepath.Join(m.Dir, "master-key") }

func (m MasterSource) run(ctx context.Context) (string, error) {
	words := strings.Fields(m.Command)
	if len(words) == 0 {
		return "", errors.New("--master-key-command: is empty")
	}
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	c := exec.CommandContext(ctx, words[0], words[1:]...) //nolint:gosec // the operator says what is run
	c.Stderr = os.Stderr
	c.WaitDelay = time.Second
	printed, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("--master-key-command: %s: %w", words[0], err)
	}
	return string(printed), nil
}

// write writes the file: the key that seals, then those that still open.
func (m MasterSource) write(keys ...[]byte) error {
	var lines []string
	for _, key := range keys {
		lines = append(lines, base64.StdEncoding.EncodeToString(key))
	}
	return writeSecretFile(m.path(), strings.Join(lines, "\n"))
}

func newKey() []byte {
	key := make([]byte, masterKeySize)
	_, _ = rand.Read(key) // never fails
	return key
}

func decodeMasterKeys(text, where string) (keys [][]byte, err error) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n,", r) }) {
		key, err := base64.StdEncoding.DecodeString(word)
		if err != nil || len(key) != masterKeySize {
			return nil, fmt.Errorf("%s must hold %d bytes in base64", where, masterKeySize)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s holds no master key: it must hold %d bytes in base64", where, masterKeySize)
	}
	return keys, nil
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

// master seals the keys of an installation.
type master struct {
	id   [masterID]byte // tells which it is, and nothing of it
	aead cipher.AEAD
}

// The form of a key that a master key has sealed: which it was stands at the
// beginning. Before that was told, the form was that of a secret, sealedFirst.
const (
	sealedByMaster = 3
	masterID       = 8
)

func newMaster(key []byte) (*master, error) {
	wrapping, err := hkdf.Key(sha256.New, key, nil, "consentsync master key", 32)
	if err != nil {
		return nil, err
	}
	id, err := hkdf.Key(sha256.New, key, nil, "consentsync master key id", masterID)
	if err != nil {
		return nil, err
	}
	m := &master{}
	copy(m.id[:], id)
	m.aead, err = newAEAD(wrapping)
	return m, err
}

func (m *master) String() string { return hex.EncodeToString(m.id[:]) }

func (m *master) head() []byte { return append([]byte{sealedByMaster}, m.id[:]...) }

// seal seals a key of the installation under its name.
func (m *master) seal(key []byte, name string) []byte {
	head := m.head()
	return m.aead.Seal(head, nil, key, additional(head, []string{"key", name})) //nolint:gosec // this AEAD makes its own random nonce
}

// sealed tells whether a key was sealed by this master key, as far as it says.
func (m *master) sealed(key []byte) bool { return bytes.HasPrefix(key, m.head()) }

// sealedAll tells whether all keys were sealed by this master key, and say so.
func (m *master) sealedAll(all []store.SecretKey) bool {
	return !slices.ContainsFunc(all, func(k store.SecretKey) bool { return !m.sealed(k.Sealed) })
}

// open opens a key; ok is false if another master key sealed it.
func (m *master) open(sealed []byte, name string) (key []byte, ok bool) {
	var head []byte
	switch {
	case m.sealed(sealed):
		head = m.head()
	case len(sealed) > 0 && sealed[0] == sealedFirst:
		head = []byte{sealedFirst}
	default:
		return nil, false
	}
	key, err := m.aead.Open(nil, nil, sealed[len(head):], additional(head, []string{"key", name}))
	return key, err == nil
}

// sealedBy names the master key that sealed a key; empty where it does not say.
func sealedBy(key []byte) string {
	if len(key) > masterID && key[0] == sealedByMaster {
		return hex.EncodeToString(key[1 : 1+masterID])
	}
	return ""
}
