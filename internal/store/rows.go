package store

import (
	"encoding/json"
	"errors"

	"consentsync/internal/consent"
)

// The engines keep the same columns, apart from their types, and read them in
// the same order.
const (
	DeliveryColumns = `organization, integration, target, person, state, class, consent_at, due_at, next_at, version, attempts, calls,
	epoch, known, left_out, last_error, held, readback, readback_at, updated_at, profile`
	IntegrationColumns  = `organization, id, status, status_reason, revision, licence, settings, sealed, snapshot, created_at, updated_at, webhook, seen`
	ReprojectionColumns = `organization, integration, state, cursor, people, withdrawals, grants, started_at, only_since, only_target, only_state, only_reason, only_from, only_to`
	LoadColumns         = `organization, integration, id, state, epoch, columns, people, withdrawals, refused, execution, outcome, reason,
	created_at, started_at, ended_at`
	LoadRowColumns = `r.number, r.person, r.version, r.class, r.due_at, r.cells, r.rest, r.stranger, r.refused, r.doubtful, r.state, coalesce(p.user_id, '')`
	EventColumns   = `id, type, entity_id, regulation, consent_at, arrived_at, outcome, commitment`
	CallColumns    = `id, integration, operation, subscriptions, attributes, started_at, answered_at, outcome, detail, revision`
	NewsColumns    = `id, arrived_at, attempts, body, entity, content, named`

	HeaderColumns     = `id, type, entity_id, person, regulation, consent_at, arrived_at, outcome`
	UserColumns       = `u.id, u.email, u.name, u.password, u.created_at`
	InvitationColumns = `organization, id, hash, role, note, invited_by, created_at, expires_at, first`
	ClientColumns     = `organization, client_id, header, secret_hash, previous_hash, previous_until, created_at`
	APIKeyColumns     = `organization, id, hash, name, role, created_by, created_at, expires_at, used_at`
	SetupColumns      = `organization, id, integration, title, actor, sealed, updated_at, expires_at`
	ChangeColumns     = `organization, id, integration, at, actor, action, details`
)

// Remains are the tables in which something stays of an integration that is
// gone, with the rest of their keys. A load's rows come after the deliveries:
// nobody joins a load without a delivery.
var Remains = []struct{ Table, Key string }{
	{"news", "id"},
	{"deliveries", "target, person"},
	{"load_rows", "load, number"},
	{"loads", "id"},
	{"left_out", "name, reason"},
	{"counts", "name"},
	{"effects", "at, withdrawal, step"},
	{"held_blocks", "run, slice, number"},
	{"reconciliations", "id"},
}

// Row is a row that an engine has found.
type Row interface{ Scan(dest ...any) error }

// ToJSON writes what has no column of its own.
func ToJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

// FromJSON reads what ToJSON wrote; an empty text leaves into as it is.
func FromJSON(text string, into any) error {
	if text == "" {
		return nil
	}
	switch into := into.(type) { // these refuse by themselves what is not JSON, which is read once then
	case *consent.Known:
		return into.UnmarshalJSON([]byte(text))
	case *consent.Links:
		return into.UnmarshalJSON([]byte(text))
	}
	return json.Unmarshal([]byte(text), into)
}

// ScanDelivery reads DeliveryColumns.
func ScanDelivery(row Row) (*Delivery, error) {
	var d Delivery
	var person []byte
	var known, leftOut string
	if err := row.Scan(&d.Organization, &d.Integration, &d.Target, &person, &d.State, &d.Class, &d.ConsentAt, &d.DueAt, &d.NextAt,
		&d.Version, &d.Attempts, &d.Calls, &d.Epoch, &known, &leftOut, &d.LastError, &d.HoldGrants, &d.Readback, &d.ReadbackAt, &d.UpdatedAt, &d.ProfileID); err != nil {
		return nil, err
	}
	d.Person = PersonKey(person)
	return &d, errors.Join(FromJSON(known, &d.Known), FromJSON(leftOut, &d.LeftOut))
}

// ScanIntegration reads IntegrationColumns.
func ScanIntegration(row Row) (*Integration, error) {
	var i Integration
	var settings, snapshot, webhook, seen string
	if err := row.Scan(&i.Organization, &i.ID, &i.Status, &i.StatusReason, &i.Revision, &i.Licence, &settings, &i.Sealed, &snapshot,
		&i.CreatedAt, &i.UpdatedAt, &webhook, &seen); err != nil {
		return nil, err
	}
	return &i, errors.Join(FromJSON(settings, &i.Settings), FromJSON(snapshot, &i.Snapshot), FromJSON(webhook, &i.Webhook), FromJSON(seen, &i.Seen))
}

// ScanIntegrationKey reads an organization and the id of its integration.
func ScanIntegrationKey(row Row) (k IntegrationKey, err error) {
	err = row.Scan(&k.Organization, &k.ID)
	return k, err
}

