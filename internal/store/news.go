package store

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"consentsync/internal/consent"
)

// TargetDidomi is what the organization's Didomi holds of a person.
const TargetDidomi Target = "didomi"

// News is a change of a profile that Actito told of.
type News struct {
	IntegrationKey
	NewsID    ID
	ArrivedAt consent.Time
	Attempts  int
	Told
	// Canonical is what tells it apart from other news, and EventID Actito's id
	// of it, empty if it told none. Neither is stored as it is.
	Canonical []byte
	EventID   string
	// Identity is what is stored of the two.
	Identity
}

// Identity is by what news are known again, as keyed hashes. It is zero of what
// was stored by a version that knew them again when they came.
type Identity struct {
	Entity, Content Digest
	// Named says that Entity holds an id to rely on.
	Named bool
}

// Told is what Actito said. What it did not say is empty.
type Told struct {
	ProfileID     string            `json:"profile_id,omitempty"`
	Keys          map[string]string `json:"keys,omitempty"` // attributes of the profile
	Subscriptions map[string]bool   `json:"subscriptions,omitempty"`
	Created       bool              `json:"created,omitempty"` // the profile is new
	Trace         []byte            `json:"trace,omitempty"`   // where in a trace it was accepted
}

// Withdraws tells whether it says that a subscription is off.
func (t *Told) Withdraws() bool {
	for _, on := range t.Subscriptions {
		if !on {
			return true
		}
	}
	return false
}

// Identify gives the identity of news. A number is no id to rely on: in what was
// seen of Actito's webhooks it may be the webhook's own, which stays the same for
// all that it tells.
func (n *News) Identify(h *Hasher) Identity {
	return Identity{
		Entity: h.News(n.Organization, n.ID, n.EventID), Content: h.Content(n.Organization, consent.SubscriptionChanged, n.Canonical),
		Named: strings.Trim(n.EventID, "0123456789") != "",
	}
}

// Entry is how news are remembered, so that the same are not taken twice: by
// Actito's id only together with what it says (R27), and without an id for a
// quarter of an hour, but never where something is refused (R1).
func (n *News) Entry() LedgerEntry {
	e := LedgerEntry{Organization: n.Organization, Entity: n.Entity, Content: n.Content, SeenAt: n.ArrivedAt}
	if !n.Named {
		e.Forget, e.Always = forgetAfter, n.Withdraws()
	}
	return e
}

// Remember remembers news within a transaction, and tells whether they were not
// remembered before.
func (n *News) Remember(ctx context.Context, tx AcceptTx) (fresh bool, err error) {
	if n.Identity == (Identity{}) {
		return true, nil
	}
	remembered, err := tx.Remember(ctx, []LedgerEntry{n.Entry()})
	return err == nil && remembered[0], err
}

// RepeatedBy tells whether news are the same as some that were remembered with
// this time.
func (n *News) RepeatedBy(seen consent.Time) bool {
	e := n.Entry()
	return !e.Always && (e.Forget == 0 || e.SeenAt.Sub(seen) < e.Forget)
}

// First is since when news may be looked into: refusals stand before all else.
func (n *News) First(now consent.Time) consent.Time {
	if n.Withdraws() {
		return 0
	}
	return now
}

// Heard is what news turned out to be, to be recorded in one step.
type Heard struct {
	*News
	// Person is whom they are about; zero if there is nobody.
	Person PersonKey
	UserID string
	// ProfileID is Actito's own id of the profile, if it is known by now.
	ProfileID string
	// Statements follow from it, as if they had come by webhook. Didomi is told
	// of them.
	Statements []Inbound
	// Confirm is what the profile holds now, Doubt what has to be written again.
	Confirm, Doubt consent.Difference
	// SeenOn are the subscriptions that were told to be on.
	SeenOn []string
	// Again makes the person due who was unmatched, because there is a profile.
	Again bool
}

// Learn gives what is known of the profile once this was heard.
func (h *Heard) Learn(known consent.Known, now consent.Time) consent.Known {
	return known.Confirm(h.Confirm, now).Heard(h.Doubt, h.SeenOn, now)
}

// EchoWindow is for how long an own write may come back as news.
const EchoWindow = 10 * time.Minute

// OwnWrites sorts what was written by subscription, the oldest first.
func OwnWrites(calls, rows []Written) map[string][]consent.OwnWrite {
	writes := make(map[string][]consent.OwnWrite)
	for _, w := range slices.Concat(calls, rows) {
		for name, on := range w.Subscriptions {
			writes[name] = append(writes[name], consent.OwnWrite{On: on, At: w.At})
		}
	}
	for _, list := range writes {
		slices.SortStableFunc(list, func(a, b consent.OwnWrite) int { return cmp.Compare(a.At, b.At) })
	}
	return writes
}
