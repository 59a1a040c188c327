package store

import (
	"bytes"
	"cmp"
	"slices"

	"consentsync/internal/consent"
)

// loadSubjects reads and locks all that the batch touches: people first, then
// Didomi users, among them those of which something new is learnt. That is one
// order for all transactions, though it takes two steps: nobody who has locked
// a Didomi user locks a person after it (R9).
func (a *acceptance) loadSubjects() error {
	people, users := make(map[SubjectKey]consent.Subject), make(map[SubjectKey]consent.Subject)
	for i := range a.rows {
		r := &a.rows[i]
		if r.event == nil {
			continue
		}
		org := r.in.Organization
		// Whoever is told of later may have been erased, whatever it says.
		about := len(r.effects.Statements) > 0 || r.in.Source != AsTold && r.effects.Subject != (consent.Subject{})
		if about && r.effects.Subject.Person() {
			people[SubjectKey{org, r.person}] = r.effects.Subject
		} else if about {
			users[SubjectKey{org, r.person}] = r.effects.Subject
		}
		if r.effects.Unlink {
			users[a.userKey(r)] = consent.Subject{DidomiUserID: r.effects.DidomiUserID}
		}
	}
	for i := range a.rows {
		for _, key := range a.rows[i].buriedAt {
			k := SubjectKey{a.rows[i].in.Organization, key}
			_, person := people[k]
			_, user := users[k]
			switch {
			case person || user: // named already
			case a.users[k]:
				users[k] = consent.Subject{}
			default:
				people[k] = consent.Subject{}
			}
		}
	}
	if err := a.load(people); err != nil {
		return err
	}
	for i := range a.rows {
		r := &a.rows[i]
		if r.event == nil || r.effects.Link == nil {
			continue
		}
		person := a.subjects[SubjectKey{r.in.Organization, r.person}]
		seen, known := person.DidomiUsers[r.effects.DidomiUserID]
		if !known || r.effects.Link.Before(seen) {
			users[a.userKey(r)] = consent.Subject{DidomiUserID: r.effects.DidomiUserID}
		}
	}
	return a.load(users)
}

func (a *acceptance) userKey(r *row) SubjectKey {
	s := consent.Subject{DidomiUserID: r.effects.DidomiUserID}
	return SubjectKey{r.in.Organization, a.h.Person(r.in.Organization, s)}
}

func (a *acceptance) load(wanted map[SubjectKey]consent.Subject) error {
	if len(wanted) == 0 {
		return nil
	}
	keys := make([]SubjectKey, 0, len(wanted))
	for k := range wanted {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareSubjectKeys)
	subjects, err := a.tx.LoadSubjects(a.ctx, keys)
	if err != nil {
		return err
	}
	for _, s := range subjects {
		k := SubjectKey{s.Organization, s.Key}
		buried := s.Erased()
		if buried {
			s.Subject = wanted[k] // whoever was erased is known again by what they say
		}
		a.subjects[k] = &held{Subject: s, buried: buried}
	}
	for _, k := range keys {
		if _, found := a.subjects[k]; !found && wanted[k] != (consent.Subject{}) {
			a.subjects[k] = &held{Subject: &Subject{Organization: k.Organization, Key: k.Person, Subject: wanted[k]}}
		}
	}
	return nil
}

func compareSubjectKeys(a, b SubjectKey) int {
	return cmp.Or(cmp.Compare(a.Organization, b.Organization), bytes.Compare(a.Person[:], b.Person[:]))
}

