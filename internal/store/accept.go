package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"consentsync/internal/consent"
)

// Inbound is one webhook, authenticated and decoded, to be accepted.
type Inbound struct {
	Organization string
	Message      *consent.Message
	Canonical    []byte // for deduplication
	Payload      []byte // as it came
	// ArrivedAt is when it was accepted, by the database's clock; zero is now.
	ArrivedAt consent.Time
	// Tell is the integration through which Didomi is told of it, because it was
	// said in Actito; empty for what Didomi itself said.
	Tell string
	// Live says that Didomi told it by webhook, just now: only that causes
	// messages (R28).
	Live bool
	// Source is the way by which it came.
	Source Source
	// Trace is where in a trace it was accepted; nil for none.
	Trace []byte
}

// Urgent tells whether the message may turn something off.
func (in *Inbound) Urgent() bool {
	return in.Message.Withdraws() || in.Message.Type == consent.EventDeleted || in.Message.Type == consent.UserDeleted
}

// Whom gives the key of the person whom the message is about; zero for nobody.
func (in *Inbound) Whom(h *Hasher) (k PersonKey) {
	s := consent.Subject{OrganizationUserID: in.Message.OrganizationUserID}
	if s.OrganizationUserID == "" {
		s.DidomiUserID = in.Message.DidomiUserID
	}
	if s != (consent.Subject{}) {
		k = h.Person(in.Organization, s)
	}
	return k
}

// Receipt tells what became of an accepted webhook.
type Receipt struct {
	Event   ID        // zero for a duplicate
	Person  PersonKey // whom it was about; zero for nobody
	Outcome consent.Outcome
	// Due tells that an integration has something to do because of it.
	Due bool
}

// LedgerEntry is what is remembered of a message for ever, as keyed hashes.
type LedgerEntry struct {
	Organization string
	Entity       Digest
	Content      Digest
	// Person follows from what Entity and Content are hashes of, on which an engine may
	// rely in looking for the entry.
	Person PersonKey
	SeenAt consent.Time
	// Deletes says that the message deletes the event with this digest. An
	// engine with several writers lets nobody else accept that event, or one
	// that names it, until the transaction has ended: each would overlook the
	// other (R6).
	Deletes bool
	// Forget is how long ago the same entry must have been seen to count as
	// new again; zero is never. Always makes it count as new at once.
	Forget time.Duration
	Always bool
}

// Compare puts entries in the order in which they are locked (R9).
func (e *LedgerEntry) Compare(o *LedgerEntry) int {
	return cmp.Or(cmp.Compare(e.Organization, o.Organization), bytes.Compare(e.Entity[:], o.Entity[:]), bytes.Compare(e.Content[:], o.Content[:]))
}

// SubjectKey names a row of people.
type SubjectKey struct {
	Organization string
	Person       PersonKey
}

// Due makes the deliveries of a person due.
type Due struct {
	SubjectKey
	Class     Class
	ConsentAt consent.Time
	At        consent.Time
	Events    int // how many events make it due
	// Tell: see Inbound.
	Tell string
	// HoldGrants: see Delivery.
	HoldGrants bool
}

// Named is somebody whom an event was about. User tells that it is a Didomi
// user, and not a person.
type Named struct {
	Person PersonKey
	User   bool
}

// AcceptTx is what an engine offers within the transaction that accepts a
// batch. Each method is called with its rows sorted, so that all transactions
// take their locks in one order (R9).
type AcceptTx interface {
	// Remember adds entries to the ledger and tells which were new.
	Remember(ctx context.Context, entries []LedgerEntry) (fresh []bool, err error)
	// PeopleOf finds whom the event with this digest was about.
	PeopleOf(ctx context.Context, organization string, entity Digest) ([]Named, error)
	// Bury keeps a tombstone for an event, with the event of ours that is its
	// deletion.
	Bury(ctx context.Context, organization string, entity Digest, deletion ID, at consent.Time) error
	// Buried gives the time of the earliest tombstone of an event; ok is false
	// if there is none.
	Buried(ctx context.Context, organization string, entity Digest) (at consent.Time, ok bool, err error)
	// AttributeDeletions makes the deletions of an event, of which nobody knew
	// whom they were about, part of a person's history.
	AttributeDeletions(ctx context.Context, organization string, entity Digest, person PersonKey) error
	// AnyBuried tells whether the organization has tombstones at all.
	AnyBuried(ctx context.Context, organization string) (bool, error)
	// LoadSubjects reads and locks subjects; missing ones are left out. It is
	// called at most twice, for people and then for Didomi users.
	LoadSubjects(ctx context.Context, keys []SubjectKey) ([]*Subject, error)
	SaveSubjects(ctx context.Context, subjects []*Subject) error
	InsertEvents(ctx context.Context, events []*Event) error
	// MarkDue makes the deliveries of all integrations of the organization
	// due and tells for which of the entries there was one.
	MarkDue(ctx context.Context, due []Due) ([]bool, error)
	// EmailsFor gives how an organization sends messages.
	EmailsFor(ctx context.Context, organization string) ([]*Email, error)
	// Intend stores messages, but for those that are there: one with the same
	// type, event and person. It comes before MarkDue.
	Intend(ctx context.Context, messages []Message) error
}

