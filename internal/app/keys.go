package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"consentsync/internal/auth"
)

// openKeyring opens the keys of the installation with the master key, which is
// the same on all nodes.
func openKeyring(ctx context.Context, keys auth.KeyStore, cfg Config) (*auth.Keyring, error) {
	if cfg.Database != "" && cfg.MasterKey == "" {
		if err := joins(ctx, keys, cfg.Data); err != nil {
			return nil, err
		}
	}
	master, err := auth.LoadMasterKey(cfg.MasterKey, cfg.Data)
	if err != nil {
		return nil, err
	}
	return auth.OpenKeyring(ctx, keys, master)
}

// errNoKeys says that a database has no keys yet.
var errNoKeys = errors.New("no keys yet")

// made are the keys that are there: none is made.
type made struct{ auth.KeyStore }

func (m made) SecretKey(ctx context.Context, name string, fresh func() ([]byte, error)) ([]byte, error) {
	sealed, err := m.KeyStore.SecretKey(ctx, name, func() ([]byte, error) { return nil, errNoKeys })
	if errors.Is(err, errNoKeys) && name == laterKey {
		return fresh() // which is not kept
	}
	return sealed, err
}

// laterKey is one that a database lacks which an older version has made; it is
// made when a server starts.
const laterKey = "audit"

// masterKey finds the master key without making one: text, if there is one, or
// the file in dir. ok is false if there is neither.
func masterKey(text, dir string) (key []byte, ok bool, err error) {
	if text == "" {
		if _, err := os.Stat(filepath.Join(dir, "master-key")); dir == "" || errors.Is(err, os.ErrNotExist) {
			return nil, false, nil
		}
	}
	key, err = auth.LoadMasterKey(text, dir)
	return key, true, err
}

// opens checks that a database was made with the master key.
func opens(ctx context.Context, keys auth.KeyStore, master []byte) error {
	_, err := auth.OpenKeyring(ctx, made{keys}, master)
	return err
}

// joins keeps a node from making a master key of its own for a database that
// was made with another node's.
func joins(ctx context.Context, keys auth.KeyStore, dir string) error {
	path := filepath.Join(dir, "master-key")
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return nil // what is wrong with it shows when it is read
	}
	switch _, err := (made{keys}).SecretKey(ctx, "seal", nil); {
	case errors.Is(err, errNoKeys):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("this node has no master key, and the database was made with one: set CONSENTSYNC_MASTER_KEY to the content of the first node's master-key, or copy that file to %s", path)
}
