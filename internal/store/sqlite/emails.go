package sqlite

import (
	"context"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	selectEmails = `SELECT ` + store.EmailColumns + ` FROM emails WHERE organization = ?`
	emailsOf     = selectEmails + ` ORDER BY id`
)

// Emails lists how an organization sends messages.
func (e *Engine) Emails(ctx context.Context, organization string) ([]*store.Email, error) {
	return query(ctx, e.read, store.ScanEmail, emailsOf, organization)
}

// Email reads how one type is sent; NotFound if there is none.
func (e *Engine) Email(ctx context.Context, organization, id string) (*store.Email, error) {
	m, ok, err := one(ctx, e.read, store.ScanEmail, selectEmails+` AND id = ?`, organization, id)
	if err == nil && !ok {
		err = consent.Errorf(consent.NotFound, "sqlite.Email", "no such e-mail")
	}
	return m, err
}

// CreateEmail stores how one type is sent; Conflict if there is one for the type.
func (e *Engine) CreateEmail(ctx context.Context, m *store.Email, changes ...store.Change) error {
	return e.saveEmail(ctx, m, changes, `INSERT INTO emails (revision, integration, settings, updated_at, organization, id, type, created_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING`, store.EmailThere)
}

// UpdateEmail replaces one that still has the revision before m's. Conflict if it
// has moved on.
func (e *Engine) UpdateEmail(ctx context.Context, m *store.Email, changes ...store.Change) error {
	return e.saveEmail(ctx, m, changes, `UPDATE emails SET revision = ?1, integration = ?2, settings = ?3, updated_at = ?4
		WHERE organization = ?5 AND id = ?6 AND type = ?7 AND created_at = ?8 AND revision = ?1 - 1`, store.EmailChanged)
}

func (e *Engine) saveEmail(ctx context.Context, m *store.Email, changes []store.Change, text, refusal string) error {
	settings, err := store.ToJSON(m.Settings)
	if err != nil {
		return err
	}
	return e.inTx(ctx, func(tx *transaction) error {
		res, err := tx.ExecContext(ctx, text, m.Revision, m.Integration, settings, int64(m.UpdatedAt), m.Organization, m.ID, string(m.Settings.EmailType), int64(m.CreatedAt))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, consent.Errorf(consent.Conflict, "sqlite.saveEmail", "%s", refusal))
		}
		return record(ctx, tx, changes)
	})
}

// DeleteEmail removes how one type is sent. Its messages stay, and what is still
// to be sent of them is dropped when its turn comes.
func (e *Engine) DeleteEmail(ctx context.Context, organization, id string, changes ...store.Change) error {
	return e.inTx(ctx, func(tx *transaction) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM emails WHERE organization = ? AND id = ?`, organization, id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, consent.Errorf(consent.NotFound, "sqlite.DeleteEmail", "no such e-mail"))
		}
		return record(ctx, tx, changes)
	})
}

// EmailsFor gives how an organization sends messages.
func (t *acceptTx) EmailsFor(ctx context.Context, organization string) ([]*store.Email, error) {
	if found, known := t.emails[organization]; known {
		return found, nil
	}
	rows, err := t.tx.QueryContext(ctx, emailsOf, organization)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []*store.Email
	for rows.Next() {
		m, err := store.ScanEmail(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, m)
	}
	if t.emails == nil {
		t.emails = make(map[string][]*store.Email)
	}
	t.emails[organization] = found
	return found, rows.Err()
}

// Intend stores messages that are not there.
func (t *acceptTx) Intend(ctx context.Context, messages []store.Message) error {
	for i := range messages {
		if _, err := intend(ctx, t.tx, &messages[i]); err != nil {
			return err
		}
	}
	return nil
}
