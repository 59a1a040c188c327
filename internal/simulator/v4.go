package simulator

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
)

// older is what a call has of V4's operations on single profiles, which V5
// replaces
// (http://cdn3.actito.com/fe/actito-documentation/es/docs/v4-profiles-1by1-calls).
type older struct {
	is           bool
	subscription string // that a call is about; it has no body
}

// routeOlder takes /entity/{entity}/table/{table}/profile, with /{key}, with
// /subscription and with /{subscription} behind it. The table has its name there;
// public clients also write its id.
func (q *request) routeOlder(parts []string) bool {
	if len(parts) > 0 && parts[0] == "profiles" {
		parts = parts[1:]
	}
	if len(parts) < 6 || len(parts) > 9 || parts[0] != "v4" || parts[1] != "entity" || parts[3] != "table" || parts[5] != "profile" ||
		len(parts) > 7 && parts[7] != "subscription" {
		return false
	}
	q.entity, q.table, q.older.is = parts[2], parts[4], true
	switch len(parts) {
	case 6:
		q.choose(map[string]Kind{http.MethodPost: KindCreate})
		return true
	case 7:
		q.choose(map[string]Kind{http.MethodGet: KindRead, http.MethodPut: KindUpdate, http.MethodDelete: KindDelete})
	case 8:
		q.choose(map[string]Kind{http.MethodGet: KindSubscriptions})
	case 9:
		q.choose(map[string]Kind{http.MethodPost: KindUpdate, http.MethodDelete: KindUpdate})
		q.older.subscription, q.subscriptions = parts[8], map[string]any{parts[8]: q.method == http.MethodPost}
	}
	q.readKey(parts[6])
	return true
}

// olderBody is the body of a write
// (https://cdn.actito.be/fe/actito-documentation-client/campaign/en/Creating_or_Updating_a_Single_Profile.html,
// https://github.com/actito/data-model-sdk).
type olderBody struct {
	Attributes []struct {
		Name  string `json:"name"`
		Value any    `json:"value"`
	} `json:"attributes"`
	Subscriptions []struct {
		Name      string `json:"name"`
		Subscribe *bool  `json:"subscribe"`
	} `json:"subscriptions"`
	Segmentations  []any `json:"segmentations"`
	DataCollection any   `json:"dataCollectionInformation"`
}

// readOlder reads the body of a write. The first attribute of a profile that is
// made stands for it in the journal.
func (q *request) readOlder(body []byte) {
	if q.older.subscription != "" {
		if len(body) > 0 {
			q.refusal = refuse(http.StatusBadRequest, "a subscription is written without a body")
		}
		return
	}
	var in olderBody
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		q.refusal = refuse(http.StatusBadRequest, "the body is not the JSON expected: %v", err)
		return
	}
	q.attributes, q.subscriptions = map[string]any{}, map[string]any{}
	for i, a := range in.Attributes {
		if !isText(a.Value) {
			q.refusal = refuse(http.StatusBadRequest, "%s: a value is a text, or null", a.Name)
			return
		}
		q.attributes[a.Name] = a.Value
		if i == 0 && q.kind == KindCreate {
			q.key = profileKey{a.Name, text(a.Value)}
		}
	}
	for _, s := range in.Subscriptions {
		if s.Subscribe == nil {
			q.refusal = refuse(http.StatusBadRequest, "subscription %s takes true or false", s.Name)
			return
		}
		q.subscriptions[s.Name] = *s.Subscribe
	}
}

func isText(v any) bool {
	switch v := v.(type) {
	case nil, string:
		return true
	case []any:
		return !slices.ContainsFunc(v, func(one any) bool { _, is := one.(string); return !is })
	}
	return false
}

// performOlder does what a request in V4 asks for.
func (a *Actito) performOlder(q *request) (outcome, error) {
	switch q.kind {
	case KindRead, KindSubscriptions:
		return a.readOlder(q)
	case KindUpdate:
		if q.older.subscription != "" {
			return a.change(q, a.subscribe)
		}
		return a.change(q, a.update)
	case KindCreate:
		return a.change(q, a.createOlder)
	default:
		return a.change(q, a.remove)
	}
}

// readOlder writes a profile, or its subscriptions, as lists. Of subscriptions
// there are those that are on.
func (a *Actito) readOlder(q *request) (outcome, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, p, err := a.existing(q)
	if err != nil {
		return outcome{}, err
	}
	subscriptions := []any{}
	for _, name := range t.Subscriptions {
		if p.Subscriptions[name] {
			subscriptions = append(subscriptions, map[string]any{"name": name, "subscribe": true})
		}
	}
	if q.kind == KindSubscriptions {
		return answer(http.StatusOK, map[string]any{"subscriptions": subscriptions}), nil
	}
	attributes := []any{}
	shown := a.shownAttributes(t, p, q.query)
	for _, x := range t.Attributes {
		if v, has := shown[x.Name]; has {
			attributes = append(attributes, map[string]any{"name": x.Name, "value": text(v)})
		}
	}
	return answer(http.StatusOK, map[string]any{"attributes": attributes, "subscriptions": subscriptions, "segmentations": []any{}}), nil
}

// subscribe writes one subscription. One that the table does not have is not
// found, nor is one to be taken away that the profile does not have.
func (a *Actito) subscribe(q *request, c *Change) (outcome, error) {
	t, p, err := a.existing(q)
	if err != nil {
		return outcome{}, err
	}
	name := q.older.subscription
	if !slices.Contains(t.Subscriptions, name) || q.method == http.MethodDelete && !p.Subscriptions[name] {
		return outcome{}, refuse(http.StatusNotFound, "there is no subscription %q", name)
	}
	return a.update(q, c)
}

// createOlder makes a profile, and changes the one that has one of the unique
// values unless allowUpdate is false.
func (a *Actito) createOlder(q *request, c *Change) (outcome, error) {
	t, err := a.table(q.entity, q.table)
	if err != nil {
		return outcome{}, err
	}
	p, err := t.sought(q.attributes)
	switch {
	case err != nil:
		return outcome{}, err
	case p != nil && q.query.Get("allowUpdate") == "false":
		return outcome{}, refuse(http.StatusConflict, "this profile exists already")
	case p != nil:
		return a.store(t, p, p.clone(), q, c, http.StatusOK)
	}
	return a.store(t, nil, t.blank(), q, c, http.StatusCreated)
}
