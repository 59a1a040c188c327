package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	eventsSQL     = `SELECT ` + store.HeaderColumns + ` FROM events WHERE organization = ? AND id < ? ORDER BY id DESC LIMIT ?`
	eventsOfSQL   = `SELECT ` + store.HeaderColumns + ` FROM events INDEXED BY events_by_person WHERE organization = ? AND person = ? AND id < ? ORDER BY id DESC LIMIT ?`
	eventSQL      = `SELECT ` + store.HeaderColumns + ` FROM events WHERE organization = ? AND id = ?`
	subjectIDsSQL = `SELECT user_id, didomi_id FROM people WHERE organization = ? AND person = ?`
)

// Events lists the events that a filter asks for, the newest first, from before
// one; the zero id is the beginning. A page may hold fewer than limit, or none,
// where it takes long to find more: next goes on, and is zero at the end.
func (e *Engine) Events(ctx context.Context, organization string, f store.EventFilter, before store.ID, limit int) ([]store.Event, store.ID, error) {
	text, args := eventsSQL, []any{organization}
	if f.Person != (store.PersonKey{}) {
		text, args = eventsOfSQL, []any{organization, f.Person[:]}
	}
	found, err := query(ctx, e.read, store.ScanHeader(organization), text, append(args, store.Newest(f.Start(before)), f.Look(limit))...)
	if err != nil {
		return nil, store.ID{}, err
	}
	page, next := store.PageOf(found, f, limit)
	return page, next, nil
}

// Event reads the header of one event; NotFound if there is none.
func (e *Engine) Event(ctx context.Context, organization string, id store.ID) (*store.Event, error) {
	ev, ok, err := one(ctx, e.read, store.ScanHeader(organization), eventSQL, organization, id[:])
	if err == nil && !ok {
		err = consent.Errorf(consent.NotFound, "sqlite.Event", "no such event")
	}
	return &ev, err
}

// SubjectsOf tells whom keys stand for; those that nothing is known of are left
// out.
func (e *Engine) SubjectsOf(ctx context.Context, organization string, keys []store.PersonKey) (map[store.PersonKey]consent.Subject, error) {
	found := make(map[store.PersonKey]consent.Subject, len(keys))
	for _, k := range keys {
		if _, had := found[k]; had {
			continue
		}
		var s consent.Subject
		switch err := e.read.QueryRowContext(ctx, subjectIDsSQL, organization, k[:]).Scan(&s.OrganizationUserID, &s.DidomiUserID); {
		case err == nil:
			found[k] = s
		case !errors.Is(err, sql.ErrNoRows):
			return nil, classify(err)
		}
	}
	return found, nil
}

// AskRead has the profile of a person read soon; NotFound if nothing is known of
// them in the integration.
func (e *Engine) AskRead(ctx context.Context, k store.DeliveryKey, changes ...store.Change) error {
	return e.inTx(ctx, func(tx *transaction) error {
		res, err := tx.ExecContext(ctx, `UPDATE deliveries SET readback = max(readback, 1), readback_at = ?
			WHERE organization = ? AND integration = ? AND target = ? AND person = ?`,
			int64(consent.TimeOf(e.now())), k.Organization, k.Integration, string(k.Target), k.Person[:])
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, store.ErrNothingSent("sqlite.AskRead"))
		}
		return record(ctx, tx, changes)
	})
}

// tracesSQL looks at the newest events of a person only.
const tracesSQL = `SELECT trace FROM (SELECT trace, arrived_at FROM events INDEXED BY events_by_person WHERE organization = ? AND person = ? ORDER BY id DESC LIMIT ?)
	WHERE arrived_at >= ? AND length(trace) > 0`

// TracesOf gives where in traces a person's newest events were accepted, of those
// that arrived since a time, as far as traces were made.
func (e *Engine) TracesOf(ctx context.Context, organization string, p store.PersonKey, since consent.Time) ([][]byte, error) {
	return query(ctx, e.read, scanBytes, tracesSQL, organization, p[:], store.MostTraced, int64(since))
}
