package sqlite

import (
	"context"
	"database/sql"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Accept takes a batch of webhooks into one durable transaction.
func (e *Engine) Accept(ctx context.Context, batch []store.Inbound) (receipts []store.Receipt, err error) {
	err = e.inTx(ctx, func(tx *transaction) error {
		receipts, err = store.Accept(ctx, e.acceptTx(tx), e.hasher, batch, consent.TimeOf(e.now()))
		return err
	})
	if err != nil {
		return nil, err
	}
	return receipts, nil
}

// acceptTx does row by row what store.Accept asks for: with one writer and
// prepared statements that is as fast as any batch.
type acceptTx struct {
	e            *Engine
	tx           *transaction
	integrations map[string][]string
	emails       map[string][]*store.Email
}

var _ store.AcceptTx = (*acceptTx)(nil)

func (e *Engine) acceptTx(tx *transaction) *acceptTx {
	return &acceptTx{e: e, tx: tx}
}

func (t *acceptTx) Remember(ctx context.Context, entries []store.LedgerEntry) ([]bool, error) {
	fresh := make([]bool, len(entries))
	for i := range entries {
		var err error
		if fresh[i], err = t.remember(ctx, &entries[i]); err != nil {
			return nil, err
		}
	}
	return fresh, nil
}

func (t *acceptTx) remember(ctx context.Context, r *store.LedgerEntry) (bool, error) {
	slice := ledgerSlice(r.Person)
	res, err := t.tx.ExecContext(ctx, rememberSQL, r.Organization, slice, r.Entity[:], r.Content[:], r.Person[:], int64(r.SeenAt))
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return n == 1, err
	}
	if r.Forget == 0 {
		return false, nil
	}
	var seen int64
	if err := t.tx.QueryRowContext(ctx, seenAtSQL, r.Organization, slice, r.Entity[:], r.Content[:]).Scan(&seen); err != nil {
		return false, err
	}
	if !r.Always && r.SeenAt.Sub(consent.Time(seen)) < r.Forget {
		return false, nil
	}
	_, err = t.tx.ExecContext(ctx, seeAgainSQL, int64(r.SeenAt), r.Organization, slice, r.Entity[:], r.Content[:])
	return err == nil, err
}

// ledgerSlice is the part of the ledger in which messages about a person are: the
// first byte of the key, as the database has it too.
func ledgerSlice(person store.PersonKey) []byte { return person[:1] }

// slicesSQL lists the slices of the ledger.
const slicesSQL = `WITH RECURSIVE bytes (n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM bytes WHERE n < 255)
	SELECT unhex(printf('%02x', n)) AS slice FROM bytes`

// peopleOfSQL looks for an event in every slice, for who was named is not known. Only
// deletions need it. In a ledger of a million messages, most of whose pages the system
// held, that took 1.5 ms: as long as to accept some ten messages.
const peopleOfSQL = `SELECT DISTINCT l.person, coalesce(p.user_id = '', 0) FROM (` + slicesSQL + `) s
	CROSS JOIN ledger l ON l.organization = ? AND l.slice = s.slice AND l.entity = ?
	LEFT JOIN people p ON p.organization = l.organization AND p.person = l.person
	ORDER BY l.person`

func (t *acceptTx) PeopleOf(ctx context.Context, organization string, entity store.Digest) ([]store.Named, error) {
	return query(ctx, t.tx, func(row store.Row) (n store.Named, err error) {
		var person []byte
		err = row.Scan(&person, &n.User)
		copy(n.Person[:], person)
		return n, err
	}, peopleOfSQL, organization, entity[:])
}

func (t *acceptTx) Bury(ctx context.Context, organization string, entity store.Digest, deletion store.ID, at consent.Time) error {
	_, err := t.tx.ExecContext(ctx, `INSERT INTO tombstones (organization, entity, deletion, at) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET at = min(at, excluded.at)`, organization, entity[:], deletion[:], int64(at))
	return err
}

func (t *acceptTx) Buried(ctx context.Context, organization string, entity store.Digest) (consent.Time, bool, error) {
	var at sql.NullInt64
	err := t.tx.QueryRowContext(ctx, buriedSQL, organization, entity[:]).Scan(&at)
	return consent.Time(at.Int64), at.Valid && err == nil, err
}

func (t *acceptTx) AttributeDeletions(ctx context.Context, organization string, entity store.Digest, person store.PersonKey) error {
	_, err := t.tx.ExecContext(ctx, attributeSQL, person[:], organization, entity[:], make([]byte, len(person)))
	return err
}

const (
	buriedSQL    = `SELECT min(at) FROM tombstones WHERE organization = ? AND entity = ?`
	attributeSQL = `UPDATE events SET person = ?1 WHERE organization = ?2
		AND id IN (SELECT deletion FROM tombstones WHERE organization = ?2 AND entity = ?3) AND person = ?4`
)

