package actito

import (
	"math"
	"slices"
	"testing"

	"consentsync/internal/consent"
)

var oldJane = Ref{
	Entity: "acme", TableID: "16", TableName: "My Profiles", KeyAttribute: "emailAddress", Key: "jane@example.com", Dialect: DialectV4,
}

const (
	v4Profiles = "/profiles/v4/entity/acme/table/My%20Profiles/profile"
	v4Jane     = v4Profiles + "/emailAddress=jane%40example.com"
	v4Held     = "GET " + v4Jane + "/subscription"
	v4Find     = "GET " + v4Jane
	v4Off      = "DELETE " + v4Jane + "/subscription/"
	v4On       = "POST " + v4Jane + "/subscription/"
	v4Named    = `{"profileId": 7}` // the documented answer to a write
)

// both turns Zeta off and Alpha on, and writes an attribute.
var both = Change{Subscriptions: map[string]bool{"Alpha": true, "Zeta": false}, Attributes: map[string]any{"vip": true}}

// A withdrawal goes first, then grants, then attributes; and an error says what
// is certain: after something was applied it is Unclear.
func TestV4Update(t *testing.T) {
	t.Parallel()
	put := "PUT " + v4Jane + ` {"attributes":[{"name":"vip","value":"true"}]}`
	all := []string{v4Off + "Zeta", v4On + "Alpha", put}
	grant := Change{Subscriptions: map[string]bool{"Alpha": true}}
	off := Change{Subscriptions: map[string]bool{"Zeta": false}}
	attribute := Change{Attributes: both.Attributes}
	const empty, hasZeta, foundZeta = `{"subscriptions":[]}`, `{"subscriptions":[{"name":"Zeta","subscribe":true}]}`, `[{"name":"Zeta"}]`
	for name, test := range map[string]struct {
		change  Change
		answers []any
		calls   []string
		want    consent.Kind // Internal = success
	}{
		"all of it":                     {both, []any{204, "", 200, "", 200, v4Named}, all, consent.Internal},
		"the first is refused":          {both, []any{400, ""}, all[:1], consent.Invalid},
		"the first is unclear":          {both, []any{500, ""}, all[:1], consent.Unclear},
		"too many at once":              {both, []any{429, ""}, all[:1], consent.RateLimited},
		"a refusal after something":     {both, []any{204, "", 400, ""}, all[:2], consent.Unclear},
		"too many after something":      {both, []any{204, "", 200, "", 429, ""}, all, consent.Unclear},
		"no profile":                    {off, []any{404, "", 404, ""}, []string{v4Off + "Zeta", v4Held}, consent.NotFound},
		"no profile, a grant":           {grant, []any{404, "", 404, ""}, []string{v4On + "Alpha", v4Held}, consent.NotFound},
		"no profile, and no right":      {off, []any{404, "", 403, ""}, []string{v4Off + "Zeta", v4Held}, consent.NotFound},
		"it is off already":             {off, []any{404, "", 200, empty}, []string{v4Off + "Zeta", v4Held}, consent.Internal},
		"it is on all the same":         {off, []any{404, "", 200, hasZeta}, []string{v4Off + "Zeta", v4Held}, consent.Transient},
		"on, said in another form":      {off, []any{404, "", 200, foundZeta}, []string{v4Off + "Zeta", v4Held}, consent.Transient},
		"nothing is told":               {off, []any{404, "", 200, `{"subscriptions":null}`}, []string{v4Off + "Zeta", v4Held}, consent.Transient},
		"nothing can be read":           {off, []any{404, "", 200, `<html>`}, []string{v4Off + "Zeta", v4Held}, consent.Transient},
		"no such subscription":          {grant, []any{404, "", 200, empty}, []string{v4On + "Alpha", v4Held}, consent.Invalid},
		"attributes of nobody":          {attribute, []any{404, ""}, []string{v4Find}, consent.NotFound},
		"attributes, unclear":           {attribute, []any{200, emptyProfile, 502, ""}, []string{v4Find, put}, consent.Unclear},
		"attributes, and no right read": {attribute, []any{403, "", 200, v4Named}, []string{v4Find, put}, consent.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, c := newFake(t, nil, steps(test.answers...))
			err := c.Update(t.Context(), oldJane, test.change)
			if test.want != consent.Internal {
				wantKind(t, err, test.want)
			} else if err != nil {
				t.Error(err)
			}
			wantEqual(t, f.Seen(), test.calls)
		})
	}
}

