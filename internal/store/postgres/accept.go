package postgres

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// The advisory locks of a transaction, by class.
const (
	// lockOrganization: whoever accepts shares it, whoever makes or removes an
	// integration has it alone. So the people of a batch that does not know
	// the integration yet are there when it starts to compare everyone, and
	// no delivery is left behind for one that is gone.
	lockOrganization int32 = 0x636f6e01
	// lockEntity: whoever accepts an event shares it, whoever deletes one has
	// it alone; see store.LedgerEntry. The key is a byte of the event's
	// digest, which keeps the locks few.
	lockEntity int32 = 0x636f6e02
)

// Accept takes a batch of webhooks into one transaction.
func (e *Engine) Accept(ctx context.Context, batch []store.Inbound) (receipts []store.Receipt, err error) {
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		receipts, err = store.Accept(ctx, newAcceptTx(tx), e.hasher, batch, tx.now)
		return err
	})
	if err != nil {
		return nil, err
	}
	return receipts, nil
}

// acceptTx asks for a whole batch at once: a round trip costs more than a row.
type acceptTx struct {
	*tx
	buried map[string]bool           // whether an organization has tombstones
	emails map[string][]*store.Email // how organizations send messages
	unborn map[store.SubjectKey]bool // rows of people made to be locked
	writes pgx.Batch                 // sent with what comes last
}

var _ store.AcceptTx = (*acceptTx)(nil)

func newAcceptTx(tx *tx) *acceptTx {
	return &acceptTx{tx: tx, buried: make(map[string]bool), unborn: make(map[store.SubjectKey]bool)}
}

const (
	lockSQL = `SELECT CASE WHEN l.alone THEN pg_advisory_xact_lock(l.class, l.key) ELSE pg_advisory_xact_lock_shared(l.class, l.key) END
		FROM unnest($1::int[], $2::int[], $3::bool[]) AS l(class, key, alone)`
	rememberSQL = `INSERT INTO ledger (organization, entity, content, person, seen_at)
		SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[])
		ON CONFLICT DO NOTHING RETURNING organization, entity, content`
	seenAtSQL = `SELECT l.organization, l.entity, l.content, l.seen_at
		FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS u(organization, entity, content)
		JOIN ledger l ON l.organization = u.organization AND l.entity = u.entity AND l.content = u.content
		ORDER BY l.organization, l.entity, l.content FOR UPDATE OF l`
	seeAgainSQL  = `UPDATE ledger SET seen_at = $4 WHERE organization = $1 AND entity = $2 AND content = $3`
	anyBuriedSQL = `SELECT o FROM unnest($1::text[]) o WHERE EXISTS (SELECT 1 FROM tombstones WHERE organization = o)`
	peopleOfSQL  = `SELECT DISTINCT l.person, coalesce(p.user_id = '', false) FROM ledger l
		LEFT JOIN people p ON p.organization = l.organization AND p.person = l.person
		WHERE l.organization = $1 AND l.entity = $2 ORDER BY l.person`
	burySQL = `INSERT INTO tombstones AS t (organization, entity, deletion, at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (organization, entity, deletion) DO UPDATE SET at = least(t.at, excluded.at)`
	buriedSQL    = `SELECT min(at) FROM tombstones WHERE organization = $1 AND entity = $2`
	attributeSQL = `UPDATE events SET person = $1 WHERE organization = $2
		AND id = ANY(ARRAY(SELECT deletion FROM tombstones WHERE organization = $2 AND entity = $3))
		AND person IS NOT DISTINCT FROM $4` // which no index answers: of the others there may be many
)

// ledgerKey is the primary key of the ledger.
type ledgerKey struct {
	organization    string
	entity, content store.Digest
}

func keyOf(e *store.LedgerEntry) ledgerKey { return ledgerKey{e.Organization, e.Entity, e.Content} }

