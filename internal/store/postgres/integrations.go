package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	selectIntegrations = `SELECT ` + store.IntegrationColumns + ` FROM integrations WHERE `
	ofLicence          = `licence = $1 ORDER BY organization, id`
)

var scanIntegration = scanned(store.ScanIntegration)

// Integration reads one integration; NotFound if there is none.
func (e *Engine) Integration(ctx context.Context, k store.IntegrationKey) (*store.Integration, error) {
	i, ok, err := one(ctx, e, scanIntegration, selectIntegrations+`organization = $1 AND id = $2`, k.Organization, k.ID)
	if err == nil && !ok {
		err = consent.Errorf(consent.NotFound, "postgres.Integration", "no such integration")
	}
	return i, err
}

// OrganizationOf finds whose an integration is; NotFound if there is none.
func (e *Engine) OrganizationOf(ctx context.Context, id string) (string, error) {
	organization, ok, err := one(ctx, e, pgx.RowTo[string], `SELECT organization FROM integrations WHERE id = $1`, id)
	if err == nil && !ok {
		err = consent.Errorf(consent.NotFound, "postgres.OrganizationOf", "no such integration")
	}
	return organization, err
}

// Integrations lists those of an organization by id, from after a cursor.
func (e *Engine) Integrations(ctx context.Context, organization, after string, limit int) ([]*store.Integration, error) {
	return query(ctx, e, scanIntegration, selectIntegrations+`organization = $1 AND id > $2 ORDER BY id LIMIT $3`, organization, after, limit)
}

// IntegrationsOfLicence lists all that spend one licence's budget.
func (e *Engine) IntegrationsOfLicence(ctx context.Context, licence string) ([]*store.Integration, error) {
	return query(ctx, e, scanIntegration, selectIntegrations+ofLicence, licence)
}

