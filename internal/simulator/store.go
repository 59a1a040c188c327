package simulator

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Profile is one person's record. Attributes holds the attributes that have a
// value, without the technical ones; Subscriptions holds every subscription of
// the table.
type Profile struct {
	ID            int64           `json:"profileId"`
	Attributes    map[string]any  `json:"attributes"`
	Subscriptions map[string]bool `json:"subscriptions"`
	Created       time.Time       `json:"created"`
	Updated       time.Time       `json:"updated"`
}

func (p Profile) clone() Profile {
	p.Attributes = maps.Clone(p.Attributes)
	for name, v := range p.Attributes {
		if list, ok := v.([]any); ok {
			p.Attributes[name] = slices.Clone(list)
		}
	}
	p.Subscriptions = maps.Clone(p.Subscriptions)
	return p
}

type entity struct {
	id     int
	name   string
	tables []*table
	etls   []ETL

	campaigns []Campaign
}

// table is a profile table with its profiles. Its methods are called with
// Actito.mu held.
type table struct {
	Table
	removed  bool
	lastID   int64
	profiles map[int64]*Profile
	// unique finds a profile by a unique attribute's value, written as text.
	unique map[string]map[string]int64
}

func newTable(def Table) *table {
	t := &table{Table: def.complete(), profiles: map[int64]*Profile{}, unique: map[string]map[string]int64{}}
	for _, a := range t.Attributes {
		if a.Unique && !isTechnical(a.Name) {
			t.unique[a.Name] = map[string]int64{}
		}
	}
	return t
}

// find gives a profile, or nil when there is none.
func (t *table) find(key profileKey) (*Profile, error) {
	if key.attr == attrProfileID {
		id, err := strconv.ParseInt(key.value, 10, 64)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "a profileId is a number")
		}
		return t.profiles[id], nil
	}
	index, ok := t.unique[key.attr]
	if !ok {
		return nil, refuse(http.StatusBadRequest, "%s is not a unique attribute of this table", key.attr)
	}
	return t.profiles[index[key.value]], nil
}

// blank gives an empty profile that has the table's subscriptions, all off.
func (t *table) blank() Profile {
	p := Profile{Attributes: map[string]any{}, Subscriptions: map[string]bool{}}
	for _, name := range t.Subscriptions {
		p.Subscriptions[name] = false
	}
	return p
}

// merge puts values into a profile that is not stored yet. Every value that
// cannot be taken is named in the error.
func (t *table) merge(p *Profile, attributes, subscriptions map[string]any) error {
	var bad []error
	for name, v := range attributes {
		a, ok := t.attribute(name)
		switch {
		case !ok:
			bad = append(bad, fmt.Errorf("%s is not an attribute of this table", name))
		case isTechnical(name):
			bad = append(bad, fmt.Errorf("%s cannot be written", name))
		case v == nil:
			delete(p.Attributes, name)
		default:
			n, err := a.normalise(v)
			if err != nil {
				bad = append(bad, err)
			}
			p.Attributes[name] = n
		}
	}
	for name, v := range subscriptions {
		on, isBool := v.(bool)
		switch {
		case !slices.Contains(t.Subscriptions, name):
			bad = append(bad, fmt.Errorf("%s is not a subscription of this table", name))
		case !isBool:
			bad = append(bad, fmt.Errorf("subscription %s takes true or false", name))
		default:
			p.Subscriptions[name] = on
		}
	}
	return badRequest(bad)
}

// put stores a profile, a new one when it has no id. It stores all of it or
// nothing.
func (t *table) put(p *Profile, now time.Time) error {
	var bad []error
	for _, a := range t.Attributes {
		v, has := p.Attributes[a.Name]
		if a.Mandatory && !isTechnical(a.Name) && (!has || v == "") {
			bad = append(bad, fmt.Errorf("%s has to have a value", a.Name))
		}
		if index, ok := t.unique[a.Name]; ok && has {
			if other, taken := index[text(v)]; taken && other != p.ID {
				bad = append(bad, fmt.Errorf("%s: another profile has this value", a.Name))
			}
		}
	}
	if err := badRequest(bad); err != nil {
		return err
	}
	if p.ID == 0 {
		t.lastID++
		p.ID, p.Created = t.lastID, now
	}
	p.Updated = now
	if old := t.profiles[p.ID]; old != nil {
		t.unindex(old)
	}
	stored := p.clone()
	t.profiles[p.ID] = &stored
	for attr, index := range t.unique {
		if v, ok := stored.Attributes[attr]; ok {
			index[text(v)] = p.ID
		}
	}
	return nil
}

func (t *table) drop(p *Profile) {
	t.unindex(p)
	delete(t.profiles, p.ID)
}

func (t *table) unindex(p *Profile) {
	for attr, index := range t.unique {
		if v, ok := p.Attributes[attr]; ok {
			delete(index, text(v))
		}
	}
}

// badRequest makes one refusal of many complaints, in a stable order.
func badRequest(bad []error) error {
	if len(bad) == 0 {
		return nil
	}
	lines := strings.Split(errors.Join(bad...).Error(), "\n")
	slices.Sort(lines)
	return refuse(http.StatusBadRequest, "%s", strings.Join(lines, "; "))
}

// table finds a table that is there, with Actito.mu held.
func (a *Actito) table(entity, id string) (*table, error) {
	e := a.entity(entity)
	if e == nil {
		return nil, refuse(http.StatusNotFound, "there is no entity %q", entity)
	}
	for _, t := range e.tables {
		if t.ID == id && !t.removed {
			return t, nil
		}
	}
	return nil, refuse(http.StatusNotFound, "there is no profile table %q", id)
}

func (a *Actito) entity(name string) *entity {
	for _, e := range a.entities {
		if e.name == name {
			return e
		}
	}
	return nil
}