func (t *acceptTx) Remember(ctx context.Context, entries []store.LedgerEntry) ([]bool, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	var organizations []string
	var entities, contents, people [][]byte
	var seen []int64
	for i := range entries {
		e := &entries[i]
		organizations = append(organizations, e.Organization)
		entities, contents, people = append(entities, e.Entity[:]), append(contents, e.Content[:]), append(people, e.Person[:])
		seen = append(seen, int64(e.SeenAt))
	}
	fresh := make(map[ledgerKey]bool, len(entries))
	distinct := slices.Compact(slices.Clone(organizations)) // they are sorted
	var b pgx.Batch
	classes, keys, alone := locksOf(entries, distinct)
	b.Queue(lockSQL, classes, keys, alone)
	b.Queue(rememberSQL, organizations, entities, contents, people, seen).Query(func(rows pgx.Rows) error {
		var k ledgerKey
		var entity, content []byte
		_, err := pgx.ForEachRow(rows, []any{&k.organization, &entity, &content}, func() error {
			k.entity, k.content = store.Digest(entity), store.Digest(content)
			fresh[k] = true
			return nil
		})
		return err
	})
	b.Queue(emailsForSQL, distinct).Query(t.readEmails)
	b.Queue(anyBuriedSQL, distinct).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		for _, o := range distinct {
			t.buried[o] = slices.Contains(found, o)
		}
		return err
	})
	if err := t.run(ctx, &b); err != nil {
		return nil, err
	}
	return t.seeAgain(ctx, entries, fresh)
}

// locksOf gives the advisory locks for entries, sorted.
func locksOf(entries []store.LedgerEntry, organizations []string) (classes, keys []int32, alone []bool) {
	var shared []int32
	for _, o := range organizations {
		shared = append(shared, organizationKey(o))
	}
	slices.Sort(shared)
	for _, k := range slices.Compact(shared) {
		classes, keys, alone = append(classes, lockOrganization), append(keys, k), append(alone, false)
	}
	var used, deletes [256]bool
	for i := range entries {
		bucket := entries[i].Entity[0]
		used[bucket] = true
		deletes[bucket] = deletes[bucket] || entries[i].Deletes
	}
	for bucket := range used {
		if used[bucket] {
			classes, keys, alone = append(classes, lockEntity), append(keys, int32(bucket)), append(alone, deletes[bucket])
		}
	}
	return classes, keys, alone
}

func organizationKey(organization string) int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(organization))
	return int32(h.Sum32()) //nolint:gosec // any 32 bits will do
}

// lockOrganizationAlone waits until no batch of an organization is being
// accepted, and keeps others from it until the transaction ends.
func (t *tx) lockOrganizationAlone(ctx context.Context, organization string) error {
	_, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock($1, $2)`, lockOrganization, organizationKey(organization))
	return err
}

// shareOrganization waits until no integration of it is being made or removed.
func (t *tx) shareOrganization(ctx context.Context, organization string) error {
	_, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock_shared($1, $2)`, lockOrganization, organizationKey(organization))
	return err
}

// seeAgain goes through the entries in their order: which are new, and which
// count as new because they have not been seen for long.
func (t *acceptTx) seeAgain(ctx context.Context, entries []store.LedgerEntry, inserted map[ledgerKey]bool) ([]bool, error) {
	seen, err := t.seenAt(ctx, entries, inserted)
	if err != nil {
		return nil, err
	}
	fresh := make([]bool, len(entries))
	var b pgx.Batch
	for i := range entries {
		e := &entries[i]
		k := keyOf(e)
		if inserted[k] {
			fresh[i] = true
			seen[k] = e.SeenAt
			delete(inserted, k) // the next one like it is no longer new
			continue
		}
		if e.Forget == 0 || !e.Always && e.SeenAt.Sub(seen[k]) < e.Forget {
			continue
		}
		fresh[i], seen[k] = true, e.SeenAt
		b.Queue(seeAgainSQL, e.Organization, e.Entity[:], e.Content[:], int64(e.SeenAt))
	}
	return fresh, t.run(ctx, &b)
}

