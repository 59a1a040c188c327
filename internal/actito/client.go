package actito

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

// Entity is a division of the Actito account.
type Entity struct{ ID, Name string }

// TableRef names a profile table.
type TableRef struct{ ID, Name string }

// Table is the structure of a profile table.
type Table struct {
	ID, Name   string
	Attributes []Attribute
	// Subscriptions are in the answer's order. Actito's tables have at least
	// one, so none means that they could not be found in the answer.
	Subscriptions []string
}

// Attribute is one attribute of a table. ValueType is empty for the types that
// Actito predefines, a length is zero where none is set.
type Attribute struct {
	Name, Type, ValueType          string
	Unique, Mandatory, MultiValued bool
	MinLength, MaxLength           int
}

// Dialect is a version of Actito's API for single profiles. The zero value is V5.
type Dialect string

// DialectV4 is the version that V5 replaces.
const DialectV4 Dialect = "v4"

// Ref names one profile by a unique key, and how it is spoken of.
type Ref struct {
	Entity, TableID, KeyAttribute, Key string
	// TableName stands in the addresses of V4 in the place of the id.
	TableName string
	Dialect   Dialect
	// Path is where the addresses of profiles begin, such as /profiles/v5; empty
	// for where the dialect has them.
	Path string
	// Told, if set, is given Actito's own id of the profile where the answer to a
	// write tells it.
	Told func(profileID string)
}

// Change is what a write sets; what it does not name stays as it is. The value
// of an attribute is a JSON scalar, a list, or nil, which clears it.
type Change struct {
	Subscriptions map[string]bool
	Attributes    map[string]any
}

// Profile is what Actito holds about one person. Subscriptions is nil when the
// answer said nothing about any: then nothing is known. In a map that is not
// nil, a missing subscription is off, as in Actito's older API.
// Numbers are int64, or float64 when they have a fraction, or json.Number when
// they fit neither.
type Profile struct {
	ProfileID     string
	Subscriptions map[string]bool
	Attributes    map[string]any
}

// Client talks to one Actito account: one API key at one host. It is safe for
// concurrent use.
type Client struct {
	hc     *http.Client
	base   string
	apiKey string
	api    v5
	hooks  v4webhook
	mails  v4mail
	now    func() time.Time // time.Now but in tests
	tokens *outbound.Tokens
	noPost atomic.Bool // the create operation does not exist here
}

// NewClient makes a client. The base URL is one that outbound.ValidateBaseURL
// gave. A nil hc means outbound.New with its defaults.
func NewClient(hc *http.Client, baseURL, apiKey string) *Client {
	c := &Client{
		hc: outbound.WithoutRedirects(hc), base: strings.TrimRight(baseURL, "/"), apiKey: strings.TrimSpace(apiKey),
		now: time.Now,
	}
	c.tokens = outbound.NewTokens(tokenOp, func() time.Time { return c.now() }, c.fetchToken)
	return c
}

// String names the client without its secrets.
func (c *Client) String() string {
	host := "?"
	if u, err := url.Parse(c.base); err == nil {
		host = u.Host
	}
	return fmt.Sprintf("actito.Client(%s, key %s)", host, Fingerprint(c.apiKey))
}

// GoString is what %#v prints.
func (c *Client) GoString() string { return c.String() }

// TokenEpoch grows with each new token. It is zero before the first.
func (c *Client) TokenEpoch() uint64 { return c.tokens.Epoch() }

// Entities lists the entities that the key may see.
func (c *Client) Entities(ctx context.Context) ([]Entity, error) {
	req := c.api.entities()
	body, err := c.call(ctx, req)
	if err != nil {
		return nil, err
	}
	list, err := c.api.parseEntities(body)
	return list, unreadable(req.op, err)
}

// Tables lists the profile tables of an entity.
func (c *Client) Tables(ctx context.Context, entity string) ([]TableRef, error) {
	if err := checkSegments("actito.Tables", "entity", entity); err != nil {
		return nil, err
	}
	req := c.api.tables(entity)
	body, err := c.call(ctx, req)
	if err != nil {
		return nil, err
	}
	list, err := c.api.parseTables(body)
	return list, unreadable(req.op, err)
}

// Table finds a table by its name, or else by its id, and reads its structure.
func (c *Client) Table(ctx context.Context, entity, tableName string) (Table, error) {
	list, err := c.Tables(ctx, entity)
	if err != nil {
		return Table{}, err
	}
	i := slices.IndexFunc(list, func(t TableRef) bool { return t.Name == tableName })
	if i < 0 {
		i = slices.IndexFunc(list, func(t TableRef) bool { return t.ID == tableName })
	}
	if i < 0 {
		return Table{}, consent.Errorf(consent.NotFound, "actito.Table",
			"entity %q has no profile table %q; it has %s", entity, tableName, names(list))
	}
	table, err := c.Structure(ctx, entity, list[i].ID)
	if err != nil {
		return Table{}, err
	}
	if table.Name == "" {
		table.Name = list[i].Name
	}
	return table, nil
}

func names(list []TableRef) string {
	if len(list) == 0 {
		return "none that this API key may see"
	}
	const most = 20
	var quoted []string
	for _, t := range list[:min(len(list), most)] {
		quoted = append(quoted, fmt.Sprintf("%q", t.Name))
	}
	text := strings.Join(quoted, ", ")
	if len(list) > most {
		text += fmt.Sprintf(" and %d more", len(list)-most)
	}
	return text
}

// Structure reads the structure of a table, given by its id.
func (c *Client) Structure(ctx context.Context, entity, tableID string) (Table, error) {
	if err := checkSegments("actito.Structure", "entity", entity, "table", tableID); err != nil {
		return Table{}, err
	}
	req := c.api.structure(entity, tableID)
	body, err := c.call(ctx, req)
	if err != nil {
		return Table{}, err
	}
	table, err := c.api.parseStructure(body)
	if err != nil {
		return Table{}, unreadable(req.op, err)
	}
	if table.ID == "" {
		table.ID = tableID
	}
	return table, nil
}
