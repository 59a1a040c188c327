package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/store"
)

// SecretKey reads a sealed key of the installation; if there is none yet, it
// stores what make gives, unless another node was faster.
func (e *Engine) SecretKey(ctx context.Context, name string, make func() ([]byte, error)) ([]byte, error) {
	const read = `SELECT sealed FROM secret_keys WHERE name = $1`
	sealed, ok, err := one(ctx, e, pgx.RowTo[[]byte], read, name)
	if err != nil || ok {
		return sealed, err
	}
	fresh, err := make()
	if err != nil {
		return nil, err
	}
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO secret_keys (name, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING`, name, fresh); err != nil {
			return err
		}
		return tx.QueryRow(ctx, read, name).Scan(&sealed)
	})
	return sealed, err
}

var scanSecretKey = scanned(store.ScanSecretKey)

const secretKeysSQL = `SELECT name, sealed, retired_at FROM secret_keys ORDER BY name COLLATE "C"` //nolint:gosec // a statement, no secret

// SecretKeys lists the sealed keys by name. There are few.
func (e *Engine) SecretKeys(ctx context.Context) ([]store.SecretKey, error) {
	return query(ctx, e, scanSecretKey, secretKeysSQL)
}

// AddSealingKey stores a key that seals secrets, and retires those that did
// before. Conflict if there is one of that name.
func (e *Engine) AddSealingKey(ctx context.Context, k store.SecretKey, changes ...store.Change) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		var b pgx.Batch
		b.Queue(`INSERT INTO secret_keys (name, sealed) VALUES ($1, $2)`, k.Name, k.Sealed)
		b.Queue(`UPDATE secret_keys SET retired_at = $1 WHERE retired_at = 0 AND name <> $2 AND (name = 'seal' OR name LIKE 'seal.%')`, int64(tx.now), k.Name)
		if err := queueChanges(&b, changes); err != nil {
			return err
		}
		return tx.run(ctx, &b)
	})
}

// ReplaceSecretKeys puts other sealed forms of the keys into the place of those
// that were read. Conflict if there are others by now.
func (e *Engine) ReplaceSecretKeys(ctx context.Context, was, is []store.SecretKey, changes ...store.Change) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		// Nobody adds one meanwhile.
		if _, err := tx.Exec(ctx, `LOCK TABLE secret_keys IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		now, err := collect(ctx, tx, scanSecretKey, secretKeysSQL)
		if err != nil {
			return err
		}
		if !store.SameKeys(now, was) {
			return store.ErrKeysChanged
		}
		var b pgx.Batch
		for _, k := range is {
			b.Queue(`UPDATE secret_keys SET sealed = $1 WHERE name = $2`, k.Sealed, k.Name)
		}
		if err := queueChanges(&b, changes); err != nil {
			return err
		}
		return tx.run(ctx, &b)
	})
}

// DropSecretKey forgets a key that is retired.
func (e *Engine) DropSecretKey(ctx context.Context, name string, changes ...store.Change) error {
	return e.changeOne(ctx, nil, changes, `DELETE FROM secret_keys WHERE name = $1 AND retired_at > 0`, name)
}

// Sealed reads the secrets of a column, by the key of their rows, from after one.
func (e *Engine) Sealed(ctx context.Context, c store.SealedColumn, after []string, limit int) ([]store.Sealed, error) {
	args, err := c.KeyArgs(after)
	if err != nil {
		return nil, err
	}
	var given []string
	for i := range after {
		given = append(given, fmt.Sprintf("$%d", i+2))
	}
	return query(ctx, e, scanned(c.ScanSealed), c.Query(given, "$1"), append([]any{limit}, args...)...)
}

// Reseal puts another form of a secret into the place of the one that was read;
// false if it is another by now.
func (e *Engine) Reseal(ctx context.Context, c store.SealedColumn, s store.Sealed, is []byte) (done bool, err error) {
	was, err := c.Stored(s.Secret)
	if err != nil {
		return false, err
	}
	if is, err = c.Stored(is); err != nil {
		return false, err
	}
	key, err := c.KeyArgs(s.Key)
	if err != nil {
		return false, err
	}
	row := []string{c.Column + " = $2"}
	for i, name := range c.Key {
		row = append(row, fmt.Sprintf("%s = $%d", name, i+3))
	}
	text := "UPDATE " + c.Table + " SET " + c.Column + " = $1 WHERE " + strings.Join(row, " AND ")
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		tag, err := tx.Exec(ctx, text, append([]any{is, was}, key...)...)
		done = tag.RowsAffected() == 1
		return err
	})
	return done, err
}
