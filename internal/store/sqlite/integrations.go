package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	selectIntegrations = `SELECT ` + store.IntegrationColumns + ` FROM integrations WHERE `
	ofLicence          = `licence = ? ORDER BY organization, id`
)

func (e *Engine) integrationsWhere(ctx context.Context, where string, args ...any) ([]*store.Integration, error) {
	return query(ctx, e.read, store.ScanIntegration, selectIntegrations+where, args...)
}

// Integration reads one integration; NotFound if there is none.
func (e *Engine) Integration(ctx context.Context, k store.IntegrationKey) (*store.Integration, error) {
	i, ok, err := one(ctx, e.read, store.ScanIntegration, selectIntegrations+`organization = ? AND id = ?`, k.Organization, k.ID)
	if err == nil && !ok {
		err = consent.Errorf(consent.NotFound, "sqlite.Integration", "no such integration")
	}
	return i, err
}

// OrganizationOf finds whose an integration is; NotFound if there is none.
func (e *Engine) OrganizationOf(ctx context.Context, id string) (organization string, err error) {
	err = e.read.QueryRowContext(ctx, `SELECT organization FROM integrations WHERE id = ?`, id).Scan(&organization)
	if errors.Is(err, sql.ErrNoRows) {
		return "", consent.Errorf(consent.NotFound, "sqlite.OrganizationOf", "no such integration")
	}
	return organization, classify(err)
}

// Integrations lists those of an organization by id, from after a cursor.
func (e *Engine) Integrations(ctx context.Context, organization, after string, limit int) ([]*store.Integration, error) {
	return e.integrationsWhere(ctx, `organization = ? AND id > ? ORDER BY id LIMIT ?`, organization, after, limit)
}

// IntegrationsOfLicence lists all that spend one licence's budget.
func (e *Engine) IntegrationsOfLicence(ctx context.Context, licence string) ([]*store.Integration, error) {
	return e.integrationsWhere(ctx, ofLicence, licence)
}

// CreateIntegration stores a new integration and its licence, and starts the
// re-projection of the people who are there already (R12).
func (e *Engine) CreateIntegration(ctx context.Context, i *store.Integration, changes ...store.Change) error {
	return e.saveIntegration(ctx, i, changes, func(tx *transaction, settings, snapshot string) (sql.Result, error) {
		return tx.ExecContext(ctx, `INSERT INTO integrations (`+store.IntegrationColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '')`,
			i.Organization, i.ID, string(i.Status), i.StatusReason, i.Revision, i.Licence, settings, blob(i.Sealed), snapshot, int64(i.CreatedAt), int64(i.UpdatedAt))
	})
}

// UpdateIntegration replaces an integration that still has the revision before
// i's, and starts its re-projection (R12). Conflict if it has moved on.
func (e *Engine) UpdateIntegration(ctx context.Context, i *store.Integration, changes ...store.Change) error {
	return e.saveIntegration(ctx, i, changes, func(tx *transaction, settings, snapshot string) (sql.Result, error) {
		return tx.ExecContext(ctx, `UPDATE integrations SET status = ?, status_reason = ?, revision = ?, licence = ?, settings = ?, sealed = ?,
			snapshot = ?, updated_at = ? WHERE organization = ? AND id = ? AND revision = ?`,
			string(i.Status), i.StatusReason, i.Revision, i.Licence, settings, blob(i.Sealed), snapshot, int64(i.UpdatedAt), i.Organization, i.ID, i.Revision-1)
	})
}

func (e *Engine) saveIntegration(ctx context.Context, i *store.Integration, changes []store.Change, write func(tx *transaction, settings, snapshot string) (sql.Result, error)) error {
	settings, err1 := store.ToJSON(i.Settings)
	snapshot, err2 := store.ToJSON(i.Snapshot)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	return e.inTx(ctx, func(tx *transaction) error {
		res, err := write(tx, settings, snapshot)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, store.ErrIntegrationChanged("sqlite.saveIntegration"))
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO licences (licence) VALUES (?) ON CONFLICT DO NOTHING`, i.Licence); err != nil {
			return err
		}
		if _, err = tx.ExecContext(ctx, `INSERT INTO reprojections (organization, integration, state, cursor, started_at) VALUES (?, ?, 'counting', x'', ?)
			ON CONFLICT DO UPDATE SET state = 'counting', cursor = x'', people = 0, withdrawals = 0, grants = 0, started_at = excluded.started_at,
				only_since = 0`,
			i.Organization, i.ID, int64(i.UpdatedAt)); err != nil {
			return err
		}
		return record(ctx, tx, changes)
	})
}

