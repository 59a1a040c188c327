package store

import (
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/mail"
)

// occasion is what an event gives occasion to, and which event that is: of a
// user record the one that it names as its source, since that may come first.
type occasion struct {
	mail.Occasion
	eventID string
	at      consent.Time
}

// choosing notes that a statement changed what events say of a person.
func (r *row) choosing(s consent.Statement, spoken bool) {
	if !r.occasion.Chose {
		r.occasion = occasion{mail.Occasion{Chose: true, First: !spoken}, s.EventID, s.At}
	}
}

// waiting notes that an event waits for a confirmation.
func (r *row) waiting() {
	m := r.in.Message
	r.occasion = occasion{mail.Occasion{Pending: true}, m.EntityID, m.CreatedAt}
}

// intend stores which messages follow. Only what Didomi has just told by webhook
// causes any: not what is imported, caught up with, sent again or heard from
// Actito (R28).
func (a *acceptance) intend() error {
	var all []Message
	of := make(map[ID]*row)
	for i := range a.rows {
		r := &a.rows[i]
		if !r.in.Live || r.event == nil || !r.effects.Subject.Person() {
			continue
		}
		if r.effects.Outcome == consent.PendingApproval && (r.in.Message.Type == consent.EventCreated || r.in.Message.Type == consent.EventUpdated) {
			r.waiting()
		}
		causes := r.occasion.Causes()
		if len(causes) == 0 {
			continue
		}
		emails, err := a.tx.EmailsFor(a.ctx, r.in.Organization)
		if err != nil {
			return err
		}
		for _, e := range emails {
			if !e.Settings.Enabled || !slices.Contains(causes, e.Settings.EmailType) {
				continue
			}
			m, err := a.message(r, e)
			if err != nil {
				return err
			}
			of[m.ID] = r
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortStableFunc(all, func(x, y Message) int { return x.Compare(&y) })
	for i := range all {
		of[all[i].ID].receipt.Due = true
	}
	return a.tx.Intend(a.ctx, all)
}

// message makes one that an event causes. It is as old as the choice itself: of
// choices that Didomi tells long afterwards nobody wants a message.
func (a *acceptance) message(r *row, e *Email) (Message, error) {
	o := &r.occasion
	at := r.arrived
	if o.at > 0 {
		at = min(at, o.at)
	}
	body, err := mail.Order{UserID: r.effects.Subject.OrganizationUserID, EventID: o.eventID, At: at}.Encode()
	digest := a.h.Occasion(r.in.Organization, OfEvent, o.eventID)
	if o.eventID == "" { // then its content is what tells it apart
		digest = a.h.Content(r.in.Organization, r.in.Message.Type, r.in.Canonical)
	}
	return NewMessage(e, OfEvent, r.person, digest, at, r.arrived, body), err
}
