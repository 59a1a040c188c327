package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	setupsSQL = `SELECT organization, id, integration, title, actor, ''::bytea, updated_at, expires_at FROM setups WHERE organization = $1 AND expires_at > $2 ORDER BY id LIMIT $3`
	setupSQL  = `SELECT ` + store.SetupColumns + ` FROM setups WHERE organization = $1 AND id = $2 AND expires_at > $3`
)

var scanSetup = scanned(store.ScanSetup)

// Setups lists the set-ups of an organization that are not finished, the oldest
// first, without what is sealed.
func (e *Engine) Setups(ctx context.Context, organization string) ([]store.Setup, error) {
	return query(ctx, e, scanSetup, setupsSQL, organization, int64(consent.TimeOf(e.Clock())), store.MostSetups)
}

// Setup reads one; NotFound if it is finished, given up or has expired.
func (e *Engine) Setup(ctx context.Context, organization, id string) (*store.Setup, error) {
	s, ok, err := one(ctx, e, scanSetup, setupSQL, organization, plain(id), int64(consent.TimeOf(e.Clock())))
	if err == nil && !ok {
		err = store.ErrNoSetup("postgres.Setup")
	}
	return &s, err
}

// KeepSetup stores a set-up as it is now, and forgets those of the organization
// that have expired.
func (e *Engine) KeepSetup(ctx context.Context, s *store.Setup) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		var b pgx.Batch
		b.Queue(`DELETE FROM setups WHERE organization = $1 AND expires_at <= $2`, s.Organization, int64(tx.now))
		b.Queue(`INSERT INTO setups (`+store.SetupColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (organization, id) DO UPDATE SET title = excluded.title, actor = excluded.actor, sealed = excluded.sealed,
				updated_at = excluded.updated_at, expires_at = excluded.expires_at`,
			s.Organization, s.ID, s.Integration, plain(s.Title), plain(s.By), s.Sealed, int64(s.UpdatedAt), int64(s.ExpiresAt))
		return tx.run(ctx, &b)
	})
}

// DropSetup forgets a set-up, if it is there.
func (e *Engine) DropSetup(ctx context.Context, organization, id string) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM setups WHERE organization = $1 AND id = $2`, organization, plain(id))
		return err
	})
}
