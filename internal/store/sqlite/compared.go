package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	comparePageSQL = `SELECT p.person, p.user_id, p.didomi_id, p.state, p.didomi_users, coalesce(d.state, ''), coalesce(d.held, 0),
			coalesce(d.readback > 0 OR d.readback_at > 0, 0), coalesce(d.known, ''), coalesce(d.last_error, ''), coalesce(d.updated_at, 0)
		FROM people p LEFT JOIN deliveries d ON d.organization = p.organization AND d.integration = ? AND d.target = 'actito' AND d.person = p.person
		WHERE p.organization = ? AND p.person > ? AND p.person < ? AND p.user_id <> '' ORDER BY p.person LIMIT ?`
)

// userLookup finds Didomi users from whom something follows. It names the index, for
// without it each look-up reads a page of people that lies anywhere.
var userLookup = newLookup(`SELECT person, state FROM people INDEXED BY people_speaking
	WHERE user_id = '' AND substr(state, 1, 5) <> x'` + hex.EncodeToString([]byte(consent.SaysNothing)) + `' AND organization = ? AND person`)

// ComparePage lists identified people with their delivery to Actito of an
// integration, by key, between two; an unknown integration has no deliveries. One
// page is one reading of the database.
func (e *Engine) ComparePage(ctx context.Context, k store.IntegrationKey, between store.Keys, limit int) ([]*store.Compared, error) {
	var page []*store.Compared
	err := e.read.inTx(ctx, func(tx *transaction) (err error) {
		page, err = query(ctx, tx, scanCompared(k.Organization), comparePageSQL, k.ID, k.Organization, blob(between.After), between.End(), limit)
		if err != nil {
			return err
		}
		users, err := linkedUsers(ctx, tx, k.Organization, store.LinkedUsers(e.hasher, page))
		if err == nil {
			store.Link(e.hasher, page, users)
		}
		return err
	})
	if err != nil {
		return nil, classify(err)
	}
	return page, nil
}

func scanCompared(organization string) func(store.Row) (*store.Compared, error) {
	return func(row store.Row) (*store.Compared, error) {
		var r store.StoredComparison
		var person, binary sql.RawBytes
		if err := row.Scan(&person, &r.UserID, &r.DidomiID, &binary, &r.Users, &r.State, &r.HoldGrants, &r.Readback, &r.Known, &r.LastError, &r.UpdatedAt); err != nil {
			return nil, err
		}
		r.Person, r.Binary = person, binary
		return r.Compared(organization), nil
	}
}

// linkedUsers reads the states of Didomi users, for store.Link, without those from
// whom nothing follows.
func linkedUsers(ctx context.Context, tx *transaction, organization string, keys []store.PersonKey) (map[store.PersonKey]*consent.State, error) {
	users := make(map[store.PersonKey]*consent.State, len(keys))
	return users, userLookup.each(keys, []any{organization}, func(text string, args []any) error { return readUsers(ctx, tx, users, text, args) })
}

func readUsers(ctx context.Context, tx *transaction, users map[store.PersonKey]*consent.State, text string, args []any) error {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var person, binary sql.RawBytes
		if err := rows.Scan(&person, &binary); err != nil {
			return err
		}
		users[store.PersonKey(person)] = store.ReadUser(binary)
	}
	return rows.Err()
}
