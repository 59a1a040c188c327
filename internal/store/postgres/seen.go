package postgres

import (
	"context"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// SetSeen stores how the table of an integration was seen. It is no change of
// the integration.
func (e *Engine) SetSeen(ctx context.Context, k store.IntegrationKey, seen consent.Seen) error {
	text, err := store.ToJSON(seen)
	if err != nil {
		return err
	}
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, `UPDATE integrations SET seen = $3 WHERE organization = $1 AND id = $2`, k.Organization, k.ID, plain(text))
		return err
	})
}