// forgetAfter bounds how long equal content without an id counts as the same
// message (R1).
const forgetAfter = 15 * time.Minute

// Accept takes a batch of webhooks into one transaction: the ledger, the
// people, the events and the due rows, in this order (R9). now is the
// database's clock. The receipts stand in the order of the batch.
//
// It either does all of it or returns an error, after which the transaction
// must be rolled back.
func Accept(ctx context.Context, tx AcceptTx, h *Hasher, batch []Inbound, now consent.Time) ([]Receipt, error) {
	a := &acceptance{ctx: ctx, tx: tx, h: h, rows: make([]row, len(batch)), subjects: make(map[SubjectKey]*held, len(batch)), users: make(map[SubjectKey]bool)}
	for i := range batch {
		in := &batch[i]
		if err := Check(in.Message); err != nil {
			return nil, err
		}
		arrived := cmp.Or(in.ArrivedAt, now)
		a.rows[i] = row{in: in, arrived: arrived, effects: consent.Resolve(in.Message, arrived)}
		for j := range a.rows[i].effects.Statements {
			a.rows[i].effects.Statements[j].Retold = in.Source != AsTold
		}
	}
	for _, step := range []func() error{a.remember, a.exhume, a.loadSubjects, a.apply, a.save} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	receipts := make([]Receipt, len(batch))
	for i := range a.rows {
		receipts[i] = a.rows[i].receipt
		receipts[i].Person = a.rows[i].person
	}
	return receipts, nil
}

// Check refuses ids that the stored forms cannot hold: a text that is not UTF-8
// would come back as another, and PostgreSQL's texts have no NUL.
func Check(m *consent.Message) error {
	for _, id := range []string{m.EntityID, m.OrganizationUserID, m.DidomiUserID, m.Regulation} {
		if !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
			return consent.Errorf(consent.Invalid, "store.Accept", "an id is not valid UTF-8, or has a NUL in it")
		}
	}
	return nil
}

type row struct {
	in       *Inbound
	arrived  consent.Time
	effects  consent.Effects
	person   PersonKey   // of effects.Subject, zero if none
	buriedAt []PersonKey // whom a tombstone is about
	event    *Event      // nil for a duplicate
	receipt  Receipt
	due      []int // indexes into acceptance.due
	occasion occasion
}

type held struct {
	*Subject
	dirty bool
	// buried tells that the subject was erased, and that nothing has brought them
	// back yet.
	buried bool
}

type acceptance struct {
	ctx      context.Context
	tx       AcceptTx
	h        *Hasher
	rows     []row
	subjects map[SubjectKey]*held
	users    map[SubjectKey]bool // who of those named by tombstones is a Didomi user
	due      []Due
}

