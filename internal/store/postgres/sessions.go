package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	expiredSessionsSQL = `DELETE FROM sessions WHERE expires_at <= $1`
	sessionSQL         = `SELECT s.created_at, s.seen_at, s.expires_at, ` + store.UserColumns + ` FROM sessions s JOIN users u ON u.id = s.member WHERE s.hash = $1`

	invitationsSQL      = `SELECT ` + store.InvitationColumns + ` FROM invitations WHERE organization = $1 AND expires_at > $2 ORDER BY id LIMIT 1000`
	invitationByHashSQL = `SELECT ` + store.InvitationColumns + ` FROM invitations WHERE hash = $1 AND expires_at > $2
		AND (NOT first OR NOT EXISTS (SELECT 1 FROM users))`
)

// StartSession stores that a user has signed in, and forgets sessions that have
// expired.
func (e *Engine) StartSession(ctx context.Context, s store.Session) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		var b pgx.Batch
		b.Queue(expiredSessionsSQL, int64(tx.now))
		b.Queue(`INSERT INTO sessions (hash, member, created_at, seen_at, expires_at) VALUES ($1, $2, $3, $4, $5)`,
			s.Hash[:], s.User, int64(s.CreatedAt), int64(s.SeenAt), int64(s.ExpiresAt))
		return tx.run(ctx, &b)
	})
}

// Session reads a session that has not expired, and whose it is; NotFound if
// there is none.
func (e *Engine) Session(ctx context.Context, hash [32]byte) (*store.Session, *store.User, error) {
	s, ok, err := one(ctx, e, scanned(store.ScanSession(hash)), sessionSQL, hash[:])
	if err == nil && (!ok || s.ExpiresAt <= consent.TimeOf(e.Clock())) {
		err = consent.Errorf(consent.NotFound, "postgres.Session", "no such session")
	}
	if err != nil {
		return nil, nil, err
	}
	return &s.Session, &s.Whose, nil
}

// KeepSession stores that a session was used, and how long it goes on.
func (e *Engine) KeepSession(ctx context.Context, hash [32]byte, seen, expires consent.Time) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, `UPDATE sessions SET seen_at = $2, expires_at = $3 WHERE hash = $1`, hash[:], int64(seen), int64(expires))
		return err
	})
}

// EndSession forgets a session, if it is there.
func (e *Engine) EndSession(ctx context.Context, hash [32]byte) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM sessions WHERE hash = $1`, hash[:])
		return err
	})
}

var scanInvitation = scanned(store.ScanInvitation)

// Invite stores an invitation, and forgets those of the organization that have
// expired.
func (e *Engine) Invite(ctx context.Context, i store.Invitation, changes ...store.Change) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		var b pgx.Batch
		b.Queue(`DELETE FROM invitations WHERE organization = $1 AND expires_at <= $2`, i.Organization, int64(tx.now))
		b.Queue(`INSERT INTO invitations (`+store.InvitationColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			i.Organization, i.ID, i.Hash[:], i.Role, plain(i.Note), plain(i.InvitedBy), int64(i.CreatedAt), int64(i.ExpiresAt), i.First)
		if err := queueChanges(&b, changes); err != nil {
			return err
		}
		return tx.run(ctx, &b)
	})
}

// Invitations lists the invitations of an organization that can still be used,
// the oldest first. There are few.
func (e *Engine) Invitations(ctx context.Context, organization string) ([]store.Invitation, error) {
	return query(ctx, e, scanInvitation, invitationsSQL, organization, int64(consent.TimeOf(e.Clock())))
}

// Invitation finds one that can be used; NotFound if there is none.
func (e *Engine) Invitation(ctx context.Context, hash [32]byte) (*store.Invitation, error) {
	i, ok, err := one(ctx, e, scanInvitation, invitationByHashSQL, hash[:], int64(consent.TimeOf(e.Clock())))
	if err == nil && !ok {
		err = store.ErrNoInvitation("postgres.Invitation")
	}
	return &i, err
}

// Uninvite takes an invitation back; NotFound if it is not there.
func (e *Engine) Uninvite(ctx context.Context, organization, id string, changes ...store.Change) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM invitations WHERE organization = $1 AND id = $2`, organization, plain(id))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return consent.Errorf(consent.NotFound, "postgres.Uninvite", "no such invitation")
		}
		return tx.record(ctx, changes)
	})
}

// Join uses an invitation: the user is made if there is none with that id, and
// gets the role. NotFound if the invitation cannot be used, Conflict if the
// address belongs to another user or the user has a role there already. change
// tells what is recorded.
func (e *Engine) Join(ctx context.Context, hash [32]byte, u store.User, change func(*store.Invitation) store.Change) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		// Whoever is first stays the only one: nobody else is made meanwhile.
		if _, err := tx.Exec(ctx, `LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		found, err := collect(ctx, tx, scanInvitation, invitationByHashSQL, hash[:], int64(tx.now))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return store.ErrNoInvitation("postgres.Join")
		}
		i := &found[0]
		var b pgx.Batch
		b.Queue(`DELETE FROM invitations WHERE organization = $1 AND id = $2`, i.Organization, i.ID)
		b.Queue(`INSERT INTO users (id, email, name, password, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING`,
			u.ID, plain(u.Email), plain(u.Name), u.Password, int64(tx.now))
		b.Queue(`INSERT INTO memberships (organization, member, role, since) VALUES ($1, $2, $3, $4)`, i.Organization, u.ID, i.Role, int64(tx.now))
		if err := queueChanges(&b, []store.Change{change(i)}); err != nil {
			return err
		}
		return tx.run(ctx, &b)
	})
}