// apply merges every message of the batch into the states, in the order of the
// batch; the merge does not depend on it.
func (a *acceptance) apply() error {
	for i := range a.rows {
		r := &a.rows[i]
		if r.event == nil {
			continue
		}
		var total consent.Change
		for _, s := range r.effects.Statements {
			total = a.change(r, SubjectKey{r.in.Organization, r.person}, s.At, total, func(h *held) consent.Change {
				spoken := !r.in.Live || h.State.Spoken()
				c := h.State.Apply(s)
				if c.Chose {
					r.choosing(s, spoken)
				}
				return c
			})
		}
		if a.forgotten(r) {
			r.event, r.receipt = nil, Receipt{Outcome: consent.Superseded}
			continue
		}
		if t := r.effects.Tombstone; t != nil {
			for _, k := range r.buriedAt {
				total = a.change(r, SubjectKey{r.in.Organization, k}, t.At, total, func(h *held) consent.Change { return h.State.Delete(*t) })
			}
		}
		if l := r.effects.Link; l != nil {
			a.identify(r, *l)
		}
		if r.effects.Unlink {
			total = a.change(r, a.userKey(r), r.arrived, total, func(h *held) consent.Change { return h.State.Leave() })
		}
		a.settleOutcome(r, total)
	}
	return nil
}

// forgotten tells whether a row is about somebody who was erased, and brings
// nothing but that back: then it leaves no more behind than the keyed hashes of
// the ledger. Only what is told at once is never forgotten.
func (a *acceptance) forgotten(r *row) bool {
	if r.in.Source == AsTold || r.effects.Subject == (consent.Subject{}) {
		return false
	}
	h := a.subjects[SubjectKey{r.in.Organization, r.person}]
	if h == nil || h.buried {
		return h != nil
	}
	fresh := slices.ContainsFunc(r.effects.Statements, func(s consent.Statement) bool { return !h.State.Forgot(&s) })
	return len(r.effects.Statements) > 0 && !fresh
}

// change applies f to a subject and makes the person behind it due.
func (a *acceptance) change(r *row, k SubjectKey, at consent.Time, total consent.Change, f func(*held) consent.Change) consent.Change {
	h := a.subjects[k]
	if h == nil || h.Erased() || h.buried && r.effects.Tombstone != nil && len(r.effects.Statements) == 0 {
		return total // the deletion of an event brings nobody back
	}
	c := f(h)
	if !c.Changed {
		return total
	}
	h.dirty, h.buried = true, false
	if h.Person() {
		a.makeDue(r, k, c, at)
	} else if linked := h.State.LinkedTo(); linked != "" {
		a.makeDue(r, a.personKey(r.in.Organization, linked), c, at)
	}
	return consent.Change{Changed: true, Withdrew: total.Withdrew || c.Withdrew}
}

// identify records that a Didomi user was seen under a person's id, on both
// sides, and makes due whoever gains or loses by it (R7).
func (a *acceptance) identify(r *row, l consent.Link) {
	org := r.in.Organization
	person := a.subjects[SubjectKey{org, r.person}]
	seen, known := person.DidomiUsers[r.effects.DidomiUserID]
	if !known || l.Before(seen) {
		if person.DidomiUsers == nil {
			person.DidomiUsers = make(consent.Links)
		}
		person.DidomiUsers[r.effects.DidomiUserID] = l
		person.dirty, person.buried = true, false
	}
	user := a.subjects[a.userKey(r)]
	if user == nil {
		return // nothing new about it
	}
	before := user.State.LinkedTo()
	hasChoices := !user.State.Silent()
	if !user.State.Identify(l).Changed {
		return
	}
	user.dirty = true
	if !hasChoices || before == user.State.LinkedTo() {
		return
	}
	// Whatever the Didomi user withdrew follows at once.
	c := consent.Change{Changed: true, Withdrew: true}
	a.makeDue(r, SubjectKey{org, r.person}, c, l.At)
	if before != "" {
		a.makeDue(r, a.personKey(org, before), c, l.At)
	}
}

func (a *acceptance) personKey(organization, userID string) SubjectKey {
	return SubjectKey{organization, a.h.Person(organization, consent.Subject{OrganizationUserID: userID})}
}

