package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	selectEmails = `SELECT ` + store.EmailColumns + ` FROM emails WHERE organization = $1`
	emailsForSQL = `SELECT ` + store.EmailColumns + ` FROM emails WHERE organization = ANY($1) ORDER BY organization, id`
)

// Emails lists how an organization sends messages.
func (e *Engine) Emails(ctx context.Context, organization string) ([]*store.Email, error) {
	return query(ctx, e, scanned(store.ScanEmail), selectEmails+` ORDER BY id`, organization)
}

// Email reads how one type is sent; NotFound if there is none.
func (e *Engine) Email(ctx context.Context, organization, id string) (*store.Email, error) {
	m, ok, err := one(ctx, e, scanned(store.ScanEmail), selectEmails+` AND id = $2`, organization, id)
	if err == nil && !ok {
		err = consent.Errorf(consent.NotFound, "postgres.Email", "no such e-mail")
	}
	return m, err
}

// CreateEmail stores how one type is sent; Conflict if there is one for the type.
func (e *Engine) CreateEmail(ctx context.Context, m *store.Email, changes ...store.Change) error {
	return e.saveEmail(ctx, m, changes, `INSERT INTO emails (revision, integration, settings, updated_at, organization, id, type, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`, store.EmailThere)
}

// UpdateEmail replaces one that still has the revision before m's. Conflict if it
// has moved on.
func (e *Engine) UpdateEmail(ctx context.Context, m *store.Email, changes ...store.Change) error {
	return e.saveEmail(ctx, m, changes, `UPDATE emails SET revision = $1, integration = $2, settings = $3, updated_at = $4
		WHERE organization = $5 AND id = $6 AND type = $7 AND created_at = $8 AND revision = $1 - 1`, store.EmailChanged)
}

func (e *Engine) saveEmail(ctx context.Context, m *store.Email, changes []store.Change, text, refusal string) error {
	settings, err := store.ToJSON(m.Settings)
	if err != nil {
		return err
	}
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		tag, err := tx.Exec(ctx, text, m.Revision, m.Integration, plain(settings), int64(m.UpdatedAt), m.Organization, m.ID, string(m.Settings.EmailType), int64(m.CreatedAt))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return consent.Errorf(consent.Conflict, "postgres.saveEmail", "%s", refusal)
		}
		return tx.record(ctx, changes)
	})
}

// DeleteEmail removes how one type is sent. Its messages stay, and what is still
// to be sent of them is dropped when its turn comes.
func (e *Engine) DeleteEmail(ctx context.Context, organization, id string, changes ...store.Change) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM emails WHERE organization = $1 AND id = $2`, organization, id)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return consent.Errorf(consent.NotFound, "postgres.DeleteEmail", "no such e-mail")
		}
		return tx.record(ctx, changes)
	})
}

// readEmails keeps what Remember reads beside the ledger.
func (t *acceptTx) readEmails(rows pgx.Rows) error {
	found, err := pgx.CollectRows(rows, scanned(store.ScanEmail))
	t.emails = make(map[string][]*store.Email)
	for _, m := range found {
		t.emails[m.Organization] = append(t.emails[m.Organization], m)
	}
	return err
}

// EmailsFor was read by Remember.
func (t *acceptTx) EmailsFor(_ context.Context, organization string) ([]*store.Email, error) {
	return t.emails[organization], nil
}

// Intend stores messages that are not there, with what MarkDue sends.
func (t *acceptTx) Intend(_ context.Context, messages []store.Message) error {
	for i := range messages {
		queueIntent(&t.writes, &messages[i])
	}
	return nil
}
