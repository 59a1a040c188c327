package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// SecretKey reads a sealed key of the installation; if there is none yet, it
// stores what make gives.
func (e *Engine) SecretKey(ctx context.Context, name string, make func() ([]byte, error)) (sealed []byte, err error) {
	err = e.inTx(ctx, func(tx *transaction) error {
		err := tx.QueryRowContext(ctx, `SELECT sealed FROM secret_keys WHERE name = ?`, name).Scan(&sealed)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if sealed, err = make(); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO secret_keys (name, sealed) VALUES (?, ?)`, name, sealed)
		return err
	})
	return sealed, err
}

// SecretKeys lists the sealed keys by name. There are few.
func (e *Engine) SecretKeys(ctx context.Context) ([]store.SecretKey, error) {
	return query(ctx, e.read, store.ScanSecretKey, secretKeysSQL)
}

const secretKeysSQL = `SELECT name, sealed, retired_at FROM secret_keys ORDER BY name` //nolint:gosec // a statement, no secret

// AddSealingKey stores a key that seals secrets, and retires those that did
// before. Conflict if there is one of that name.
func (e *Engine) AddSealingKey(ctx context.Context, k store.SecretKey, changes ...store.Change) error {
	return e.inTx(ctx, func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO secret_keys (name, sealed) VALUES (?, ?)`, k.Name, k.Sealed); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE secret_keys SET retired_at = ? WHERE retired_at = 0 AND name <> ? AND (name = 'seal' OR name LIKE 'seal.%')`,
			int64(consent.TimeOf(e.now())), k.Name); err != nil {
			return err
		}
		return record(ctx, tx, changes)
	})
}

// ReplaceSecretKeys puts other sealed forms of the keys into the place of those
// that were read. Conflict if there are others by now.
func (e *Engine) ReplaceSecretKeys(ctx context.Context, was, is []store.SecretKey, changes ...store.Change) error {
	return e.inTx(ctx, func(tx *transaction) error {
		now, err := query(ctx, tx, store.ScanSecretKey, secretKeysSQL)
		if err != nil {
			return err
		}
		if !store.SameKeys(now, was) {
			return store.ErrKeysChanged
		}
		for _, k := range is {
			if _, err := tx.ExecContext(ctx, `UPDATE secret_keys SET sealed = ? WHERE name = ?`, k.Sealed, k.Name); err != nil {
				return err
			}
		}
		return record(ctx, tx, changes)
	})
}

// DropSecretKey forgets a key that is retired.
func (e *Engine) DropSecretKey(ctx context.Context, name string, changes ...store.Change) error {
	return e.changeOne(ctx, nil, changes, `DELETE FROM secret_keys WHERE name = ? AND retired_at > 0`, name)
}

// Sealed reads the secrets of a column, by the key of their rows, from after one.
func (e *Engine) Sealed(ctx context.Context, c store.SealedColumn, after []string, limit int) ([]store.Sealed, error) {
	args, err := c.KeyArgs(after)
	if err != nil {
		return nil, err
	}
	return query(ctx, e.read, c.ScanSealed, c.Query(slices.Repeat([]string{"?"}, len(after)), "?"), append(args, limit)...)
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
	err = e.inTx(ctx, func(tx *transaction) error {
		res, err := tx.ExecContext(ctx, "UPDATE "+c.Table+" SET "+c.Column+" = ? WHERE "+c.Column+" = ? AND "+strings.Join(c.Key, " = ? AND ")+" = ?",
			append([]any{is, was}, key...)...)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		done = n == 1
		return err
	})
	return done, err
}
