package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"consentsync/internal/auth"
)

// masterSource is where the configuration says that the master key comes from.
func (c *Config) masterSource() auth.MasterSource {
	return auth.MasterSource{Text: c.MasterKey, Command: c.MasterKeyCommand, File: c.MasterKeyFile, Dir: c.Data}
}

// openKeyring opens the keys of the installation with the master key, which is
// the same on all nodes.
func openKeyring(ctx context.Context, keys auth.KeyStore, cfg Config) (*auth.Keyring, error) {
	source := cfg.masterSource()
	if err := missing(ctx, keys, source); err != nil {
		return nil, err
	}
	masters, err := source.Load(ctx)
	if err != nil {
		return nil, err
	}
	return auth.OpenKeyring(ctx, keys, masters...)
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

// masterKeys finds the master keys without making one: text, if there is one, or
// the file in dir. ok is false if there is neither.
func masterKeys(ctx context.Context, text, dir string) (keys [][]byte, ok bool, err error) {
	source := auth.MasterSource{Text: text, Dir: dir}
	if !source.Made() {
		return nil, false, nil
	}
	keys, err = source.Load(ctx)
	return keys, true, err
}

// opens checks that a database was made with one of the master keys.
func opens(ctx context.Context, keys auth.KeyStore, masters [][]byte) error {
	_, err := auth.OpenKeyring(ctx, made{keys}, masters...)
	return err
}

// missing keeps a node from making a master key of its own for a database that
// was made with another.
func missing(ctx context.Context, keys auth.KeyStore, source auth.MasterSource) error {
	if source.Made() {
		return nil // what is wrong with it shows when it is read
	}
	switch _, err := (made{keys}).SecretKey(ctx, "hash", nil); {
	case errors.Is(err, errNoKeys):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("there is no master key here, and the database was made with one: put back %s, or set CONSENTSYNC_MASTER_KEY to its content, "+
		"which is the same on all nodes (--master-key-file and --master-key-command say where else it comes from)", filepath.Join(source.Dir, "master-key"))
}