// seenAt reads and locks when entries were seen that may be forgotten. They
// were there when Remember began, so that whoever waits here for somebody
// waits for nothing that this transaction has added.
func (t *acceptTx) seenAt(ctx context.Context, entries []store.LedgerEntry, inserted map[ledgerKey]bool) (map[ledgerKey]consent.Time, error) {
	seen := make(map[ledgerKey]consent.Time)
	var organizations []string
	var entities, contents [][]byte
	for i := range entries {
		e := &entries[i]
		if e.Forget > 0 && !inserted[keyOf(e)] {
			organizations, entities, contents = append(organizations, e.Organization), append(entities, e.Entity[:]), append(contents, e.Content[:])
		}
	}
	if len(organizations) == 0 {
		return seen, nil
	}
	rows, err := t.Query(ctx, seenAtSQL, organizations, entities, contents)
	if err != nil {
		return nil, err
	}
	var k ledgerKey
	var entity, content []byte
	var at consent.Time
	_, err = pgx.ForEachRow(rows, []any{&k.organization, &entity, &content, &at}, func() error {
		k.entity, k.content = store.Digest(entity), store.Digest(content)
		seen[k] = at
		return nil
	})
	return seen, err
}

func (t *acceptTx) PeopleOf(ctx context.Context, organization string, entity store.Digest) ([]store.Named, error) {
	return collect(ctx, t, func(row pgx.CollectableRow) (n store.Named, err error) {
		var person []byte
		err = row.Scan(&person, &n.User)
		copy(n.Person[:], person)
		return n, err
	}, peopleOfSQL, organization, entity[:])
}

func (t *acceptTx) Bury(ctx context.Context, organization string, entity store.Digest, deletion store.ID, at consent.Time) error {
	t.buried[organization] = true
	_, err := t.Exec(ctx, burySQL, organization, entity[:], deletion[:], int64(at))
	return err
}

func (t *acceptTx) Buried(ctx context.Context, organization string, entity store.Digest) (consent.Time, bool, error) {
	var at *consent.Time
	err := t.QueryRow(ctx, buriedSQL, organization, entity[:]).Scan(&at)
	if err != nil || at == nil {
		return 0, false, err
	}
	return *at, true, nil
}

func (t *acceptTx) AttributeDeletions(ctx context.Context, organization string, entity store.Digest, person store.PersonKey) error {
	_, err := t.Exec(ctx, attributeSQL, person[:], organization, entity[:], make([]byte, len(person)))
	return err
}

// AnyBuried was read by Remember, under the locks that matter.
func (t *acceptTx) AnyBuried(_ context.Context, organization string) (bool, error) {
	return t.buried[organization], nil
}

const (
	bearSQL = `INSERT INTO people (organization, person, user_id, didomi_id, state)
		SELECT o, p, '', '', '' FROM unnest($1::text[], $2::bytea[]) AS u(o, p) ON CONFLICT DO NOTHING RETURNING organization, person`
	subjectColumns  = `p.organization, p.person, p.user_id, p.didomi_id, p.state, p.didomi_users`
	lockSubjectsSQL = `SELECT ` + subjectColumns + ` FROM unnest($1::text[], $2::bytea[]) AS u(o, k)
		JOIN people p ON p.organization = u.o AND p.person = u.k ORDER BY p.organization, p.person FOR UPDATE OF p`
	saveSubjectsSQL = `UPDATE people p SET user_id = u.user_id, didomi_id = u.didomi_id, state = u.state, didomi_users = u.didomi_users
		FROM unnest($1::text[], $2::bytea[], $3::text[], $4::text[], $5::bytea[], $6::text[]) AS u(o, k, user_id, didomi_id, state, didomi_users)
		WHERE p.organization = u.o AND p.person = u.k`
	unbearSQL = `DELETE FROM people WHERE organization = $1 AND person = $2`
)

// LoadSubjects inserts who is missing and then locks all (R9). Whoever waits to
// lock waits for somebody who was there before: what this transaction has
// inserted, others wait for only while they insert.
func (t *acceptTx) LoadSubjects(ctx context.Context, keys []store.SubjectKey) ([]*store.Subject, error) {
	var organizations []string
	var people [][]byte
	for i := range keys {
		organizations, people = append(organizations, keys[i].Organization), append(people, keys[i].Person[:])
	}
	var found []*store.Subject
	var b pgx.Batch
	b.Queue(bearSQL, organizations, people).Query(func(rows pgx.Rows) error {
		var k store.SubjectKey
		var person []byte
		_, err := pgx.ForEachRow(rows, []any{&k.Organization, &person}, func() error {
			k.Person = store.PersonKey(person)
			t.unborn[k] = true
			return nil
		})
		return err
	})
	b.Queue(lockSubjectsSQL, organizations, people).Query(func(rows pgx.Rows) (err error) {
		found, err = pgx.CollectRows(rows, scanSubject)
		return err
	})
	if err := t.run(ctx, &b); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(s *store.Subject) bool {
		return t.unborn[store.SubjectKey{Organization: s.Organization, Person: s.Key}]
	}), nil
}