// remember drops duplicates (R1).
func (a *acceptance) remember() error {
	type entry struct {
		LedgerEntry
		row int // -1 for the entry of a cause
	}
	entries := make([]entry, 0, len(a.rows))
	for i := range a.rows {
		r := &a.rows[i]
		m, org := r.in.Message, r.in.Organization
		r.person = r.in.Whom(a.h)
		e := LedgerEntry{
			Organization: org,
			Entity:       a.h.Entity(org, m.Type.OfUser(), m.EntityID),
			Content:      a.h.Content(org, m.Type, r.in.Canonical),
			Person:       r.person,
			SeenAt:       r.arrived,
		}
		e.Deletes = r.effects.Tombstone != nil
		if m.EntityID == "" {
			e.Forget, e.Always = forgetAfter, m.Withdraws()
		}
		entries = append(entries, entry{e, i})
		if c := m.Cause; c != nil && c.EntityID != "" {
			// The cause's id must lead to the person too, should the event
			// be deleted before we ever saw its own message; and to every
			// person of whom it is named.
			entries = append(entries, entry{LedgerEntry{
				Organization: org, Entity: a.h.Entity(org, false, c.EntityID), Content: Digest(r.person), Person: r.person, SeenAt: r.arrived,
			}, -1})
		}
	}
	slices.SortStableFunc(entries, func(x, y entry) int { return x.Compare(&y.LedgerEntry) })
	plain := make([]LedgerEntry, len(entries))
	for i := range entries {
		plain[i] = entries[i].LedgerEntry
	}
	fresh, err := a.tx.Remember(a.ctx, plain)
	if err != nil {
		return err
	}
	for i, e := range entries {
		if e.row >= 0 && !fresh[i] {
			a.rows[e.row].receipt.Outcome = consent.Duplicate
		}
	}
	for i := range a.rows { // so that the ids have the order of the batch
		r := &a.rows[i]
		if r.receipt.Outcome == consent.Duplicate {
			continue
		}
		if r.event, err = a.newEvent(r); err != nil {
			return err
		}
		r.receipt = Receipt{Event: r.event.ID, Outcome: r.effects.Outcome}
	}
	return nil
}

func (a *acceptance) newEvent(r *row) (*Event, error) {
	m := r.in.Message
	e := &Event{
		Organization: r.in.Organization, ID: NewID(), Type: m.Type, EntityID: m.EntityID, Person: r.person,
		Regulation: m.Regulation, ArrivedAt: r.arrived, Outcome: r.effects.Outcome, Payload: r.in.Payload,
		Trace: r.in.Trace,
	}
	if len(r.effects.Statements) > 0 {
		e.ConsentAt = r.effects.Statements[0].At
	}
	if _, err := rand.Read(e.Salt[:]); err != nil {
		return nil, err
	}
	e.Commitment = Commit(e.Salt[:], e.Payload)
	return e, nil
}

// exhume brings deletions and events together, whichever came first (R6).
func (a *acceptance) exhume() error {
	any := make(map[string]bool)
	for i := range a.rows {
		r := &a.rows[i]
		t := r.effects.Tombstone
		if r.event == nil || t == nil {
			continue
		}
		entity := a.h.Entity(r.in.Organization, false, t.EventID)
		if err := a.tx.Bury(a.ctx, r.in.Organization, entity, r.event.ID, t.At); err != nil {
			return err
		}
		people, err := a.tx.PeopleOf(a.ctx, r.in.Organization, entity)
		if err != nil {
			return err
		}
		for _, p := range people {
			if p.Person == (PersonKey{}) {
				continue
			}
			r.buriedAt = append(r.buriedAt, p.Person)
			if p.User {
				a.users[SubjectKey{r.in.Organization, p.Person}] = true
			}
		}
		if len(r.buriedAt) > 0 && r.event.Person == (PersonKey{}) {
			r.event.Person = r.buriedAt[0]
		}
		any[r.in.Organization] = true
	}
	for i := range a.rows {
		r := &a.rows[i]
		org := r.in.Organization
		if r.event == nil || len(r.effects.Statements) == 0 {
			continue
		}
		has, asked := any[org]
		if !asked {
			var err error
			if has, err = a.tx.AnyBuried(a.ctx, org); err != nil {
				return err
			}
			any[org] = has
		}
		if !has {
			continue
		}
		if err := a.exhumeFor(r); err != nil {
			return err
		}
	}
	return nil
}

func (a *acceptance) exhumeFor(r *row) error {
	for _, s := range r.effects.Statements {
		if s.EventID == "" {
			continue
		}
		entity := a.h.Entity(r.in.Organization, false, s.EventID)
		at, ok, err := a.tx.Buried(a.ctx, r.in.Organization, entity)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		// The deletion is applied to the subject together with the event.
		r.effects.Tombstone = &consent.Tombstone{EventID: s.EventID, At: at}
		r.buriedAt = []PersonKey{r.person}
		if err := a.tx.AttributeDeletions(a.ctx, r.in.Organization, entity, r.person); err != nil {
			return err
		}
	}
	return nil
}
