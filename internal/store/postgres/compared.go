package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	// OFFSET keeps the planner from reading all deliveries for each page: they are
	// looked up one by one, by their key.
	comparePageSQL = `SELECT p.person, p.user_id, p.didomi_id, p.state, p.didomi_users, coalesce(d.state, ''), coalesce(d.held, false),
			coalesce(d.readback > 0 OR d.readback_at > 0, false), coalesce(d.known, ''), coalesce(d.last_error, ''), coalesce(d.updated_at, 0)
		FROM people p LEFT JOIN LATERAL (SELECT * FROM deliveries d
			WHERE d.organization = p.organization AND d.integration = $1 AND d.target = 'actito' AND d.person = p.person OFFSET 0) d ON true
		WHERE p.organization = $2 AND p.person > $3 AND p.person < $4 AND p.user_id <> '' ORDER BY p.person LIMIT $5`
	linkedUsersSQL = `SELECT person, state FROM people WHERE organization = $1 AND person = ANY($2::bytea[])`
)

// ComparePage lists identified people with their delivery to Actito of an
// integration, by key, between two; an unknown integration has no deliveries. What
// of a person and of the Didomi users linked to them is written at the same time is
// made due by whoever writes it.
func (e *Engine) ComparePage(ctx context.Context, k store.IntegrationKey, between store.Keys, limit int) ([]*store.Compared, error) {
	page, err := query(ctx, e, func(row pgx.CollectableRow) (*store.Compared, error) {
		var r store.StoredComparison
		err := row.Scan(&r.Person, &r.UserID, &r.DidomiID, &r.Binary, &r.Users, &r.State, &r.HoldGrants, &r.Readback, &r.Known, &r.LastError, &r.UpdatedAt)
		if err != nil {
			return nil, err
		}
		return r.Compared(k.Organization), nil
	}, comparePageSQL, k.ID, k.Organization, blob(between.After), between.End(), limit)
	if err != nil {
		return nil, err
	}
	linked := store.LinkedUsers(e.hasher, page)
	if len(linked) == 0 {
		return page, nil
	}
	keys := make([][]byte, len(linked))
	for i := range linked {
		keys[i] = linked[i][:]
	}
	users := make(map[store.PersonKey]*consent.State, len(keys))
	_, err = query(ctx, e, func(row pgx.CollectableRow) (none struct{}, err error) {
		var person, binary []byte
		if err := row.Scan(&person, &binary); err != nil {
			return none, err
		}
		users[store.PersonKey(person)] = store.ReadUser(binary)
		return none, nil
	}, linkedUsersSQL, k.Organization, keys)
	store.Link(e.hasher, page, users)
	return page, err
}