func scanSubject(row pgx.CollectableRow) (*store.Subject, error) {
	var s store.Subject
	var person, state []byte
	var users string
	if err := row.Scan(&s.Organization, &person, &s.OrganizationUserID, &s.DidomiUserID, &state, &users); err != nil {
		return nil, err
	}
	s.Key = store.PersonKey(person)
	if len(state) == 0 { // made to be locked, by this transaction
		return &s, nil
	}
	return &s, errors.Join(s.State.UnmarshalBinary(state), store.FromJSON(users, &s.DidomiUsers))
}

func (t *acceptTx) SaveSubjects(ctx context.Context, subjects []*store.Subject) error {
	var organizations, ids, didomi, users []string
	var people, states [][]byte
	for _, s := range subjects {
		state, err := s.State.AppendBinary(nil)
		if err != nil {
			return err
		}
		linked, err := s.Users()
		if err != nil {
			return err
		}
		organizations, people = append(organizations, s.Organization), append(people, s.Key[:])
		ids, didomi = append(ids, s.OrganizationUserID), append(didomi, s.DidomiUserID)
		states, users = append(states, state), append(users, linked)
		delete(t.unborn, store.SubjectKey{Organization: s.Organization, Person: s.Key})
	}
	if len(subjects) > 0 {
		t.writes.Queue(saveSubjectsSQL, organizations, people, ids, didomi, states, users)
	}
	for k := range t.unborn {
		t.writes.Queue(unbearSQL, k.Organization, k.Person[:])
	}
	return nil
}

const (
	insertEventsSQL = `INSERT INTO events (organization, id, type, entity_id, person, regulation, consent_at, arrived_at, outcome, commitment)
		SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::bigint[], $8::bigint[], $9::text[], $10::bytea[])`
	traceEventSQL     = `UPDATE events SET trace = $1 WHERE organization = $2 AND id = $3`
	insertPayloadsSQL = `INSERT INTO payloads (organization, id, salt, body) SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::bytea[])`
)

func (t *acceptTx) InsertEvents(_ context.Context, events []*store.Event) error {
	if len(events) == 0 {
		return nil
	}
	var organizations, types, entities, regulations, outcomes []string
	var ids, people, commitments, salts, bodies [][]byte
	var consented, arrived []int64
	for _, e := range events {
		organizations, types, entities = append(organizations, e.Organization), append(types, string(e.Type)), append(entities, e.EntityID)
		regulations, outcomes = append(regulations, e.Regulation), append(outcomes, string(e.Outcome))
		ids, people, commitments = append(ids, e.ID[:]), append(people, e.Person[:]), append(commitments, e.Commitment[:])
		salts, bodies = append(salts, e.Salt[:]), append(bodies, blob(e.Payload))
		consented, arrived = append(consented, int64(e.ConsentAt)), append(arrived, int64(e.ArrivedAt))
	}
	t.writes.Queue(insertEventsSQL, organizations, ids, types, entities, people, regulations, consented, arrived, outcomes, commitments)
	t.writes.Queue(insertPayloadsSQL, organizations, ids, salts, bodies)
	for _, e := range events {
		if len(e.Trace) > 0 {
			t.writes.Queue(traceEventSQL, e.Trace, e.Organization, e.ID[:])
		}
	}
	return nil
}

