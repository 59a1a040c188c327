package sqlite

import (
	"context"

	"consentsync/internal/store"
)

// record stores changes in the transaction that makes them.
func record(ctx context.Context, tx *transaction, changes []store.Change) error {
	for _, c := range changes {
		details, err := store.ToJSON(c.Details)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, insertChangeSQL,
			c.Organization, c.ID[:], c.Integration, int64(c.At), c.By, c.Action, details); err != nil {
			return err
		}
	}
	return nil
}

const (
	insertChangeSQL = `INSERT INTO changes (` + store.ChangeColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?)`
	changesSQL      = `SELECT ` + store.ChangeColumns + ` FROM changes WHERE organization = ? AND id < ? ORDER BY id DESC LIMIT ?`
	changesOfSQL    = `SELECT ` + store.ChangeColumns + ` FROM changes INDEXED BY changes_by_integration WHERE organization = ? AND integration = ? AND id < ? ORDER BY id DESC LIMIT ?`
)

// Changes lists the changes in an organization, the newest first, from before
// one; the zero id is the beginning. With an integration it lists those of it.
func (e *Engine) Changes(ctx context.Context, organization, integration string, before store.ID, limit int) ([]store.Change, error) {
	text, args := changesSQL, []any{organization}
	if integration != "" {
		text, args = changesOfSQL, []any{organization, integration}
	}
	return query(ctx, e.read, store.ScanChange, text, append(args, store.Newest(before), limit)...)
}
