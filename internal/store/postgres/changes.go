package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/store"
)

// record stores changes in the transaction that makes them.
func (t *tx) record(ctx context.Context, changes []store.Change) error {
	var b pgx.Batch
	if err := queueChanges(&b, changes); err != nil {
		return err
	}
	return t.run(ctx, &b)
}

func queueChanges(b *pgx.Batch, changes []store.Change) error {
	for _, c := range changes {
		details, err := store.ToJSON(c.Details)
		if err != nil {
			return err
		}
		b.Queue(`INSERT INTO changes (`+store.ChangeColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			c.Organization, c.ID[:], c.Integration, int64(c.At), plain(c.By), c.Action, plain(details))
	}
	return nil
}

const (
	changesSQL   = `SELECT ` + store.ChangeColumns + ` FROM changes WHERE organization = $1 AND id < $2 ORDER BY id DESC LIMIT $3`
	changesOfSQL = `SELECT ` + store.ChangeColumns + ` FROM changes WHERE organization = $1 AND integration = $4 AND id < $2 ORDER BY id DESC LIMIT $3`
)

// Changes lists the changes in an organization, the newest first, from before
// one; the zero id is the beginning. With an integration it lists those of it.
func (e *Engine) Changes(ctx context.Context, organization, integration string, before store.ID, limit int) ([]store.Change, error) {
	text, args := changesSQL, []any{organization, store.Newest(before), limit}
	if integration != "" {
		text, args = changesOfSQL, append(args, integration)
	}
	return query(ctx, e, scanned(store.ScanChange), text, args...)
}