// MarkDue comes last, and sends what was to be written before it.
func (t *acceptTx) MarkDue(ctx context.Context, due []store.Due) ([]bool, error) {
	marked := make(map[store.SubjectKey]bool, len(due))
	if len(due) > 0 {
		for i := range due {
			if due[i].Tell != "" {
				told := due[i]
				told.Events = 0
				queueMarks(&t.writes, told.Tell, store.TargetDidomi, []store.Due{told}, nil)
			}
		}
		queueMarks(&t.writes, "", store.TargetActito, due, func(rows pgx.Rows) error {
			var k store.SubjectKey
			var person []byte
			_, err := pgx.ForEachRow(rows, []any{&k.Organization, &person}, func() error {
				k.Person = store.PersonKey(person)
				marked[k] = true
				return nil
			})
			return err
		})
	}
	if err := t.run(ctx, &t.writes); err != nil {
		return nil, err
	}
	all := make([]bool, len(due))
	for i := range due {
		all[i] = marked[due[i].SubjectKey]
	}
	return all, nil
}

// queueMarks makes deliveries due, of one integration or of all if it is empty.
func queueMarks(b *pgx.Batch, integration string, target store.Target, due []store.Due, read func(pgx.Rows) error) {
	var organizations []string
	var people [][]byte
	var classes []int16
	var consented, at, events []int64
	var held []bool
	for i := range due {
		d := &due[i]
		organizations, people, classes = append(organizations, d.Organization), append(people, d.Person[:]), append(classes, int16(d.Class))
		consented, at, events, held = append(consented, int64(d.ConsentAt)), append(at, int64(d.At)), append(events, int64(d.Events)), append(held, d.HoldGrants)
	}
	q := b.Queue(markDueSQL, organizations, people, classes, consented, at, held, events, integration, string(target))
	if read != nil {
		q.Query(read)
	}
}

// markDueSQL makes deliveries due, whatever they were doing. One that is being
// called stays so and is seen to have a newer version when the call ends. One
// that waits keeps its time, so that a flood of updates cannot defeat the
// back-off; only a withdrawal shortens it, to 5 s after the last attempt.
//
// One that is in a bulk load stays in it, and is compared again when the load
// ends; only a withdrawal goes at once (R22).
//
// held says that its grants wait for a yes (R23). Live consent is never held,
// neither what it makes due nor what is due because of it.
const markDueSQL = `INSERT INTO deliveries AS d (organization, integration, target, person, state, class, consent_at, due_at, updated_at, held, marks)
SELECT u.o, i.id, $9::text, u.p, 'pending', u.class, u.consent_at, u.at, u.at, u.held, u.events
FROM unnest($1::text[], $2::bytea[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bool[], $7::bigint[]) AS u(o, p, class, consent_at, at, held, events)
CROSS JOIN LATERAL (SELECT id FROM integrations WHERE organization = u.o AND ($8 = '' OR id = $8) OFFSET 0) AS i
ORDER BY u.o COLLATE "C", u.p, i.id
ON CONFLICT (organization, integration, target, person) DO UPDATE SET
  version = d.version + 1, marks = d.marks + excluded.marks, held = excluded.held AND (d.held OR d.state NOT IN ('pending', 'in_flight', 'sent')),
  consent_at = CASE WHEN d.state IN ('pending', 'waiting') AND d.class <= excluded.class
                    THEN CASE WHEN d.class < excluded.class THEN d.consent_at ELSE least(d.consent_at, excluded.consent_at) END
                    ELSE excluded.consent_at END,
  due_at = CASE WHEN d.state IN ('pending', 'waiting') AND d.class <= excluded.class THEN d.due_at ELSE excluded.due_at END,
  class = CASE WHEN d.state IN ('pending', 'in_flight', 'waiting', 'sent') THEN least(d.class, excluded.class) ELSE excluded.class END,
  attempts = CASE WHEN d.state = 'failed' THEN 0 ELSE d.attempts END,
  next_at = CASE WHEN d.state <> 'waiting' THEN 0
                 WHEN excluded.class = 0 THEN least(d.next_at, d.attempted_at + 5000000)
                 ELSE d.next_at END,
  state = CASE WHEN d.state IN ('in_flight', 'waiting') OR d.state = 'sent' AND excluded.class > 0 THEN d.state ELSE 'pending' END
RETURNING d.organization, d.person`