func (t *acceptTx) AnyBuried(ctx context.Context, organization string) (any bool, err error) {
	err = t.tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM tombstones WHERE organization = ?)`, organization).Scan(&any)
	return any, err
}

func (t *acceptTx) LoadSubjects(ctx context.Context, keys []store.SubjectKey) ([]*store.Subject, error) {
	return loadSubjects(ctx, t.tx, keys)
}

var subjectLookup = newLookup(`SELECT person, user_id, didomi_id, state, didomi_users FROM people WHERE organization = ? AND person`)

// loadSubjects reads subjects. Missing ones are left out.
func loadSubjects(ctx context.Context, r reader, keys []store.SubjectKey) (found []*store.Subject, err error) {
	for len(keys) > 0 {
		organization := keys[0].Organization
		var people []store.PersonKey
		for len(keys) > 0 && keys[0].Organization == organization {
			people = append(people, keys[0].Person)
			keys = keys[1:]
		}
		err := subjectLookup.each(people, []any{organization}, func(text string, args []any) error {
			some, err := query(ctx, r, scanSubject(organization), text, args...)
			found = append(found, some...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

func scanSubject(organization string) func(store.Row) (*store.Subject, error) {
	return func(row store.Row) (*store.Subject, error) {
		s := &store.Subject{Organization: organization}
		var person, state sql.RawBytes
		var users string
		if err := row.Scan(&person, &s.OrganizationUserID, &s.DidomiUserID, &state, &users); err != nil {
			return nil, err
		}
		copy(s.Key[:], person)
		if err := s.State.UnmarshalBinary(state); err != nil {
			return nil, err
		}
		return s, store.FromJSON(users, &s.DidomiUsers)
	}
}

func (t *acceptTx) SaveSubjects(ctx context.Context, subjects []*store.Subject) error {
	states, users := make([][]byte, len(subjects)), make([]string, len(subjects))
	for n, s := range subjects {
		var err error
		if states[n], err = s.State.AppendBinary(nil); err != nil {
			return err
		}
		if users[n], err = s.Users(); err != nil {
			return err
		}
	}
	return saveSubjects.run(ctx, t.tx, len(subjects), func(values []any, n int) []any {
		s := subjects[n]
		return append(values, s.Organization, s.Key[:], s.OrganizationUserID, s.DidomiUserID, states[n], users[n])
	})
}

func (t *acceptTx) InsertEvents(ctx context.Context, events []*store.Event) error {
	err := insertEvents.run(ctx, t.tx, len(events), func(values []any, n int) []any {
		e := events[n]
		return append(values, e.Organization, e.ID[:], string(e.Type), e.EntityID, e.Person[:],
			e.Regulation, int64(e.ConsentAt), int64(e.ArrivedAt), string(e.Outcome), e.Commitment[:])
	})
	if err != nil {
		return err
	}
	err = insertPayloads.run(ctx, t.tx, len(events), func(values []any, n int) []any {
		e := events[n]
		return append(values, e.Organization, e.ID[:], e.Salt[:], blob(e.Payload))
	})
	if err != nil {
		return err
	}
	for _, e := range events {
		if len(e.Trace) == 0 {
			continue
		}
		if _, err := t.tx.ExecContext(ctx, traceEventSQL, e.Trace, e.Organization, e.ID[:]); err != nil {
			return err
		}
	}
	return nil
}

func (t *acceptTx) MarkDue(ctx context.Context, due []store.Due) ([]bool, error) {
	marked := make([]bool, len(due))
	var rows []dueRow
	for i, d := range due {
		integrations, err := t.integrationsOf(ctx, d.Organization)
		if err != nil {
			return nil, err
		}
		marked[i] = len(integrations) > 0
		mark := func(integration string, target store.Target, events int) {
			k := store.DeliveryKey{Organization: d.Organization, Integration: integration, Target: target, Person: d.Person}
			rows = append(rows, dueRow{k, d.Class, d.ConsentAt, d.At, d.HoldGrants, events})
		}
		for _, id := range integrations {
			mark(id, store.TargetActito, d.Events)
		}
		if d.Tell != "" && slices.Contains(integrations, d.Tell) {
			mark(d.Tell, store.TargetDidomi, 0)
		}
	}
	return marked, markDue(ctx, t.tx, rows...)
}

func (t *acceptTx) integrationsOf(ctx context.Context, organization string) ([]string, error) {
	if ids, known := t.integrations[organization]; known {
		return ids, nil
	}
	ids, err := scanStrings(t.tx.QueryContext(ctx, integrationsOfSQL, organization))
	if err != nil {
		return nil, err
	}
	if t.integrations == nil {
		t.integrations = make(map[string][]string)
	}
	t.integrations[organization] = ids
	return ids, nil
}

func scanStrings(rows *sql.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}