// SetWebhook stores how far the webhooks of an integration are. It is no
// change of the integration.
func (e *Engine) SetWebhook(ctx context.Context, k store.IntegrationKey, w store.Webhook) error {
	text, err := store.ToJSON(w)
	if err != nil {
		return err
	}
	return e.inTx(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, `UPDATE integrations SET webhook = ? WHERE organization = ? AND id = ?`, text, k.Organization, k.ID)
		return err
	})
}

// AllIntegrations lists those of every organization, from after one.
func (e *Engine) AllIntegrations(ctx context.Context, after store.IntegrationKey, limit int) ([]*store.Integration, error) {
	return e.integrationsWhere(ctx, `(organization, id) > (?, ?) ORDER BY organization, id LIMIT ?`, after.Organization, after.ID, limit)
}

// SetStatus changes the status of an integration and its reason, whatever its
// revision; from, when not empty, is the status that it must have now.
func (e *Engine) SetStatus(ctx context.Context, k store.IntegrationKey, from, to store.IntegrationStatus, reason string) (changed bool, err error) {
	err = e.inTx(ctx, func(tx *transaction) error {
		res, err := tx.ExecContext(ctx, `UPDATE integrations SET status = ?1, status_reason = ?2, updated_at = ?3
			WHERE organization = ?4 AND id = ?5 AND (?6 = '' OR status = ?6) AND (status <> ?1 OR status_reason <> ?2)`,
			string(to), reason, int64(consent.TimeOf(e.now())), k.Organization, k.ID, string(from))
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		changed = n > 0
		return err
	})
	return changed, err
}

// Switch sets the status as a user says it. Unlike SetStatus it counts as a
// change: another that began before it is refused. NotFound if there is none.
func (e *Engine) Switch(ctx context.Context, k store.IntegrationKey, to store.IntegrationStatus, changes ...store.Change) error {
	return e.inTx(ctx, func(tx *transaction) error {
		res, err := tx.ExecContext(ctx, `UPDATE integrations SET status = ?, status_reason = '', revision = revision + 1, updated_at = max(?, updated_at + 1)
			WHERE organization = ? AND id = ?`, string(to), int64(consent.TimeOf(e.now())), k.Organization, k.ID)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, consent.Errorf(consent.NotFound, "sqlite.Switch", "no such integration"))
		}
		return record(ctx, tx, changes)
	})
}

// orphanedSQL ends the messages of an integration that is gone: those in flight
// may have been sent.
const orphanedSQL = `UPDATE messages SET state = CASE state WHEN 'pending' THEN 'dropped' ELSE 'unclear' END, ended_at = ?1, next_at = 0, body = x'', reason = '` + store.Orphaned + `'
	WHERE organization = ?2 AND integration = ?3 AND state IN ('pending', 'in_flight')`

// DeleteIntegration removes an integration with its secrets, at once. What was
// known of its profiles goes with the next Sweep; the calls made stay, as
// history.
func (e *Engine) DeleteIntegration(ctx context.Context, k store.IntegrationKey, changes ...store.Change) error {
	return e.inTx(ctx, func(tx *transaction) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM integrations WHERE organization = ? AND id = ?`, k.Organization, k.ID)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, consent.Errorf(consent.NotFound, "sqlite.DeleteIntegration", "no such integration"))
		}
		for _, rest := range []string{"reprojections", "emails", "setups"} {
			if _, err = tx.ExecContext(ctx, `DELETE FROM `+rest+` WHERE organization = ? AND integration = ?`, k.Organization, k.ID); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, orphanedSQL, int64(consent.TimeOf(e.now())), k.Organization, k.ID); err != nil {
			return err
		}
		return record(ctx, tx, changes)
	})
}

// Totals tells what is left out of how many people of an integration.
func (e *Engine) Totals(ctx context.Context, k store.IntegrationKey) (t store.Totals, err error) {
	t.LeftOut, err = query(ctx, e.read, store.ScanLeftOut, `SELECT name, reason, people FROM left_out WHERE organization = ? AND integration = ? AND people > 0
		ORDER BY people DESC, name, reason LIMIT 100`, k.Organization, k.ID)
	return t, err
}
