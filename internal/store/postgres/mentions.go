package postgres

import (
	"context"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	loadMentionsSQL = `SELECT ` + store.LoadMentionColumns + ` FROM deliveries d
		JOIN load_rows r ON r.organization = d.organization AND r.integration = d.integration AND r.person = d.person
		JOIN loads l ON l.organization = r.organization AND l.integration = r.integration AND l.id = r.load
		WHERE d.organization = $1 AND d.person = $2 AND d.target = 'actito' ORDER BY r.integration, r.load LIMIT $3`
	heldMentionsSQL = `SELECT ` + store.HeldMentionColumns + ` FROM reconciliations r
		JOIN held_blocks h ON h.organization = r.organization AND h.integration = r.integration AND h.run = r.id
		WHERE r.organization = $1 AND h.slice = $2 ORDER BY r.integration, r.id, h.number`
)

// Mentions reads what else stands about a person, and about the Didomi users
// linked to them, at most limit of each kind.
func (e *Engine) Mentions(ctx context.Context, organization string, people []store.PersonKey, userID string, limit int) (m store.Mentions, err error) {
	for _, p := range people {
		loads, err1 := query(ctx, e, scanned(store.ScanLoadMention), loadMentionsSQL, organization, p[:], limit)
		blocks, err2 := query(ctx, e, scanned(store.ScanHeldBlock), heldMentionsSQL, organization, store.HeldSliceOf(p))
		held, err4 := store.HeldMentions(p, blocks, limit)
		asked, _, err3 := one(ctx, e, scanned(scanTime), `SELECT requested_at FROM erasures WHERE organization = $1 AND person = $2`, organization, p[:])
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return m, err
		}
		m.Loads, m.Held, m.ToBeErased = append(m.Loads, loads...), append(m.Held, held...), max(m.ToBeErased, asked)
	}
	refused, err := query(ctx, e, scanned(store.ScanRefusalMention), `SELECT import, file, number, reason FROM import_refusals
		WHERE organization = $1 AND position($2 IN reason) > 0 ORDER BY import, file, number LIMIT $3`, organization, userID, limit)
	if err != nil {
		return m, err
	}
	m.Refused(refused, userID)
	m.Aside, err = query(ctx, e, scanned(store.ScanAsideMention), `SELECT arrived_at, body, reason FROM inbox
		WHERE organization = $1 AND lane = 2 AND position($2 IN body) > 0 ORDER BY seq LIMIT $3`, organization, store.Quoted(userID), limit)
	if err != nil {
		return m, err
	}
	compared, err := query(ctx, e, scanReconciliation, selectReconciliations+`organization = $1 AND position($2 IN body) > 0 ORDER BY integration, id`,
		organization, string(store.Quoted(userID)))
	m.Compared(compared, userID)
	return m, err
}

func scanTime(row store.Row) (at consent.Time, err error) {
	err = row.Scan(&at)
	return at, err
}
