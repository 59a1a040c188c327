package simulator

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// didomiUser is a Didomi user with what holds of one regulation.
type didomiUser struct {
	User    // without choices
	choices map[leaf]dated
}

// leaf is where a choice stands in a user's consents: below a purpose, a
// preference or both, or a channel alone. Of values there is one for each
// preference.
type leaf struct {
	purpose, preference, channel string
	values                       bool
}

// dated is a choice with the date of the event that made it.
type dated struct {
	at      time.Time
	enabled *bool
	chosen  []string
}

// said gives the choices that an event makes. Null makes none.
func (e *consentEvent) said() map[leaf]dated {
	said := map[leaf]dated{}
	say := func(l leaf, n choiceNode) {
		if n.Enabled != nil {
			said[l] = dated{at: e.at, enabled: n.Enabled}
		}
	}
	channels := func(l leaf, list []choiceNode) {
		for _, c := range list {
			l.channel = c.ID
			say(l, c)
		}
	}
	channels(leaf{}, e.Consents.Channels)
	for _, p := range e.Consents.Purposes {
		say(leaf{purpose: p.ID}, p)
		channels(leaf{purpose: p.ID}, p.Channels)
		for _, q := range p.Preferences {
			say(leaf{purpose: p.ID, preference: q.ID}, q)
			channels(leaf{purpose: p.ID, preference: q.ID}, q.Channels)
		}
		for preference, v := range p.Values {
			chosen := slices.DeleteFunc(strings.Split(v.Value, ","), func(id string) bool { return id == "" })
			said[leaf{purpose: p.ID, preference: preference, values: true}] = dated{at: e.at, chosen: chosen}
		}
	}
	return said
}

// merge applies an event to its user, unless it awaits approval: of each choice
// the latest event counts, of equal dates the one that came last
// (https://developers.didomi.io/api/consents/events).
func (d *DidomiAPI) merge(e *consentEvent) {
	if e.Status != "confirmed" {
		return
	}
	u := d.userFor(e)
	for l, c := range e.said() {
		if held, ok := u.choices[l]; !ok || !c.at.Before(held.at) {
			u.choices[l] = c
		}
	}
	u.OrganizationUserID = cmp.Or(u.OrganizationUserID, e.User.OrganizationUserID)
	u.Country = cmp.Or(e.User.Country, u.Country)
	if e.User.Metadata != nil {
		metadata := map[string]any{}
		maps.Copy(metadata, u.Metadata)
		maps.Copy(metadata, e.User.Metadata)
		u.Metadata = metadata
	}
	u.UpdatedAt = d.opts.Now()
	u.Version++
}

// userID gives the id of the user that an event is about: the one it names, the
// one of its organization user id, else a new one.
func (d *DidomiAPI) userID(e *consentEvent) string {
	id := e.User.ID
	for _, u := range d.users {
		if id == "" && e.User.OrganizationUserID != "" && u.OrganizationUserID == e.User.OrganizationUserID {
			id = u.ID
		}
	}
	return cmp.Or(id, newUUID())
}

func (d *DidomiAPI) userFor(e *consentEvent) *didomiUser {
	for _, u := range d.users {
		if u.ID == e.User.ID && u.Regulation == e.Regulation {
			return u
		}
	}
	u := &didomiUser{
		User:    User{ID: e.User.ID, Regulation: e.Regulation, CreatedAt: d.opts.Now()},
		choices: map[leaf]dated{},
	}
	d.users = append(d.users, u)
	return u
}

