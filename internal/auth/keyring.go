package auth

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"consentsync/internal/store"
)

// KeyStore keeps sealed keys.
type KeyStore interface {
	SecretKey(ctx context.Context, name string, make func() ([]byte, error)) ([]byte, error)
	SecretKeys(ctx context.Context) ([]store.SecretKey, error)
}

// Keyring holds the keys of an installation, each for one purpose.
type Keyring struct {
	Sealer *Sealer // secrets of users
	Hash   []byte  // keyed hashes of people and messages
	Token  []byte  // signatures of access tokens
	Audit  []byte  // signatures of audit checkpoints

	store KeyStore
	mu    sync.RWMutex
	// masters open the keys; the first seals them.
	masters []*master
}

// The names of the keys. Those after the first that seal secrets have a number.
const (
	nameSeal  = "seal"
	nameHash  = "hash"
	nameToken = "token"
	nameAudit = "audit"
)

func nameOf(number uint32) string {
	if number == 1 {
		return nameSeal
	}
	return nameSeal + "." + strconv.FormatUint(uint64(number), 10)
}

// numberOf tells which of the keys that seal secrets one is; 0 for another key.
func numberOf(name string) uint32 {
	if name == nameSeal {
		return 1
	}
	text, ok := strings.CutPrefix(name, nameSeal+".")
	n, err := strconv.ParseUint(text, 10, 32)
	if !ok || err != nil || n < 2 {
		return 0
	}
	return uint32(n)
}

// refreshTime bounds the look for a key that another node has made.
const refreshTime = 10 * time.Second

// OpenKeyring reads the keys of an installation, making them at first start.
// They are sealed with a master key; where none of those given is the right one,
// the error says so. What is made is sealed with the first.
func OpenKeyring(ctx context.Context, s KeyStore, masterKeys ...[]byte) (*Keyring, error) {
	k := &Keyring{store: s, Sealer: &Sealer{}}
	k.Sealer.refresh = func() error { // whoever opens a secret waits for no context of their own
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTime)
		defer cancel()
		return k.Refresh(ctx)
	}
	for _, key := range masterKeys {
		m, err := newMaster(key)
		if err != nil {
			return nil, err
		}
		k.masters = append(k.masters, m)
	}
	all, err := s.SecretKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	names := []string{nameHash, nameToken, nameAudit}
	if !slices.ContainsFunc(all, func(key store.SecretKey) bool { return numberOf(key.Name) > 0 }) {
		names = append(names, nameSeal) // the first of those that seal may have been forgotten, others are there then
	}
	opened := map[string][]byte{}
	for _, name := range names {
		sealed, err := s.SecretKey(ctx, name, func() ([]byte, error) { return k.masters[0].seal(newKey(), name), nil })
		if err == nil {
			opened[name], err = k.open(sealed, name)
		}
		if err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
	}
	k.Hash, k.Token, k.Audit = opened[nameHash], opened[nameToken], opened[nameAudit]
	return k, k.Refresh(ctx)
}

// Refresh makes keys known that another node has made since.
func (k *Keyring) Refresh(ctx context.Context) error {
	all, err := k.store.SecretKeys(ctx)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	for _, key := range all {
		number := numberOf(key.Name)
		if number == 0 || k.Sealer.key(number) != nil {
			continue
		}
		opened, err := k.open(key.Sealed, key.Name)
		if err == nil {
			err = k.Sealer.add(number, opened)
		}
		if err != nil {
			return fmt.Errorf("keys: %w", err)
		}
	}
	return nil
}

// open opens a key with whichever master key it was sealed with.
func (k *Keyring) open(sealed []byte, name string) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var given []string
	for _, m := range k.masters {
		if key, ok := m.open(sealed, name); ok {
			return key, nil
		}
		given = append(given, m.String())
	}
	needed := "another"
	if by := sealedBy(sealed); by != "" {
		needed = by
	}
	return nil, fmt.Errorf("the database was made with the master key %s, and what is given is %s: put back the file master-key (or CONSENTSYNC_MASTER_KEY, "+
		"or what --master-key-file or --master-key-command gives) that the database was made with", needed, strings.Join(given, ", "))
}
