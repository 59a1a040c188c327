package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// AnyUser tells whether somebody can sign in.
func (e *Engine) AnyUser(ctx context.Context) (any bool, err error) {
	err = e.read.QueryRowContext(ctx, anyUserSQL).Scan(&any)
	return any, classify(err)
}

const anyUserSQL = `SELECT EXISTS (SELECT 1 FROM users WHERE id > '')`

// UserByEmail finds a user by the address, in lower case; NotFound if there is
// none.
func (e *Engine) UserByEmail(ctx context.Context, email string) (*store.User, error) {
	return e.user(ctx, `u.email = ?`, email)
}

// User reads a user; NotFound if there is none.
func (e *Engine) User(ctx context.Context, id string) (*store.User, error) {
	return e.user(ctx, `u.id = ?`, id)
}

func (e *Engine) user(ctx context.Context, where, arg string) (*store.User, error) {
	u, ok, err := one(ctx, e.read, store.ScanUser, selectUser+where, arg)
	if err == nil && !ok {
		err = errNoUser("sqlite.User")
	}
	return u, err
}

const selectUser = `SELECT ` + store.UserColumns + ` FROM users u WHERE `

func errNoUser(op string) error { return consent.Errorf(consent.NotFound, op, "no such user") }

// Memberships lists the roles of a user, by organization.
func (e *Engine) Memberships(ctx context.Context, user string) ([]store.Membership, error) {
	return query(ctx, e.read, store.ScanMembership, membershipsSQL, user)
}

const (
	membershipsSQL = `SELECT organization, role FROM memberships WHERE member = ? ORDER BY organization`
	membersSQL     = `SELECT ` + store.UserColumns + `, m.role, m.since FROM memberships m JOIN users u ON u.id = m.member
		WHERE m.organization = ? AND m.member > ? ORDER BY m.member LIMIT ?`
)

// Members lists the users of an organization by id, from after one.
func (e *Engine) Members(ctx context.Context, organization, after string, limit int) ([]store.Member, error) {
	return query(ctx, e.read, store.ScanMember, membersSQL, organization, after, limit)
}

// SetRole changes the role of a member; NotFound for who is none, Conflict
// where nobody would be left to administer everything.
func (e *Engine) SetRole(ctx context.Context, organization, user, role string, changes ...store.Change) error {
	return e.changeMember(ctx, organization, changes, func(tx *transaction) (sql.Result, error) {
		return tx.ExecContext(ctx, `UPDATE memberships SET role = ? WHERE organization = ? AND member = ?`, role, organization, user)
	})
}

// RemoveMember takes an organization from a user, and forgets who has none
// left; NotFound and Conflict as in SetRole.
func (e *Engine) RemoveMember(ctx context.Context, organization, user string, changes ...store.Change) error {
	return e.changeMember(ctx, organization, changes, func(tx *transaction) (sql.Result, error) {
		res, err := tx.ExecContext(ctx, `DELETE FROM memberships WHERE organization = ? AND member = ?`, organization, user)
		if err != nil {
			return nil, err
		}
		for _, table := range []string{"sessions", "users"} {
			column := map[string]string{"sessions": "member", "users": "id"}[table]
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE `+column+` = ?1 AND NOT EXISTS (SELECT 1 FROM memberships WHERE member = ?1)`, user); err != nil {
				return nil, err
			}
		}
		return res, nil
	})
}

func (e *Engine) changeMember(ctx context.Context, organization string, changes []store.Change, change func(*transaction) (sql.Result, error)) error {
	return e.inTx(ctx, func(tx *transaction) error {
		res, err := change(tx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errNoUser("sqlite.changeMember"))
		}
		if organization == store.Everywhere {
			var left bool
			if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM memberships WHERE organization = ? AND role = 'administrator')`, store.Everywhere).Scan(&left); err != nil {
				return err
			}
			if !left {
				return store.ErrLastAdministrator("sqlite.changeMember")
			}
		}
		return record(ctx, tx, changes)
	})
}

// SetPassword sets the hash of a user's password, and ends all sessions but
// one. NotFound if there is no such user.
func (e *Engine) SetPassword(ctx context.Context, user, password string, keep [32]byte) error {
	return e.inTx(ctx, func(tx *transaction) error {
		res, err := tx.ExecContext(ctx, `UPDATE users SET password = ? WHERE id = ?`, password, user)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errNoUser("sqlite.SetPassword"))
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM sessions WHERE member = ? AND hash <> ?`, user, keep[:])
		return err
	})
}

// Organizations lists those that were created, by id, from after one.
func (e *Engine) Organizations(ctx context.Context, after string, limit int) ([]store.Organization, error) {
	return query(ctx, e.read, store.ScanOrganization, organizationsSQL, after, limit)
}

const organizationsSQL = `SELECT organization, actito, created_at FROM organizations WHERE organization > ? ORDER BY organization LIMIT ?`
