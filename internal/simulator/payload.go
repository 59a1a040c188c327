package simulator

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Choices holds a choice per id: true, false, or nil for "nothing chosen at this
// level", which Didomi writes as null.
type Choices map[string]*bool

// Event is a consent event
// (https://developers.didomi.io/api-and-platform/consents/events/consent-event-schema).
// What is left zero is left out of the payload, as in some published samples;
// only an empty regulation is written as gdpr and an empty status as confirmed.
type Event struct {
	ID                 string
	DidomiUserID       string
	OrganizationUserID string
	Regulation         string
	Status             string // confirmed or pending_approval
	Country            string
	CreatedAt          time.Time
	UpdatedAt          time.Time
	Metadata           map[string]any // the user's
	Purposes           Choices
	Channels           Choices
	// Values holds the chosen values of each preference of a purpose (v2).
	Values map[string]map[string][]string
	// Tree holds purposes with nested preferences and channels (v1).
	Tree Tree
}

// Tree is the nested form of v1: nodes by the id of their purpose.
type Tree map[string]Node

// Node is a purpose or a preference of a [Tree], with what hangs below it.
type Node struct {
	Enabled     *bool
	Preferences Tree
	Channels    Choices
}

// User is a Didomi user with the merged choices of one regulation
// (https://developers.didomi.io/api-and-platform/consents/users/users-schema).
type User struct {
	ID                 string
	OrganizationUserID string
	Regulation         string
	Country            string
	Version            int
	CreatedAt          time.Time
	UpdatedAt          time.Time
	Metadata           map[string]any
	Purposes           Choices
	Channels           Choices
	Values             map[string]map[string][]string
	Tree               Tree
}

// EventCreated gives the payload of an event.created webhook.
func EventCreated(org string, e Event) map[string]any {
	return envelope("event.created", e.Regulation, map[string]any{"entity": e.entity(org)})
}

// EventUpdated gives the payload of an event.updated webhook. Its source is null:
// what it would be is not documented.
func EventUpdated(org string, before, after Event) map[string]any {
	return envelope("event.updated", after.Regulation, map[string]any{
		"source": nil, "old_entity": before.entity(org), "new_entity": after.entity(org),
	})
}

// EventDeleted gives the payload of an event.deleted webhook. An Event with no
// more than its id and creation makes the small entity that some samples show.
func EventDeleted(org string, e Event) map[string]any {
	return envelope("event.deleted", e.Regulation, map[string]any{"entity": e.entity(org)})
}

// UserCreated gives the payload of a user.created webhook.
func UserCreated(org string, u User) map[string]any {
	return envelope("user.created", u.Regulation, map[string]any{"entity": u.entity(org)})
}

// UserUpdated gives the payload of a user.updated webhook. Its source is the
// event that caused the update, if one did.
func UserUpdated(org string, before, after User, source *Event) map[string]any {
	var cause any
	if source != nil {
		cause = source.entity(org)
	}
	return envelope("user.updated", after.Regulation, map[string]any{
		"source": cause, "old_entity": before.entity(org), "new_entity": after.entity(org),
	})
}

// UserDeleted gives the payload of a user.deleted webhook.
func UserDeleted(org string, u User) map[string]any {
	return envelope("user.deleted", u.Regulation, map[string]any{"entity": u.entity(org)})
}

func envelope(kind, regulation string, parameters map[string]any) map[string]any {
	return map[string]any{
		"type":       kind,
		"regulation": cmp.Or(regulation, "gdpr"),
		"parameters": parameters,
	}
}

func (e Event) entity(org string) map[string]any {
	user := map[string]any{}
	setText(user, "id", e.DidomiUserID)
	setText(user, "organization_user_id", e.OrganizationUserID)
	setText(user, "country", e.Country)
	if e.Metadata != nil {
		user["metadata"] = maps.Clone(e.Metadata)
	}
	out := map[string]any{
		"organization_id": org,
		"regulation":      cmp.Or(e.Regulation, "gdpr"),
		"status":          cmp.Or(e.Status, "confirmed"),
	}
	setText(out, "id", e.ID)
	setTime(out, "created_at", e.CreatedAt)
	setTime(out, "updated_at", e.UpdatedAt)
	if len(user) > 0 {
		out["user"] = user
	}
	setConsents(out, e.Purposes, e.Channels, e.Values, e.Tree)
	return out
}

func (u User) entity(org string) map[string]any {
	out := map[string]any{"organization_id": org}
	setText(out, "id", u.ID)
	setText(out, "organization_user_id", u.OrganizationUserID)
	setText(out, "country", u.Country)
	setTime(out, "created_at", u.CreatedAt)
	setTime(out, "updated_at", u.UpdatedAt)
	if u.Version != 0 {
		out["version"] = u.Version
	}
	if u.Metadata != nil {
		out["metadata"] = maps.Clone(u.Metadata)
	}
	setConsents(out, u.Purposes, u.Channels, u.Values, u.Tree)
	return out
}

// setConsents adds the consents block, unless there is nothing to put into it.
// Values of a preference are ids joined by commas.
func setConsents(out map[string]any, purposes, channels Choices, values map[string]map[string][]string, tree Tree) {
	if len(purposes)+len(channels)+len(values)+len(tree) == 0 {
		return
	}
	byID := map[string]map[string]any{}
	node := func(id string) map[string]any {
		if byID[id] == nil {
			byID[id] = map[string]any{"id": id, "enabled": nil}
		}
		return byID[id]
	}
	for id, n := range tree {
		byID[id] = n.entity(id)
	}
	for id, enabled := range purposes {
		node(id)["enabled"] = orNull(enabled)
	}
	for id, preferences := range values {
		of := map[string]any{}
		for preference, chosen := range preferences {
			of[preference] = map[string]any{"value": strings.Join(chosen, ",")}
		}
		node(id)["values"] = of
	}
	out["consents"] = map[string]any{
		"channels": choiceList(channels),
		"purposes": sortedValues(byID),
		"vendors":  map[string]any{"enabled": []any{}, "disabled": []any{}},
	}
}

func (n Node) entity(id string) map[string]any {
	out := map[string]any{"id": id, "enabled": orNull(n.Enabled)}
	if n.Preferences != nil {
		below := map[string]map[string]any{}
		for id, p := range n.Preferences {
			below[id] = p.entity(id)
		}
		out["preferences"] = sortedValues(below)
	}
	if n.Channels != nil {
		out["channels"] = choiceList(n.Channels)
	}
	return out
}

func choiceList(choices Choices) []any {
	byID := map[string]map[string]any{}
	for id, enabled := range choices {
		byID[id] = map[string]any{"id": id, "enabled": orNull(enabled)}
	}
	return sortedValues(byID)
}

func sortedValues(byID map[string]map[string]any) []any {
	list := make([]any, 0, len(byID))
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		list = append(list, byID[id])
	}
	return list
}

func orNull(b *bool) any {
	if b == nil {
		return nil
	}
	return *b
}

func setText(out map[string]any, name, value string) {
	if value != "" {
		out[name] = value
	}
}

func setTime(out map[string]any, name string, t time.Time) {
	if !t.IsZero() {
		out[name] = t.UTC().Format("2006-01-02T15:04:05.000Z")
	}
}
