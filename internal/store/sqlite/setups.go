package sqlite

import (
	"context"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	setupsSQL = `SELECT organization, id, integration, title, actor, x'', updated_at, expires_at FROM setups WHERE organization = ? AND expires_at > ? ORDER BY id LIMIT ?`
	setupSQL  = `SELECT ` + store.SetupColumns + ` FROM setups WHERE organization = ? AND id = ? AND expires_at > ?`

	keepSetupSQL = `INSERT INTO setups (` + store.SetupColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET title = excluded.title, actor = excluded.actor, sealed = excluded.sealed,
			updated_at = excluded.updated_at, expires_at = excluded.expires_at`
)

// Setups lists the set-ups of an organization that are not finished, the oldest
// first, without what is sealed.
func (e *Engine) Setups(ctx context.Context, organization string) ([]store.Setup, error) {
	return query(ctx, e.read, store.ScanSetup, setupsSQL, organization, int64(consent.TimeOf(e.now())), store.MostSetups)
}

// Setup reads one; NotFound if it is finished, given up or has expired.
func (e *Engine) Setup(ctx context.Context, organization, id string) (*store.Setup, error) {
	s, ok, err := one(ctx, e.read, store.ScanSetup, setupSQL, organization, id, int64(consent.TimeOf(e.now())))
	if err == nil && !ok {
		err = store.ErrNoSetup("sqlite.Setup")
	}
	return &s, err
}

// KeepSetup stores a set-up as it is now, and forgets those of the organization
// that have expired.
func (e *Engine) KeepSetup(ctx context.Context, s *store.Setup) error {
	return e.inTx(ctx, func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM setups WHERE organization = ? AND expires_at <= ?`, s.Organization, int64(consent.TimeOf(e.now()))); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, keepSetupSQL,
			s.Organization, s.ID, s.Integration, s.Title, s.By, s.Sealed, int64(s.UpdatedAt), int64(s.ExpiresAt))
		return err
	})
}

// DropSetup forgets a set-up, if it is there.
func (e *Engine) DropSetup(ctx context.Context, organization, id string) error {
	return e.inTx(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM setups WHERE organization = ? AND id = ?`, organization, id)
		return err
	})
}