// ScanReprojection reads ReprojectionColumns.
func ScanReprojection(row Row) (r Reprojection, err error) {
	// A program that knows nothing of retries starts one of everybody in its
	// place, and leaves what the retry was about: that holds for its own start.
	var since consent.Time
	var only Only
	err = row.Scan(&r.Organization, &r.ID, &r.State, &r.Cursor, &r.People, &r.Withdrawals, &r.Grants, &r.StartedAt, &since, &only.Target, &only.State, &only.Reason, &only.From, &only.To)
	if since == r.StartedAt {
		r.Only = only
	}
	return r, err
}

// ScanLeftOut reads a sum of what is left out: name, reason, people.
func ScanLeftOut(row Row) (t LeftOutTotal, err error) {
	err = row.Scan(&t.Name, &t.Reason, &t.People)
	return t, err
}

// ScanLoad reads LoadColumns.
func ScanLoad(row Row) (*Load, error) {
	var l Load
	var id []byte
	var columns string
	if err := row.Scan(&l.Organization, &l.ID, &id, &l.State, &l.Epoch, &columns, &l.People, &l.Withdrawals, &l.Refused, &l.Execution,
		&l.Outcome, &l.Reason, &l.CreatedAt, &l.StartedAt, &l.EndedAt); err != nil {
		return nil, err
	}
	l.LoadID = ID(id)
	return &l, FromJSON(columns, &l.Columns)
}

// ScanLoadRow reads LoadRowColumns.
func ScanLoadRow(row Row) (r LoadRow, err error) {
	var person []byte
	var cells string
	if err := row.Scan(&r.Row, &person, &r.Version, &r.Class, &r.DueAt, &cells, &r.Rest, &r.Stranger, &r.Refused, &r.Doubtful, &r.State, &r.UserID); err != nil {
		return r, err
	}
	r.Person, r.On = PersonKey(person), fromCells(cells)
	return r, nil
}

// ScanFileRow reads what stands in a file of a row: its number, its cells, and
// the person's id.
func ScanFileRow(row Row) (r LoadRow, err error) {
	var cells string
	err = row.Scan(&r.Row, &cells, &r.UserID)
	r.On = fromCells(cells)
	return r, err
}

// ScanEvent reads EventColumns of somebody's events.
func ScanEvent(whose SubjectKey) func(Row) (Event, error) {
	return func(row Row) (Event, error) {
		e := Event{Organization: whose.Organization, Person: whose.Person}
		var id, commitment []byte
		if err := row.Scan(&id, &e.Type, &e.EntityID, &e.Regulation, &e.ConsentAt, &e.ArrivedAt, &e.Outcome, &commitment); err != nil {
			return e, err
		}
		e.ID = ID(id)
		copy(e.Commitment[:], commitment)
		return e, nil
	}
}

// ScanCall reads CallColumns of the calls about somebody.
func ScanCall(whose SubjectKey) func(Row) (Call, error) {
	return func(row Row) (Call, error) {
		c := Call{Organization: whose.Organization, Person: whose.Person}
		var id []byte
		var subscriptions, attributes string
		if err := row.Scan(&id, &c.Integration, &c.Operation, &subscriptions, &attributes, &c.StartedAt, &c.AnsweredAt, &c.Outcome, &c.Detail, &c.Revision); err != nil {
			return c, err
		}
		c.ID = ID(id)
		return c, errors.Join(FromJSON(subscriptions, &c.Subscriptions), FromJSON(attributes, &c.Attributes))
	}
}

// ScanNews reads NewsColumns of an integration's news.
func ScanNews(k IntegrationKey) func(Row) (*News, error) {
	return func(row Row) (*News, error) {
		n := &News{IntegrationKey: k}
		var id, entity, content []byte
		var body string
		if err := row.Scan(&id, &n.ArrivedAt, &n.Attempts, &body, &entity, &content, &n.Named); err != nil {
			return nil, err
		}
		n.NewsID = ID(id)
		copy(n.Entity[:], entity)
		copy(n.Content[:], content)
		return n, FromJSON(body, &n.Told)
	}
}

// Written is what a call, or a row of a load, writes to a profile.
type Written struct {
	Subscriptions map[string]bool
	At            consent.Time
}

// ScanCallWritten reads a call's subscriptions and time.
func ScanCallWritten(row Row) (w Written, err error) {
	var subscriptions string
	if err := row.Scan(&subscriptions, &w.At); err != nil {
		return w, err
	}
	return w, FromJSON(subscriptions, &w.Subscriptions)
}

// ScanRowWritten reads a load's columns, a row's cells, and the load's time.
func ScanRowWritten(row Row) (w Written, err error) {
	var columns, cells string
	if err := row.Scan(&columns, &cells, &w.At); err != nil {
		return w, err
	}
	var names []string
	if err := FromJSON(columns, &names); err != nil {
		return w, err
	}
	w.Subscriptions = (&LoadRow{On: fromCells(cells)}).Difference(names).Subscriptions
	return w, nil
}

// ScanEffect reads an interval, whether it is of withdrawals, a step, people.
func ScanEffect(row Row) (e Effect, err error) {
	err = row.Scan(&e.At, &e.Withdrawal, &e.Step, &e.People)
	return e, err
}

// MostTraced is among how many of a person's events those are looked for that were
// traced.
const MostTraced = 32
