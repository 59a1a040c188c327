package actito

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"consentsync/internal/assumption"
	"consentsync/internal/outbound"
)

// Subject is what is looked at to see which assumptions hold.
type Subject struct {
	Entity, TableName, KeyAttribute string
	// Profile is the key of a profile that exists; empty for none. It is read.
	Profile string
	// WriteTo is the key of a profile that may be written to; empty for none. Its
	// subscriptions are set to what they are.
	WriteTo string
}

// Look makes some ten calls that change nothing, and judges by their answers
// every assumption about Actito. With Subject.WriteTo it writes to that profile
// too. The client has to be a fresh one: what it holds a token for already does
// not show how a token is had.
func (c *Client) Look(ctx context.Context, of Subject) []assumption.Checked {
	s := &sight{of: of}
	c.lookAround(ctx, s)
	if of.WriteTo != "" {
		c.tryWrites(ctx, s)
	}
	return assumption.Judge(assumed, s)
}

// Assumed lists what is assumed about Actito.
func Assumed() []assumption.Assumption { return assumption.Plain(assumed) }

// sight is what was seen.
type sight struct {
	of Subject

	token, entities, bare, several, stranger assumption.Call
	tables, structure, missing               assumption.Call
	profile, byID, webhooks, campaigns       assumption.Call
	patch, patched, unfit, unfitted          assumption.Call

	entityList     []Entity
	tableList      []TableRef
	table          Table
	read           Profile // of Subject.Profile
	hooks          []Subscription
	knowsCampaigns bool
	before, after  Profile // of Subject.WriteTo, around the patch
	afterUnfit     Profile
	told           string // the id in the answer to the patch
}

func (c *Client) lookAround(ctx context.Context, s *sight) {
	var first outbound.Token
	s.token = assumption.Watch(ctx, func(ctx context.Context) (err error) {
		first, err = c.tokens.Get(ctx, c.tokens.Epoch())
		return err
	})
	if s.token.Err != nil {
		return
	}
	s.entities = assumption.Watch(ctx, func(ctx context.Context) (err error) {
		s.entityList, err = c.Entities(ctx)
		return err
	})
	s.bare = assumption.Watch(ctx, func(ctx context.Context) error {
		_, err := c.send(ctx, call{op: "actito.Look", method: http.MethodGet, path: "/v5/entities"}, first.Value)
		return err
	})
	s.several = assumption.Watch(ctx, func(ctx context.Context) error {
		if _, err := c.tokens.Get(ctx, first.Epoch); err != nil {
			return err
		}
		_, err := c.send(ctx, c.api.entities(), first.Value) // with the token before
		return err
	})
	s.stranger = assumption.Watch(ctx, func(ctx context.Context) error {
		_, err := c.send(ctx, c.api.entities(), "no-token-of-actito")
		return err
	})
	s.tables = assumption.Watch(ctx, func(ctx context.Context) (err error) {
		s.tableList, err = c.Tables(ctx, s.of.Entity)
		return err
	})
	s.webhooks = assumption.Watch(ctx, func(ctx context.Context) (err error) {
		s.hooks, err = c.Webhooks(ctx, s.of.Entity)
		return err
	})
	s.campaigns = assumption.Watch(ctx, func(ctx context.Context) (err error) {
		_, s.knowsCampaigns, err = c.Campaigns(ctx, s.of.Entity)
		return err
	})
	c.lookAtTable(ctx, s)
}

func (c *Client) lookAtTable(ctx context.Context, s *sight) {
	i := slices.IndexFunc(s.tableList, func(t TableRef) bool { return t.Name == s.of.TableName || t.ID == s.of.TableName })
	if i < 0 {
		return
	}
	id := s.tableList[i].ID
	s.structure = assumption.Watch(ctx, func(ctx context.Context) (err error) {
		s.table, err = c.Structure(ctx, s.of.Entity, id)
		return err
	})
	ref := Ref{Entity: s.of.Entity, TableID: id, KeyAttribute: s.of.KeyAttribute, Key: s.nobody()}
	s.missing = assumption.Watch(ctx, func(ctx context.Context) error {
		_, err := c.Read(ctx, ref)
		return err
	})
	if ref.Key = s.of.Profile; ref.Key == "" {
		return
	}
	s.profile = assumption.Watch(ctx, func(ctx context.Context) (err error) {
		s.read, err = c.Read(ctx, ref)
		return err
	})
	if s.read.ProfileID == "" {
		return
	}
	ref.KeyAttribute, ref.Key = ProfileID, s.read.ProfileID
	s.byID = assumption.Watch(ctx, func(ctx context.Context) error {
		_, err := c.Read(ctx, ref)
		return err
	})
}

// nobody gives a key that no profile has, of the kind that the key attribute takes.
func (s *sight) nobody() string {
	i := slices.IndexFunc(s.table.Attributes, func(a Attribute) bool { return a.Name == s.of.KeyAttribute })
	if i >= 0 && (strings.EqualFold(s.table.Attributes[i].ValueType, "INTEGER") || strings.EqualFold(s.table.Attributes[i].ValueType, "LONG")) {
		return "2147483647"
	}
	return "nobody-of-consentsync@example.invalid"
}

// unknownSubscription is one that no table has.
const unknownSubscription = "ConsentsyncHasNoSuchSubscription"

// tryWrites patches the profile that may be written to with what it holds, and
// with a subscription that the table has not, and reads it back each time.
func (c *Client) tryWrites(ctx context.Context, s *sight) {
	if s.table.ID == "" {
		return
	}
	ref := Ref{
		Entity: s.of.Entity, TableID: s.table.ID, KeyAttribute: s.of.KeyAttribute, Key: s.of.WriteTo,
		Told: func(id string) { s.told = id },
	}
	read := func(into *Profile) func(context.Context) error {
		return func(ctx context.Context) (err error) {
			*into, err = c.Read(ctx, ref)
			return err
		}
	}
	patch := func(subscriptions map[string]bool) func(context.Context) error {
		return func(ctx context.Context) error { return c.Update(ctx, ref, Change{Subscriptions: subscriptions}) }
	}
	if s.patch = assumption.Watch(ctx, read(&s.before)); s.patch.Err != nil {
		return
	}
	name := ""
	for _, n := range s.table.Subscriptions {
		if _, told := s.before.Subscriptions[n]; told {
			name = cmp.Or(name, n)
		}
	}
	if name == "" {
		s.patch = assumption.Call{}
		return
	}
	same := map[string]bool{name: s.before.Subscriptions[name]}
	if s.patch = assumption.Watch(ctx, patch(same)); s.patch.Err != nil {
		return
	}
	s.patched = assumption.Watch(ctx, read(&s.after))
	s.unfit = assumption.Watch(ctx, patch(map[string]bool{name: same[name], unknownSubscription: false}))
	s.unfitted = assumption.Watch(ctx, read(&s.afterUnfit))
}