// PutUser adds a user, or replaces the one of the same id and regulation. Its
// choices are as old as the user's last update.
func (d *DidomiAPI) PutUser(u User) {
	u.Regulation = cmp.Or(u.Regulation, "gdpr")
	at := u.UpdatedAt
	if at.IsZero() {
		at = u.CreatedAt
	}
	put := &didomiUser{choices: map[leaf]dated{}}
	channels := func(l leaf, list Choices) {
		for id, enabled := range list {
			l.channel = id
			put.choices[l] = dated{at: at, enabled: enabled}
		}
	}
	channels(leaf{}, u.Channels)
	for id, enabled := range u.Purposes {
		put.choices[leaf{purpose: id}] = dated{at: at, enabled: enabled}
	}
	for purpose, preferences := range u.Values {
		for preference, chosen := range preferences {
			put.choices[leaf{purpose: purpose, preference: preference, values: true}] = dated{at: at, chosen: chosen}
		}
	}
	for purpose, p := range u.Tree {
		put.choices[leaf{purpose: purpose}] = dated{at: at, enabled: p.Enabled}
		channels(leaf{purpose: purpose}, p.Channels)
		for preference, q := range p.Preferences {
			put.choices[leaf{purpose: purpose, preference: preference}] = dated{at: at, enabled: q.Enabled}
			channels(leaf{purpose: purpose, preference: preference}, q.Channels)
		}
	}
	u.Purposes, u.Channels, u.Values, u.Tree = nil, nil, nil, nil
	put.User = u

	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.IndexFunc(d.users, func(old *didomiUser) bool { return old.ID == u.ID && old.Regulation == u.Regulation }); i >= 0 {
		d.users[i] = put
		return
	}
	d.users = append(d.users, put)
}

// User gives what holds of a person under a regulation, gdpr when it is empty.
func (d *DidomiAPI) User(organizationUserID, regulation string) (User, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, u := range d.users {
		if u.OrganizationUserID == organizationUserID && u.Regulation == cmp.Or(regulation, "gdpr") {
			return u.shown(), true
		}
	}
	return User{}, false
}

// shown gives the user with its choices. A purpose is in Purposes, or in Tree
// when something hangs below it.
func (u *didomiUser) shown() User {
	out := u.User
	out.Purposes, out.Channels, out.Values, out.Tree = Choices{}, Choices{}, map[string]map[string][]string{}, Tree{}
	// A purpose comes before what hangs below it.
	byDepth := slices.SortedFunc(maps.Keys(u.choices), func(a, b leaf) int {
		return cmp.Or(cmp.Compare(a.preference, b.preference), cmp.Compare(a.channel, b.channel))
	})
	for _, l := range byDepth {
		c := u.choices[l]
		switch {
		case l.purpose == "":
			out.Channels[l.channel] = c.enabled
		case l.values:
			if out.Values[l.purpose] == nil {
				out.Values[l.purpose] = map[string][]string{}
			}
			out.Values[l.purpose][l.preference] = c.chosen
		case l.preference == "" && l.channel == "":
			out.Purposes[l.purpose] = c.enabled
		default:
			out.grow(l, c.enabled)
		}
	}
	return out
}

// grow puts what hangs below a purpose into the tree.
func (u *User) grow(l leaf, enabled *bool) {
	p, ok := u.Tree[l.purpose]
	if !ok {
		p = Node{Enabled: u.Purposes[l.purpose], Preferences: Tree{}, Channels: Choices{}}
		u.Tree[l.purpose] = p
		delete(u.Purposes, l.purpose)
	}
	if l.preference == "" {
		p.Channels[l.channel] = enabled
		return
	}
	q, ok := p.Preferences[l.preference]
	if !ok {
		q = Node{Channels: Choices{}}
	}
	if l.channel == "" {
		q.Enabled = enabled
	} else {
		q.Channels[l.channel] = enabled
	}
	p.Preferences[l.preference] = q
}

// listUsers gives users of a regulation page by page; the last page's cursor is
// null (https://developers.didomi.io/api-and-platform/consents/users/query-user).
func (d *DidomiAPI) listUsers(q *didomiRequest) outcome {
	only := q.query.Get("organization_user_id")
	regulations := slices.Concat(q.query["regulation"], q.query["regulation[$in]"])
	if len(regulations) == 0 {
		regulations = []string{"gdpr"}
	}
	start, err := strconv.Atoi(cmp.Or(q.query.Get("$cursor"), "0"))
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil || start < 0 || start > len(d.users) {
		return didomiRefusal(refuse(http.StatusBadRequest, "Invalid cursor"))
	}
	data, cursor := []map[string]any{}, any(nil)
	for i, u := range d.users[start:] {
		if only != "" && u.OrganizationUserID != only || !slices.Contains(regulations, u.Regulation) {
			continue
		}
		if len(data) == d.opts.PageSize {
			cursor = strconv.Itoa(start + i)
			break
		}
		data = append(data, u.shown().entity(d.opts.Organization))
	}
	return answer(http.StatusOK, map[string]any{"data": data, "limit": d.opts.PageSize, "cursor": cursor})
}
