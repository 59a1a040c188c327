package simulator

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// perform does what a request asks for and says how it went. The operations are
// those of the V5 profile API
// (https://developers.actito.com/docs/integration-framework/apis/change-management/changelogs).
func (a *Actito) perform(q *request) outcome {
	if q.refusal != nil {
		return refused(q.refusal)
	}
	out, err := outcome{}, error(nil)
	if q.older.is {
		out, err = a.performOlder(q)
		return refusedFor(out, err)
	}
	switch q.kind {
	case KindToken:
		return a.access.issue(q, a.opts.Now())
	case KindEntities:
		return a.listEntities()
	case KindTables:
		out, err = a.listTables(q)
	case KindStructure:
		out, err = a.readStructure(q)
	case KindRead:
		out, err = a.readProfile(q)
	case KindUpdate:
		out, err = a.change(q, a.update)
	case KindCreate:
		out, err = a.change(q, a.create)
	case KindReplace:
		out, err = a.change(q, a.replace)
	case KindDelete:
		out, err = a.change(q, a.remove)
	case KindMail:
		out, err = a.change(q, a.sendMail)
	case KindCampaigns:
		out, err = a.listCampaigns(q)
	case KindTrigger:
		out, err = a.triggerLoad(q)
	case KindExecution:
		out, err = a.readExecution(q)
	case KindRowErrors:
		out, err = a.readRowErrors(q)
	case KindWebhooks, KindWebhook, KindCreateWebhook, KindReplaceWebhook, KindDeleteWebhook:
		out, err = a.serveWebhooks(q)
	}
	return refusedFor(out, err)
}

func refusedFor(out outcome, err error) outcome {
	if no, ok := errors.AsType[*refusal](err); ok {
		return refused(no)
	}
	return out
}

func (a *Actito) listEntities() outcome {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := []map[string]any{}
	for _, e := range a.entities {
		list = append(list, map[string]any{"id": e.id, "name": e.name, "comment": nil})
	}
	return answer(http.StatusOK, map[string]any{"entities": list})
}

func (a *Actito) listTables(q *request) (outcome, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.entity(q.entity)
	if e == nil {
		return outcome{}, refuse(http.StatusNotFound, "there is no entity %q", q.entity)
	}
	list := []map[string]any{}
	for _, t := range e.tables {
		switch {
		case t.removed:
		case a.opts.ListIsShort:
			list = append(list, map[string]any{"id": t.ID, "name": t.Name})
		default:
			list = append(list, t.structure(a.opts.SubscriptionsShape))
		}
	}
	return answer(http.StatusOK, map[string]any{"profileTables": list}), nil
}

func (a *Actito) readStructure(q *request) (outcome, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, err := a.table(q.entity, q.table)
	if err != nil {
		return outcome{}, err
	}
	return answer(http.StatusOK, t.structure(a.opts.SubscriptionsShape)), nil
}

// readProfile takes the documented queries subscriptions, a list of names to
// restrict the answer to, and includeNulls
// (http://cdn3.actito.com/fe/actito-documentation/es/docs/v4-profiles-1by1-calls).
func (a *Actito) readProfile(q *request) (outcome, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, p, err := a.existing(q)
	if err != nil {
		return outcome{}, err
	}
	subs := map[string]bool{}
	only := q.query.Get("subscriptions")
	for name, on := range p.Subscriptions {
		if only == "" || slices.Contains(strings.Split(only, ","), name) {
			subs[name] = on
		}
	}
	return answer(http.StatusOK, map[string]any{
		"profileId":     p.ID,
		"attributes":    a.shownAttributes(t, p, q.query),
		"subscriptions": subs,
		"segmentations": map[string]any{},
	}), nil
}

func (a *Actito) shownAttributes(t *table, p *Profile, query url.Values) map[string]any {
	shown := map[string]any{}
	withNulls := query.Has("includeNulls") && query.Get("includeNulls") != "false"
	for _, attr := range t.Attributes {
		v, has := p.Attributes[attr.Name]
		switch attr.Name {
		case attrProfileID:
			v, has = p.ID, true
		case attrCreated:
			v, has = p.Created.UTC().Format(actitoTime), true
		case attrUpdated:
			v, has = p.Updated.UTC().Format(actitoTime), true
		}
		switch {
		case has && a.opts.StringValues:
			shown[attr.Name] = text(v)
		case has:
			shown[attr.Name] = v
		case withNulls:
			shown[attr.Name] = nil
		}
	}
	return shown
}

