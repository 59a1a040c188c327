package simulator

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

// Change is one change of a profile, by a call or by somebody in Actito.
type Change struct {
	At   time.Time
	Kind Kind // update, create, replace, mail or delete
	// Edit is set when no call made the change but PutProfile or DeleteProfile.
	Edit bool
	// Load is the id of the execution when a load made it.
	Load          string
	Entity, Table string
	// Before is the zero Profile when there was none, After when there is none.
	Before, After Profile
}

// OnChange has f called after every change, one at a time, in the order in which
// they were made and before the call that made it is answered. f may read the
// simulator but must not change a profile in it.
func (a *Actito) OnChange(f func(Change)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.onChange = f
}

// AddTable makes a profile table, and its entity if need be. The technical
// attributes are added when they are missing. It replaces a table of the same id,
// profiles and all.
func (a *Actito) AddTable(entityName string, def Table) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.madeEntity(entityName)
	t := newTable(def)
	for i, old := range e.tables {
		if old.ID == t.ID {
			e.tables[i] = t
			return
		}
	}
	e.tables = append(e.tables, t)
}

// madeEntity gives an entity that is made if need be, with Actito.mu held.
func (a *Actito) madeEntity(name string) *entity {
	e := a.entity(name)
	if e == nil {
		e = &entity{id: len(a.entities) + 1, name: name}
		a.entities = append(a.entities, e)
	}
	return e
}

// RemoveTable makes a table answer 404, until RestoreTable.
func (a *Actito) RemoveTable(entity, id string) { a.setRemoved(entity, id, true) }

// RestoreTable brings a removed table back with its profiles.
func (a *Actito) RestoreTable(entity, id string) { a.setRemoved(entity, id, false) }

func (a *Actito) setRemoved(entity, id string, removed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e := a.entity(entity); e != nil {
		for _, t := range e.tables {
			if t.ID == id {
				t.removed = removed
			}
		}
	}
}

// AddSubscription adds a subscription, off for everybody.
func (a *Actito) AddSubscription(entity, table, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, err := a.table(entity, table)
	if err != nil || slices.Contains(t.Subscriptions, name) {
		return
	}
	t.Subscriptions = append(t.Subscriptions, name)
	for _, p := range t.profiles {
		p.Subscriptions[name] = false
	}
}

// RemoveSubscription removes a subscription and what everybody chose for it.
func (a *Actito) RemoveSubscription(entity, table, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, err := a.table(entity, table)
	if err != nil {
		return
	}
	t.Subscriptions = slices.DeleteFunc(t.Subscriptions, func(s string) bool { return s == name })
	for _, p := range t.profiles {
		delete(p.Subscriptions, name)
	}
}

// Profile gives a copy of the profile that has a unique attribute's value. The
// attribute may be profileId.
func (a *Actito) Profile(entity, table, attr, value string) (Profile, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, p, err := a.existing(&request{entity: entity, table: table, key: profileKey{attr, value}})
	if err != nil {
		return Profile{}, false
	}
	return p.clone(), true
}

// Profiles gives copies of a table's profiles, by id.
func (a *Actito) Profiles(entity, table string) []Profile {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, err := a.table(entity, table)
	if err != nil {
		return nil
	}
	return t.all()
}

func (t *table) all() []Profile {
	out := make([]Profile, 0, len(t.profiles))
	for _, p := range t.profiles {
		out = append(out, p.clone())
	}
	slices.SortFunc(out, func(x, y Profile) int { return cmp.Compare(x.ID, y.ID) })
	return out
}

// PutProfile does what somebody who works in Actito does: it changes the
// attributes and subscriptions given of the profile that has one of the unique
// values among them, and makes a new profile if none has. Attributes may name a
// profileId to say which profile. It gives the profile's id.
func (a *Actito) PutProfile(entity, table string, attributes map[string]any, subscriptions map[string]bool) (int64, error) {
	attributes = maps.Clone(attributes)
	subs := map[string]any{}
	for name, on := range subscriptions {
		subs[name] = on
	}
	c := Change{At: a.opts.Now(), Kind: KindUpdate, Edit: true, Entity: entity, Table: table}
	err := a.write(&c, func() error {
		t, err := a.table(entity, table)
		if err != nil {
			return err
		}
		p, err := t.sought(attributes)
		if err != nil {
			return err
		}
		next := t.blank()
		if p != nil {
			next, c.Before = p.clone(), p.clone()
		} else {
			c.Kind = KindCreate
		}
		delete(attributes, attrProfileID)
		if err := t.merge(&next, attributes, subs); err != nil {
			return err
		}
		err = t.put(&next, c.At)
		c.After = next.clone()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("simulator: put profile: %w", err)
	}
	return c.After.ID, nil
}

// sought finds the profile that has a unique value among the attributes given.
func (t *table) sought(attributes map[string]any) (*Profile, error) {
	if id, ok := attributes[attrProfileID]; ok {
		p, err := t.find(profileKey{attrProfileID, text(id)})
		if err == nil && p == nil {
			err = refuse(http.StatusNotFound, "there is no such profile")
		}
		return p, err
	}
	for _, a := range t.Attributes {
		index, unique := t.unique[a.Name]
		v, given := attributes[a.Name]
		if unique && given && v != nil {
			if p := t.profiles[index[text(v)]]; p != nil {
				return p, nil
			}
		}
	}
	return nil, nil
}

// DeleteProfile deletes a profile as somebody who works in Actito does, and
// tells whether there was one.
func (a *Actito) DeleteProfile(entity, table, attr, value string) bool {
	q := &request{entity: entity, table: table, key: profileKey{attr, value}}
	c := Change{At: a.opts.Now(), Kind: KindDelete, Edit: true, Entity: entity, Table: table}
	return a.write(&c, func() error {
		_, err := a.remove(q, &c)
		return err
	}) == nil
}
