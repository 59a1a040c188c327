package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	eventsSQL     = `SELECT ` + store.HeaderColumns + ` FROM events WHERE organization = $1 AND id < $2 ORDER BY id DESC LIMIT $3`
	eventsOfSQL   = `SELECT ` + store.HeaderColumns + ` FROM events WHERE organization = $1 AND person = $4 AND id < $2 ORDER BY id DESC LIMIT $3`
	eventSQL      = `SELECT ` + store.HeaderColumns + ` FROM events WHERE organization = $1 AND id = $2`
	subjectIDsSQL = `SELECT person, user_id, didomi_id FROM people WHERE organization = $1 AND person = ANY($2::bytea[])`
	askReadSQL    = `UPDATE deliveries SET readback = greatest(readback, 1), readback_at = $5 WHERE ` + oneDelivery
)

// Events lists the events that a filter asks for, the newest first, from before
// one; the zero id is the beginning. A page may hold fewer than limit, or none,
// where it takes long to find more: next goes on, and is zero at the end.
func (e *Engine) Events(ctx context.Context, organization string, f store.EventFilter, before store.ID, limit int) ([]store.Event, store.ID, error) {
	text, args := eventsSQL, []any{organization, store.Newest(f.Start(before)), f.Look(limit)}
	if f.Person != (store.PersonKey{}) {
		text, args = eventsOfSQL, append(args, f.Person[:])
	}
	found, err := query(ctx, e, scanned(store.ScanHeader(organization)), text, args...)
	if err != nil {
		return nil, store.ID{}, err
	}
	page, next := store.PageOf(found, f, limit)
	return page, next, nil
}

// Event reads the header of one event; NotFound if there is none.
func (e *Engine) Event(ctx context.Context, organization string, id store.ID) (*store.Event, error) {
	ev, ok, err := one(ctx, e, scanned(store.ScanHeader(organization)), eventSQL, organization, id[:])
	if err == nil && !ok {
		err = consent.Errorf(consent.NotFound, "postgres.Event", "no such event")
	}
	return &ev, err
}

// SubjectsOf tells whom keys stand for; those that nothing is known of are left
// out.
func (e *Engine) SubjectsOf(ctx context.Context, organization string, keys []store.PersonKey) (map[store.PersonKey]consent.Subject, error) {
	wanted := make([][]byte, len(keys))
	for i := range keys {
		wanted[i] = keys[i][:]
	}
	found := make(map[store.PersonKey]consent.Subject, len(keys))
	_, err := query(ctx, e, func(row pgx.CollectableRow) (struct{}, error) {
		var person []byte
		var s consent.Subject
		err := row.Scan(&person, &s.OrganizationUserID, &s.DidomiUserID)
		if err == nil {
			found[store.PersonKey(person)] = s
		}
		return struct{}{}, err
	}, subjectIDsSQL, organization, wanted)
	return found, err
}

// AskRead has the profile of a person read soon; NotFound if nothing is known of
// them in the integration.
func (e *Engine) AskRead(ctx context.Context, k store.DeliveryKey, changes ...store.Change) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		tag, err := tx.Exec(ctx, askReadSQL, append(deliveryKey(k), int64(tx.now))...)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return store.ErrNothingSent("postgres.AskRead")
		}
		return tx.record(ctx, changes)
	})
}

// tracesSQL looks at the newest events of a person only.
const tracesSQL = `SELECT trace FROM (SELECT trace, arrived_at FROM events WHERE organization = $1 AND person = $2 ORDER BY id DESC LIMIT $3) AS newest
	WHERE arrived_at >= $4 AND trace <> ''`

// TracesOf gives where in traces a person's newest events were accepted, of those
// that arrived since a time, as far as traces were made.
func (e *Engine) TracesOf(ctx context.Context, organization string, p store.PersonKey, since consent.Time) ([][]byte, error) {
	return query(ctx, e, pgx.RowTo[[]byte], tracesSQL, organization, p[:], store.MostTraced, int64(since))
}
