package sqlite

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
	return e.inTx(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, `UPDATE integrations SET seen = ? WHERE organization = ? AND id = ?`, text, k.Organization, k.ID)
		return err
	})
}
