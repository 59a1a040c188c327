package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	anyUserSQL     = `SELECT EXISTS (SELECT 1 FROM users)`
	byEmailSQL     = `SELECT ` + store.UserColumns + ` FROM users u WHERE u.email = $1`
	userSQL        = `SELECT ` + store.UserColumns + ` FROM users u WHERE u.id = $1`
	membershipsSQL = `SELECT organization, role FROM memberships WHERE member = $1 ORDER BY organization`
	membersSQL     = `SELECT ` + store.UserColumns + `, m.role, m.since FROM memberships m JOIN users u ON u.id = m.member
		WHERE m.organization = $1 AND m.member > $2 ORDER BY m.member LIMIT $3`
	organizationsSQL = `SELECT organization, actito, created_at FROM organizations WHERE organization > $1 ORDER BY organization LIMIT $2`
)

// AnyUser tells whether somebody can sign in.
func (e *Engine) AnyUser(ctx context.Context) (bool, error) {
	any, _, err := one(ctx, e, pgx.RowTo[bool], anyUserSQL)
	return any, err
}

// UserByEmail finds a user by the address, in lower case; NotFound if there is
// none.
func (e *Engine) UserByEmail(ctx context.Context, email string) (*store.User, error) {
	return e.user(ctx, byEmailSQL, plain(email))
}

// User reads a user; NotFound if there is none.
func (e *Engine) User(ctx context.Context, id string) (*store.User, error) {
	return e.user(ctx, userSQL, plain(id))
}

func (e *Engine) user(ctx context.Context, text, arg string) (*store.User, error) {
	u, ok, err := one(ctx, e, scanned(store.ScanUser), text, arg)
	if err == nil && !ok {
		err = errNoUser("postgres.User")
	}
	return u, err
}

func errNoUser(op string) error { return consent.Errorf(consent.NotFound, op, "no such user") }

// Memberships lists the roles of a user, by organization.
func (e *Engine) Memberships(ctx context.Context, user string) ([]store.Membership, error) {
	return query(ctx, e, scanned(store.ScanMembership), membershipsSQL, user)
}

// Members lists the users of an organization by id, from after one.
func (e *Engine) Members(ctx context.Context, organization, after string, limit int) ([]store.Member, error) {
	return query(ctx, e, scanned(store.ScanMember), membersSQL, organization, plain(after), limit)
}

// SetRole changes the role of a member; NotFound for who is none, Conflict
// where nobody would be left to administer everything.
func (e *Engine) SetRole(ctx context.Context, organization, user, role string, changes ...store.Change) error {
	return e.changeMember(ctx, organization, changes, func(ctx context.Context, tx *tx) (pgconn.CommandTag, error) {
		return tx.Exec(ctx, `UPDATE memberships SET role = $3 WHERE organization = $1 AND member = $2`, organization, plain(user), role)
	})
}

// RemoveMember takes an organization from a user, and forgets who has none
// left; NotFound and Conflict as in SetRole.
func (e *Engine) RemoveMember(ctx context.Context, organization, user string, changes ...store.Change) error {
	return e.changeMember(ctx, organization, changes, func(ctx context.Context, tx *tx) (pgconn.CommandTag, error) {
		user := plain(user)
		// Of two that take away the last two memberships, one sees the other's.
		if _, err := tx.Exec(ctx, `SELECT 1 FROM users WHERE id = $1 FOR UPDATE`, user); err != nil {
			return pgconn.CommandTag{}, err
		}
		tag, err := tx.Exec(ctx, `DELETE FROM memberships WHERE organization = $1 AND member = $2`, organization, user)
		if err != nil {
			return tag, err
		}
		var b pgx.Batch
		b.Queue(`DELETE FROM sessions WHERE member = $1 AND NOT EXISTS (SELECT 1 FROM memberships WHERE member = $1)`, user)
		b.Queue(`DELETE FROM users WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM memberships WHERE member = $1)`, user)
		return tag, tx.run(ctx, &b)
	})
}

func (e *Engine) changeMember(ctx context.Context, organization string, changes []store.Change, change func(context.Context, *tx) (pgconn.CommandTag, error)) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		if organization == store.Everywhere {
			// Two who remove each other must not both succeed.
			if _, err := tx.Exec(ctx, `SELECT 1 FROM memberships WHERE organization = $1 ORDER BY member FOR UPDATE`, organization); err != nil {
				return err
			}
		}
		tag, err := change(ctx, tx)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return errNoUser("postgres.changeMember")
		}
		if organization == store.Everywhere {
			var left bool
			if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM memberships WHERE organization = $1 AND role = 'administrator')`, organization).Scan(&left); err != nil {
				return err
			}
			if !left {
				return store.ErrLastAdministrator("postgres.changeMember")
			}
		}
		return tx.record(ctx, changes)
	})
}

// SetPassword sets the hash of a user's password, and ends all sessions but
// one. NotFound if there is no such user.
func (e *Engine) SetPassword(ctx context.Context, user, password string, keep [32]byte) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		tag, err := tx.Exec(ctx, `UPDATE users SET password = $2 WHERE id = $1`, plain(user), password)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return errNoUser("postgres.SetPassword")
		}
		_, err = tx.Exec(ctx, `DELETE FROM sessions WHERE member = $1 AND hash <> $2`, plain(user), keep[:])
		return err
	})
}

// Organizations lists those that were created, by id, from after one.
func (e *Engine) Organizations(ctx context.Context, after string, limit int) ([]store.Organization, error) {
	return query(ctx, e, scanned(store.ScanOrganization), organizationsSQL, plain(after), limit)
}
