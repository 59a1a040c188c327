package sqlite

import (
	"context"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// StartSession stores that a user has signed in, and forgets sessions that have
// expired.
func (e *Engine) StartSession(ctx context.Context, s store.Session) error {
	return e.inTx(ctx, func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx, expiredSessionsSQL, int64(consent.TimeOf(e.now()))); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO sessions (hash, member, created_at, seen_at, expires_at) VALUES (?, ?, ?, ?, ?)`,
			s.Hash[:], s.User, int64(s.CreatedAt), int64(s.SeenAt), int64(s.ExpiresAt))
		return err
	})
}

const (
	expiredSessionsSQL = `DELETE FROM sessions WHERE expires_at <= ?`
	sessionSQL         = `SELECT s.created_at, s.seen_at, s.expires_at, ` + store.UserColumns + ` FROM sessions s JOIN users u ON u.id = s.member
		WHERE s.hash = ? AND s.expires_at > ?`
)

// Session reads a session that has not expired, and whose it is; NotFound if
// there is none.
func (e *Engine) Session(ctx context.Context, hash [32]byte) (*store.Session, *store.User, error) {
	s, ok, err := one(ctx, e.read, store.ScanSession(hash), sessionSQL, hash[:], int64(consent.TimeOf(e.now())))
	if err == nil && !ok {
		err = consent.Errorf(consent.NotFound, "sqlite.Session", "no such session")
	}
	if err != nil {
		return nil, nil, err
	}
	return &s.Session, &s.Whose, nil
}

// KeepSession stores that a session was used, and how long it goes on.
func (e *Engine) KeepSession(ctx context.Context, hash [32]byte, seen, expires consent.Time) error {
	return e.inTx(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, `UPDATE sessions SET seen_at = ?, expires_at = ? WHERE hash = ?`, int64(seen), int64(expires), hash[:])
		return err
	})
}

// EndSession forgets a session, if it is there.
func (e *Engine) EndSession(ctx context.Context, hash [32]byte) error {
	return e.inTx(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE hash = ?`, hash[:])
		return err
	})
}

// Invite stores an invitation, and forgets those of the organization that have
// expired.
func (e *Engine) Invite(ctx context.Context, i store.Invitation, changes ...store.Change) error {
	return e.inTx(ctx, func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM invitations WHERE organization = ? AND expires_at <= ?`, i.Organization, int64(consent.TimeOf(e.now()))); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, inviteSQL,
			i.Organization, i.ID, i.Hash[:], i.Role, i.Note, i.InvitedBy, int64(i.CreatedAt), int64(i.ExpiresAt), i.First); err != nil {
			return err
		}
		return record(ctx, tx, changes)
	})
}

// Invitations lists the invitations of an organization that can still be used,
// the oldest first. There are few.
func (e *Engine) Invitations(ctx context.Context, organization string) ([]store.Invitation, error) {
	return query(ctx, e.read, store.ScanInvitation, invitationsSQL, organization, int64(consent.TimeOf(e.now())))
}

const (
	inviteSQL           = `INSERT INTO invitations (` + store.InvitationColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	invitationsSQL      = `SELECT ` + store.InvitationColumns + ` FROM invitations WHERE organization = ? AND expires_at > ? ORDER BY id LIMIT 1000`
	invitationByHashSQL = `SELECT ` + store.InvitationColumns + ` FROM invitations WHERE hash = ? AND expires_at > ?
		AND (NOT first OR NOT EXISTS (SELECT 1 FROM users WHERE id > ''))`
)

// Invitation finds one that can be used; NotFound if there is none.
func (e *Engine) Invitation(ctx context.Context, hash [32]byte) (*store.Invitation, error) {
	return e.invitationIn(ctx, e.read, hash)
}

func (e *Engine) invitationIn(ctx context.Context, r reader, hash [32]byte) (*store.Invitation, error) {
	i, ok, err := one(ctx, r, store.ScanInvitation, invitationByHashSQL, hash[:], int64(consent.TimeOf(e.now())))
	if err == nil && !ok {
		err = store.ErrNoInvitation("sqlite.Invitation")
	}
	return &i, err
}

// Uninvite takes an invitation back; NotFound if it is not there.
func (e *Engine) Uninvite(ctx context.Context, organization, id string, changes ...store.Change) error {
	return e.inTx(ctx, func(tx *transaction) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM invitations WHERE organization = ? AND id = ?`, organization, id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, consent.Errorf(consent.NotFound, "sqlite.Uninvite", "no such invitation"))
		}
		return record(ctx, tx, changes)
	})
}

// Join uses an invitation: the user is made if there is none with that id, and
// gets the role. NotFound if the invitation cannot be used, Conflict if the
// address belongs to another user or the user has a role there already. change tells what is recorded.
func (e *Engine) Join(ctx context.Context, hash [32]byte, u store.User, change func(*store.Invitation) store.Change) error {
	return e.inTx(ctx, func(tx *transaction) error {
		now := int64(consent.TimeOf(e.now()))
		i, err := e.invitationIn(ctx, tx, hash)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM invitations WHERE organization = ? AND id = ?`, i.Organization, i.ID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO users (id, email, name, password, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			u.ID, u.Email, u.Name, u.Password, now); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO memberships (organization, member, role, since) VALUES (?, ?, ?, ?)`, i.Organization, u.ID, i.Role, now); err != nil {
			return err
		}
		return record(ctx, tx, []store.Change{change(i)})
	})
}
