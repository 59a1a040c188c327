package sqlite

import (
	"context"
	"errors"

	"consentsync/internal/store"
)

const (
	loadMentionsSQL = `SELECT ` + store.LoadMentionColumns + ` FROM deliveries d
		CROSS JOIN load_rows r INDEXED BY load_rows_by_person ON r.organization = d.organization AND r.integration = d.integration AND r.person = d.person
		CROSS JOIN loads l ON l.organization = r.organization AND l.integration = r.integration AND l.id = r.load
		WHERE d.organization = ? AND d.person = ? AND d.target = 'actito' ORDER BY r.integration, r.load LIMIT ?`
	heldMentionsSQL = `SELECT ` + store.HeldMentionColumns + ` FROM reconciliations r
		CROSS JOIN held_blocks h ON h.organization = r.organization AND h.integration = r.integration AND h.run = r.id AND h.slice = ?2
		WHERE r.organization = ?1 ORDER BY r.integration, r.id, h.number`
)

// Mentions reads what else stands about a person, and about the Didomi users
// linked to them, at most limit of each kind.
func (e *Engine) Mentions(ctx context.Context, organization string, people []store.PersonKey, userID string, limit int) (m store.Mentions, err error) {
	for _, p := range people {
		loads, err1 := query(ctx, e.read, store.ScanLoadMention, loadMentionsSQL, organization, p[:], limit)
		blocks, err2 := query(ctx, e.read, store.ScanHeldBlock, heldMentionsSQL, organization, store.HeldSliceOf(p))
		held, err4 := store.HeldMentions(p, blocks, limit)
		asked, _, err3 := one(ctx, e.read, scanTime, `SELECT requested_at FROM erasures WHERE organization = ? AND person = ?`, organization, p[:])
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return m, err
		}
		m.Loads, m.Held, m.ToBeErased = append(m.Loads, loads...), append(m.Held, held...), max(m.ToBeErased, asked)
	}
	refused, err := query(ctx, e.read, store.ScanRefusalMention, `SELECT import, file, number, reason FROM import_refusals
		WHERE organization = ? AND instr(reason, ?) > 0 ORDER BY import, file, number LIMIT ?`, organization, userID, limit)
	if err != nil {
		return m, err
	}
	m.Refused(refused, userID)
	m.Aside, err = query(ctx, e.read, store.ScanAsideMention, `SELECT arrived_at, body, reason FROM inbox
		WHERE organization = ? AND lane = 2 AND instr(body, ?) > 0 ORDER BY seq LIMIT ?`, organization, store.Quoted(userID), limit)
	if err != nil {
		return m, err
	}
	compared, err := query(ctx, e.read, store.ScanReconciliation, selectReconciliations+`organization = ? AND instr(body, ?) > 0 ORDER BY integration, id`,
		organization, string(store.Quoted(userID)))
	m.Compared(compared, userID)
	return m, err
}