// makeDue makes a person due because of a row. What was not told by a webhook is
// no live withdrawal: so many may come of it that live ones would wait (R21). What
// comes out of a file turns nothing on before everybody was counted, which the end
// of the import begins (R23); its withdrawals do not wait for that.
func (a *acceptance) makeDue(r *row, k SubjectKey, c consent.Change, at consent.Time) {
	due := Due{SubjectKey: k, Class: Ordinary, ConsentAt: at, At: r.arrived, Tell: r.in.Tell}
	switch {
	case c.Withdrew && r.in.Source == AsTold:
		due.Class = LiveWithdrawal
	case c.Withdrew:
		due.Class = BackfilledRefusal
	}
	if r.in.Source == Imported {
		if !c.Withdrew {
			return
		}
		due.HoldGrants = true
		// What a file tells is of old: its turn is by when it came. By the dates in it
		// each would be put at a place of its own among all that are due.
		due.ConsentAt = r.arrived
	}
	r.due = append(r.due, len(a.due))
	a.due = append(a.due, due)
}

func (a *acceptance) settleOutcome(r *row, c consent.Change) {
	if r.effects.Outcome != consent.Applied {
		return
	}
	switch subject := a.subjects[SubjectKey{r.in.Organization, r.person}]; {
	case r.effects.Subject.DidomiUserID != "" && subject != nil && subject.State.LinkedTo() == "":
		r.event.Outcome = consent.Unlinked
	case !c.Changed && len(r.effects.Statements) > 0:
		r.event.Outcome = consent.Superseded
	}
	r.receipt.Outcome = r.event.Outcome
}

func (a *acceptance) save() error {
	var dirty []*Subject
	for _, h := range a.subjects {
		if h.dirty {
			dirty = append(dirty, h.Subject)
		}
	}
	slices.SortFunc(dirty, func(x, y *Subject) int {
		return compareSubjectKeys(SubjectKey{x.Organization, x.Key}, SubjectKey{y.Organization, y.Key})
	})
	if err := a.tx.SaveSubjects(a.ctx, dirty); err != nil {
		return err
	}
	var events []*Event
	for i := range a.rows {
		if e := a.rows[i].event; e != nil {
			events = append(events, e)
		}
	}
	if err := a.tx.InsertEvents(a.ctx, events); err != nil {
		return err
	}
	if err := a.intend(); err != nil {
		return err
	}
	return a.markDue()
}

// markDue makes each person due once, with the most urgent class of the batch.
func (a *acceptance) markDue() error {
	merged := make(map[SubjectKey]Due, len(a.due))
	for i := range a.rows {
		for n, j := range a.rows[i].due {
			d := a.due[j]
			old, held := merged[d.SubjectKey]
			d.Events = old.Events
			if !slices.ContainsFunc(a.rows[i].due[:n], func(k int) bool { return a.due[k].SubjectKey == d.SubjectKey }) {
				d.Events++ // once for each event, however much it says
			}
			if held && (old.Class < d.Class || old.Class == d.Class && old.ConsentAt <= d.ConsentAt) {
				old.Events = d.Events
				d = old
			}
			d.Tell = cmp.Or(d.Tell, old.Tell)
			d.HoldGrants = a.due[j].HoldGrants && (!held || old.HoldGrants) // live consent is never held
			merged[d.SubjectKey] = d
		}
	}
	list := make([]Due, 0, len(merged))
	for _, d := range merged {
		list = append(list, d)
	}
	slices.SortFunc(list, func(x, y Due) int { return compareSubjectKeys(x.SubjectKey, y.SubjectKey) })
	marked, err := a.tx.MarkDue(a.ctx, list)
	if err != nil {
		return err
	}
	hit := make(map[SubjectKey]bool, len(list))
	for i, d := range list {
		hit[d.SubjectKey] = marked[i]
	}
	for i := range a.rows {
		for _, j := range a.rows[i].due {
			a.rows[i].receipt.Due = a.rows[i].receipt.Due || hit[a.due[j].SubjectKey]
		}
	}
	return nil
}