// A profile is made, and none is changed that has the same value in some other
// unique attribute; what became of its subscriptions is looked at.
func TestV4Create(t *testing.T) {
	t.Parallel()
	post := "POST " + v4Profiles + `?allowUpdate=false {"attributes":[{"name":"emailAddress","value":"jane@example.com"},{"name":"vip","value":"true"}],` +
		`"subscriptions":[{"name":"Alpha","subscribe":true},{"name":"Zeta","subscribe":false}]}`
	put := "PUT " + v4Jane + ` {"attributes":[{"name":"vip","value":"true"}]}`
	const right, ignored = `{"subscriptions":[{"name":"Alpha","subscribe":true}]}`, `{"subscriptions":[{"name":"Zeta","subscribe":"true"}]}`
	for name, test := range map[string]struct {
		answers []any
		calls   []string
		want    consent.Kind // Internal = success
	}{
		"made":                        {[]any{201, v4Named, 200, right}, []string{post, v4Held}, consent.Internal},
		"subscriptions were ignored":  {[]any{201, v4Named, 200, ignored, 200, "", 200, ""}, []string{post, v4Held, v4Off + "Zeta", v4On + "Alpha"}, consent.Internal},
		"they cannot be read":         {[]any{201, v4Named, 503, ""}, []string{post, v4Held}, consent.Unclear},
		"they cannot be mended":       {[]any{201, v4Named, 200, ignored, 400, ""}, []string{post, v4Held, v4Off + "Zeta"}, consent.Unclear},
		"exists":                      {[]any{409, "", 200, emptyProfile, 204, "", 200, "", 200, v4Named}, []string{post, v4Find, v4Off + "Zeta", v4On + "Alpha", put}, consent.Internal},
		"exists, said with 400":       {[]any{400, "", 200, emptyProfile, 204, "", 200, "", 200, v4Named}, []string{post, v4Find, v4Off + "Zeta", v4On + "Alpha", put}, consent.Internal},
		"another is in the way":       {[]any{409, "", 404, ""}, []string{post, v4Find}, consent.Conflict},
		"refused":                     {[]any{400, "", 404, ""}, []string{post, v4Find}, consent.Invalid},
		"unclear":                     {[]any{500, ""}, []string{post}, consent.Unclear},
		"no such operation, or table": {[]any{404, ""}, []string{post}, consent.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, c := newFake(t, nil, steps(test.answers...))
			told := ""
			ref := oldJane
			ref.Told = func(id string) { told = id }
			err := c.Create(t.Context(), ref, both)
			if test.want != consent.Internal {
				wantKind(t, err, test.want)
			} else if err != nil {
				t.Error(err)
			}
			wantEqual(t, f.Seen(), test.calls)
			wantEqual(t, told, map[bool]string{true: "7"}[slices.Contains(test.answers, any(v4Named))])
		})
	}
}

// An empty list of subscriptions in a profile's answer proves nothing.
func TestV4Read(t *testing.T) {
	t.Parallel()
	const minimal = `{"attributes": [{"name": "profileId", "value": "7"}], "subscriptions": [], "segmentations": []}` // from Actito's own client
	const full = `{"attributes":[{"name":"profileId","value":"7"}],"subscriptions":[{"name":"Alpha","subscribe":true},{"name":"Zeta","subscribe":false}]}`
	attributes := map[string]any{"profileId": "7"}
	for name, test := range map[string]struct {
		answers []any
		calls   []string
		want    Profile
	}{
		"it tells them":       {[]any{200, full}, []string{v4Find}, Profile{"7", map[string]bool{"Alpha": true, "Zeta": false}, attributes}},
		"they are told apart": {[]any{200, minimal, 200, `{"subscriptions":["Alpha"]}`}, []string{v4Find, v4Held}, Profile{"7", map[string]bool{"Alpha": true}, attributes}},
		"there are none":      {[]any{200, minimal, 200, `{"subscriptions":[]}`}, []string{v4Find, v4Held}, Profile{"7", map[string]bool{}, attributes}},
	} {
		f, c := newFake(t, nil, steps(test.answers...))
		got, err := c.Read(t.Context(), oldJane)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantEqual(t, got, test.want)
		wantEqual(t, f.Seen(), test.calls)
	}
	for _, apart := range []string{`{"subscriptions":null}`, `{"attributes":[]}`, `7`, `{"subscriptions":[{"name":"Alpha","subscribe":"?"}]}`} {
		_, c := newFake(t, nil, steps(200, minimal, 200, apart))
		_, err := c.Read(t.Context(), oldJane)
		wantKind(t, err, consent.Transient)
	}
	_, c := newFake(t, nil, steps(200, minimal, 404, ""))
	_, err := c.Read(t.Context(), oldJane)
	wantKind(t, err, consent.NotFound)
}

func TestV4Details(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, nil, always(200, emptyProfile))
	ref := oldJane
	ref.KeyAttribute, ref.Key, ref.Path = "userId", "5", "/v4"
	change := Change{Attributes: map[string]any{"n": 1.50, "list": []any{"x", 2}, "gone": nil, "userId": 5}}
	for _, err := range []error{
		c.Create(t.Context(), ref, change),
		c.Update(t.Context(), ref, Change{Subscriptions: map[string]bool{"A/B": true}}),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	wantEqual(t, f.Seen(), []string{
		`POST /v4/entity/acme/table/My%20Profiles/profile?allowUpdate=false ` +
			`{"attributes":[{"name":"userId","value":"5"},{"name":"gone","value":null},{"name":"list","value":["x","2"]},{"name":"n","value":"1.5"}]}`,
		`POST /v4/entity/acme/table/My%20Profiles/profile/userId=5/subscription/A%2FB`,
	})
	f, c = newFake(t, nil, nil)
	nameless := oldJane
	nameless.TableName = ""
	_, err := c.Read(t.Context(), nameless)
	wantKind(t, err, consent.Invalid)
	for _, bad := range []Change{
		{}, {Subscriptions: map[string]bool{"..": true}}, {Attributes: map[string]any{"a": math.NaN()}}, {Attributes: map[string]any{"a": map[string]any{}}},
	} {
		wantKind(t, c.Update(t.Context(), oldJane, bad), consent.Invalid)
	}
	wantEqual(t, f.TokenCalls(), 0)
}
