package store

import (
	"errors"
	"slices"

	"consentsync/internal/consent"
)

// Compared is a person beside how far the delivery of one integration to their
// profile is: all that comparing the two needs.
type Compared struct {
	Key PersonKey
	// Err tells that what is stored of the person cannot be read; all below is
	// empty then.
	Err    error
	Person Person
	Standing
}

// Standing is how far a delivery is, as far as a comparison asks.
type Standing struct {
	State      DeliveryState // empty if it was never made due
	HoldGrants bool
	// Readback tells that a read of the profile is to follow.
	Readback  bool
	Known     consent.Known
	LastError string
	UpdatedAt consent.Time
}

// StandingOf gives how far a delivery is.
func StandingOf(d *Delivery) Standing {
	return Standing{
		State: d.State, HoldGrants: d.HoldGrants, Readback: d.Readback > 0 || d.ReadbackAt > 0, Known: d.Known, LastError: d.LastError, UpdatedAt: d.UpdatedAt,
	}
}

// Closing tells whether what differs is about to be closed anyway, because of
// the person's own live consent, which waits for nobody's yes (R23): the
// delivery is due, in flight or in a bulk load.
func (s Standing) Closing() bool {
	return !s.HoldGrants && slices.Contains([]DeliveryState{Pending, InFlight, Sent}, s.State)
}

// StoredComparison is a row of a page of comparisons as the engines keep it.
type StoredComparison struct {
	Person                  []byte
	UserID, DidomiID, Users string
	Binary                  []byte // the person's state
	State                   DeliveryState
	HoldGrants, Readback    bool
	Known, LastError        string
	UpdatedAt               consent.Time
}

// Compared reads the row. The state of the person shares no memory with it.
func (r *StoredComparison) Compared(organization string) *Compared {
	c := &Compared{}
	copy(c.Key[:], r.Person)
	c.Person.Subject = Subject{
		Organization: organization, Key: c.Key, Subject: consent.Subject{OrganizationUserID: r.UserID, DidomiUserID: r.DidomiID},
	}
	c.Standing = Standing{State: r.State, HoldGrants: r.HoldGrants, Readback: r.Readback, LastError: r.LastError, UpdatedAt: r.UpdatedAt}
	c.Err = c.Person.State.UnmarshalBinary(r.Binary)
	c.Err = errors.Join(c.Err, FromJSON(r.Users, &c.Person.DidomiUsers), FromJSON(r.Known, &c.Known))
	if c.Err != nil {
		*c = Compared{Key: c.Key, Err: c.Err}
	}
	return c
}

// LinkedUsers lists the keys of the Didomi users that a page needs, sorted.
func LinkedUsers(h *Hasher, page []*Compared) []PersonKey {
	var keys []PersonKey
	for _, c := range page {
		for id := range c.Person.DidomiUsers {
			keys = append(keys, h.Person(c.Person.Organization, consent.Subject{DidomiUserID: id}))
		}
	}
	slices.SortFunc(keys, PersonKey.compare)
	return slices.Compact(keys)
}

// Link gives everybody of a page the Didomi users that are linked to them; nil
// stands for one that cannot be read, who may have withdrawn what the person
// granted, so that nothing is known of the person either.
func Link(h *Hasher, page []*Compared, users map[PersonKey]*consent.State) {
	for _, c := range page {
		for id := range c.Person.DidomiUsers {
			state, found := users[h.Person(c.Person.Organization, consent.Subject{DidomiUserID: id})]
			if found && state == nil {
				*c = Compared{Key: c.Key, Err: consent.Errorf(consent.Internal, "store.Link", "the stored state of a linked Didomi user cannot be read")}
				break
			}
			if found && state.LinkedTo() == c.Person.OrganizationUserID {
				c.Person.Linked = append(c.Person.Linked, state)
			}
		}
	}
}

// ReadUser reads the stored state of a Didomi user for Link.
func ReadUser(binary []byte) *consent.State {
	state := &consent.State{}
	if state.UnmarshalBinary(binary) != nil {
		return nil
	}
	return state
}