// existing finds the profile that a request names, with Actito.mu held.
func (a *Actito) existing(q *request) (*table, *Profile, error) {
	t, err := a.table(q.entity, q.table)
	if err != nil {
		return nil, nil, err
	}
	p, err := t.find(q.key)
	if err != nil {
		return nil, nil, err
	}
	if p == nil {
		return nil, nil, refuse(http.StatusNotFound, "there is no such profile")
	}
	return t, p, nil
}

// change makes a write and tells about it.
func (a *Actito) change(q *request, do func(*request, *Change) (outcome, error)) (outcome, error) {
	c := Change{At: a.opts.Now(), Kind: q.kind, Entity: q.entity, Table: q.table}
	var out outcome
	err := a.write(&c, func() (err error) {
		out, err = do(q, &c)
		return err
	})
	return out, err
}

// write runs a change under the locks, then the hook, and queues what webhooks
// tell of it.
func (a *Actito) write(c *Change, do func() error) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	a.mu.Lock()
	err := do()
	hook := a.onChange
	a.mu.Unlock()
	if err != nil {
		return err
	}
	if hook != nil {
		hook(*c)
	}
	a.tell(*c)
	return nil
}

// update changes what it is given and nothing else.
func (a *Actito) update(q *request, c *Change) (outcome, error) {
	t, p, err := a.existing(q)
	if err != nil {
		return outcome{}, err
	}
	next := p.clone()
	return a.store(t, p, next, q, c, http.StatusOK)
}

// create refuses a profile that exists.
func (a *Actito) create(q *request, c *Change) (outcome, error) {
	if a.opts.NoCreateOperation {
		return outcome{}, refuse(http.StatusMethodNotAllowed, "method %s is not allowed here", q.method)
	}
	t, p, next, err := a.fromKey(q)
	if err != nil {
		return outcome{}, err
	}
	if p != nil {
		return outcome{}, refuse(http.StatusConflict, "this profile exists already")
	}
	out, err := a.store(t, nil, next, q, c, http.StatusCreated)
	if err == nil {
		out.header.Set("Location", strings.TrimSuffix(q.path, "/")+"/"+text(c.After.ID))
	}
	return out, err
}

// replace makes a profile anew, keeping no more of an existing one than its id
// and the moment of its creation.
func (a *Actito) replace(q *request, c *Change) (outcome, error) {
	t, p, next, err := a.fromKey(q)
	if err != nil {
		return outcome{}, err
	}
	if p != nil {
		next.ID, next.Created = p.ID, p.Created
	} else if q.key.attr == attrProfileID {
		return outcome{}, refuse(http.StatusNotFound, "there is no such profile")
	}
	return a.store(t, p, next, q, c, http.StatusOK)
}

// fromKey finds the profile that a body's key names, if there is one, and makes
// a blank one that has the key's value.
func (a *Actito) fromKey(q *request) (t *table, p *Profile, next Profile, err error) {
	t, err = a.table(q.entity, q.table)
	if err != nil {
		return nil, nil, Profile{}, err
	}
	p, err = t.find(q.key)
	if err != nil {
		return nil, nil, Profile{}, err
	}
	next = t.blank()
	if q.key.attr == attrProfileID {
		if q.kind == KindCreate {
			err = refuse(http.StatusBadRequest, "%s cannot be chosen", attrProfileID)
		}
		return t, p, next, err
	}
	if v, given := q.attributes[q.key.attr]; given && (v == nil || text(v) != q.key.value) {
		return nil, nil, Profile{}, refuse(http.StatusBadRequest, "%s differs between key and attributes", q.key.attr)
	}
	err = t.merge(&next, map[string]any{q.key.attr: q.key.value}, nil)
	return t, p, next, err
}

func (a *Actito) store(t *table, old *Profile, next Profile, q *request, c *Change, status int) (outcome, error) {
	if err := t.merge(&next, q.attributes, q.subscriptions); err != nil {
		return outcome{}, err
	}
	if err := t.put(&next, c.At); err != nil {
		return outcome{}, err
	}
	if old != nil {
		c.Before = old.clone()
	}
	c.After = next
	return answer(status, map[string]int64{"profileId": next.ID}), nil
}

func (a *Actito) remove(q *request, c *Change) (outcome, error) {
	t, p, err := a.existing(q)
	if err != nil {
		return outcome{}, err
	}
	t.drop(p)
	c.Before = p.clone()
	return outcome{status: http.StatusNoContent}, nil
}