// CreateIntegration stores a new integration and its licence, and starts the
// re-projection of the people who are there already (R12).
func (e *Engine) CreateIntegration(ctx context.Context, i *store.Integration, changes ...store.Change) error {
	return e.saveIntegration(ctx, i, changes, func(ctx context.Context, tx *tx, settings, snapshot string) (pgconn.CommandTag, error) {
		if err := tx.lockOrganizationAlone(ctx, i.Organization); err != nil {
			return pgconn.CommandTag{}, err
		}
		return tx.Exec(ctx, `INSERT INTO integrations (`+store.IntegrationColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '', '')`,
			i.Organization, i.ID, string(i.Status), plain(i.StatusReason), i.Revision, i.Licence, settings, blob(i.Sealed), snapshot, int64(i.CreatedAt), int64(i.UpdatedAt))
	})
}

// UpdateIntegration replaces an integration that still has the revision before
// i's, and starts its re-projection (R12). Conflict if it has moved on.
func (e *Engine) UpdateIntegration(ctx context.Context, i *store.Integration, changes ...store.Change) error {
	return e.saveIntegration(ctx, i, changes, func(ctx context.Context, tx *tx, settings, snapshot string) (pgconn.CommandTag, error) {
		return tx.Exec(ctx, `UPDATE integrations SET status = $4, status_reason = $5, revision = revision + 1, licence = $6, settings = $7, sealed = $8,
			snapshot = $9, updated_at = $10 WHERE organization = $1 AND id = $2 AND revision = $3`,
			i.Organization, i.ID, i.Revision-1, string(i.Status), plain(i.StatusReason), i.Licence, settings, blob(i.Sealed), snapshot, int64(i.UpdatedAt))
	})
}

func (e *Engine) saveIntegration(ctx context.Context, i *store.Integration, changes []store.Change, write func(ctx context.Context, tx *tx, settings, snapshot string) (pgconn.CommandTag, error)) error {
	settings, err1 := store.ToJSON(i.Settings)
	snapshot, err2 := store.ToJSON(i.Snapshot)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		// It waits for whoever renews this lease, and must not hold up accepting
		// meanwhile.
		if _, err := tx.Exec(ctx, `INSERT INTO licences (licence) VALUES ($1) ON CONFLICT DO NOTHING`, i.Licence); err != nil {
			return err
		}
		tag, err := write(ctx, tx, settings, snapshot)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return store.ErrIntegrationChanged("postgres.saveIntegration")
		}
		_, err = tx.Exec(ctx, `INSERT INTO reprojections (organization, integration, state, cursor, started_at) VALUES ($1, $2, 'counting', '', $3)
			ON CONFLICT (organization, integration) DO UPDATE SET state = 'counting', cursor = '', people = 0, withdrawals = 0, grants = 0, started_at = excluded.started_at,
				only_since = 0`,
			i.Organization, i.ID, int64(i.UpdatedAt))
		if err != nil {
			return err
		}
		return tx.record(ctx, changes)
	})
}

// SetWebhook stores how far the webhooks of an integration are. It is no
// change of the integration.
func (e *Engine) SetWebhook(ctx context.Context, k store.IntegrationKey, w store.Webhook) error {
	text, err := store.ToJSON(w)
	if err != nil {
		return err
	}
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, `UPDATE integrations SET webhook = $3 WHERE organization = $1 AND id = $2`, k.Organization, k.ID, text)
		return err
	})
}

// AllIntegrations lists those of every organization, from after one.
func (e *Engine) AllIntegrations(ctx context.Context, after store.IntegrationKey, limit int) ([]*store.Integration, error) {
	return query(ctx, e, scanIntegration, selectIntegrations+`(organization, id) > ($1, $2) ORDER BY organization, id LIMIT $3`, after.Organization, after.ID, limit)
}

// SetStatus changes the status of an integration and its reason, whatever its
// revision; from, when not empty, is the status that it must have now.
func (e *Engine) SetStatus(ctx context.Context, k store.IntegrationKey, from, to store.IntegrationStatus, reason string) (changed bool, err error) {
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		tag, err := tx.Exec(ctx, `UPDATE integrations SET status = $3, status_reason = $4, updated_at = $5
			WHERE organization = $1 AND id = $2 AND ($6::text = '' OR status = $6) AND (status <> $3 OR status_reason <> $4)`,
			k.Organization, k.ID, string(to), plain(reason), int64(tx.now), string(from))
		changed = tag.RowsAffected() > 0
		return err
	})
	return changed, err
}

// Switch sets the status as a user says it. Unlike SetStatus it counts as a
// change: another that began before it is refused. NotFound if there is none.
func (e *Engine) Switch(ctx context.Context, k store.IntegrationKey, to store.IntegrationStatus, changes ...store.Change) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		tag, err := tx.Exec(ctx, `UPDATE integrations SET status = $3, status_reason = '', revision = revision + 1, updated_at = greatest($4, updated_at + 1)
			WHERE organization = $1 AND id = $2`, k.Organization, k.ID, string(to), int64(tx.now))
		if err == nil && tag.RowsAffected() == 0 {
			return consent.Errorf(consent.NotFound, "postgres.Switch", "no such integration")
		}
		if err != nil {
			return err
		}
		return tx.record(ctx, changes)
	})
}

// DeleteIntegration removes an integration with its secrets, at once. What was
// known of its profiles goes with the next Sweep; the calls made stay, as
// history.
func (e *Engine) DeleteIntegration(ctx context.Context, k store.IntegrationKey, changes ...store.Change) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		if err := tx.lockOrganizationAlone(ctx, k.Organization); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `DELETE FROM integrations WHERE organization = $1 AND id = $2`, k.Organization, k.ID)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return consent.Errorf(consent.NotFound, "postgres.DeleteIntegration", "no such integration")
		}
		var b pgx.Batch
		b.Queue(`DELETE FROM reprojections WHERE organization = $1 AND integration = $2`, k.Organization, k.ID)
		b.Queue(`DELETE FROM emails WHERE organization = $1 AND integration = $2`, k.Organization, k.ID)
		b.Queue(`DELETE FROM setups WHERE organization = $1 AND integration = $2`, k.Organization, k.ID)
		b.Queue(orphanedSQL, k.Organization, k.ID, int64(tx.now))
		if err := queueChanges(&b, changes); err != nil {
			return err
		}
		return tx.run(ctx, &b)
	})
}

// Totals tells what is left out of how many people of an integration.
func (e *Engine) Totals(ctx context.Context, k store.IntegrationKey) (t store.Totals, err error) {
	t.LeftOut, err = query(ctx, e, scanned(store.ScanLeftOut), `SELECT name, reason, people FROM left_out WHERE organization = $1 AND integration = $2 AND people > 0
		ORDER BY people DESC, name, reason LIMIT 100`, k.Organization, k.ID)
	return t, err
}
