// Package changes tells who changed what.
//
// A change is stored in the transaction of what it tells of: there is none
// without its record, and no record of what did not happen. Records hold no
// secret, and name people whose consent is kept by their keyed hash.
package changes

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

type actorKey struct{}

// WithActor says on whose behalf everything under the context is done.
func WithActor(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, actorKey{}, who)
}

// Itself is who acts where nobody asked for it.
const Itself = "consentsync"

// Actor gives on whose behalf something is done.
func Actor(ctx context.Context) string {
	if who, ok := ctx.Value(actorKey{}).(string); ok {
		return who
	}
	return Itself
}

// New makes the record of a change that is about to be made.
func New(ctx context.Context, now time.Time, organization, integration, action string, details ...store.Detail) store.Change {
	return store.Change{
		Organization: organization, ID: store.NewID(), Integration: integration, At: consent.TimeOf(now),
		By: Actor(ctx), Action: action, Details: details,
	}
}

// mostDetail bounds the text of a value.
const mostDetail = 500

// Between lists what differs between two states of a thing, by the path of each
// field as JSON names it. What is secret must be masked in both.
func Between(was, is any) []store.Detail {
	before, after := flat(was), flat(is)
	var list []store.Detail
	for _, name := range names(before, after) {
		if before[name] != after[name] {
			list = append(list, store.Detail{Name: name, Was: cut(before[name]), Is: cut(after[name])})
		}
	}
	return list
}

func cut(text string) string {
	if runes := []rune(text); len(runes) > mostDetail {
		return string(runes[:mostDetail]) + "…"
	}
	return text
}

func names(maps ...map[string]string) []string {
	var all []string
	for _, m := range maps {
		for name := range m {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// flat gives the values of a thing by their path. A list is one value.
func flat(v any) map[string]string {
	out := map[string]string{}
	b, err := json.Marshal(v)
	if err != nil {
		return out
	}
	var tree any
	if json.Unmarshal(b, &tree) == nil {
		flatten("", tree, out)
	}
	return out
}

func flatten(path string, v any, out map[string]string) {
	switch v := v.(type) {
	case nil:
	case map[string]any:
		for name, inner := range v {
			if path != "" {
				name = path + "." + name
			}
			flatten(name, inner, out)
		}
	case string:
		if v != "" {
			out[path] = v
		}
	default:
		b, _ := json.Marshal(v) // it was JSON a moment ago
		out[path] = string(b)
	}
}

// Store lists changes.
type Store interface {
	Changes(ctx context.Context, organization, integration string, before store.ID, limit int) ([]store.Change, error)
}

// View is a change as it is shown.
type View struct {
	ID             store.ID       `json:"id"`
	OrganizationID string         `json:"organization_id"`
	IntegrationID  string         `json:"integration_id,omitempty"`
	At             consent.Time   `json:"at"`
	By             string         `json:"by"`
	Action         string         `json:"action"`
	Details        []store.Detail `json:"details"`
}

// List gives the changes of an organization, or of one integration, the newest
// first, from before one; next is empty at the end.
func List(ctx context.Context, s Store, organization, integration, before string, limit int) (views []View, next string, err error) {
	var from store.ID
	if before != "" {
		if err := from.UnmarshalText([]byte(before)); err != nil {
			return nil, "", incoming.RefuseField("cursor", "must be the next of the page before")
		}
	}
	found, err := s.Changes(ctx, organization, integration, from, limit+1)
	if err != nil {
		return nil, "", err
	}
	if len(found) > limit {
		found = found[:limit]
		next = found[limit-1].ID.String()
	}
	views = []View{}
	for _, c := range found {
		v := View{c.ID, c.Organization, c.Integration, c.At, c.By, c.Action, c.Details}
		if v.Details == nil {
			v.Details = []store.Detail{}
		}
		views = append(views, v)
	}
	return views, next, nil
}
