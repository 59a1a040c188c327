package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The events of profile tables that a webhook can be for
// (https://developers.actito.com/docs/integration-framework/webhooks/events/data).
// The last two are taken and never told of.
const (
	EventCreate              = "CREATE"
	EventUpdatedSubscription = "UPDATED_SUBSCRIPTION"
	EventUpdate              = "UPDATE"
	EventUpdatedSegment      = "UPDATED_SEGMENT"
)

// How a webhook tells of events.
const (
	PushOneByOne = "ONE_BY_ONE"
	PushBulk     = "BULK"
)

// HeadersShape says what Actito tells of a webhook's headers.
type HeadersShape string

// The shapes of a webhook's headers.
const (
	HeadersShown  HeadersShape = "shown"
	HeadersMasked HeadersShape = "masked" // names with ***** for values
	HeadersAbsent HeadersShape = "absent"
)

// WebhookSubscription is a webhook that somebody has asked for
// (https://developers.actito.com/docs/integration-framework/webhooks/protocol).
type WebhookSubscription struct {
	ID     int
	Entity string
	Table  string // its id
	Event  string
	// Fields filter: unless it is empty, one of them has to be in the event.
	Fields    []string
	TargetURL string
	Headers   map[string]string
	Active    bool
	PushType  string
	// BlockSize is the most events in one POST of PushBulk.
	BlockSize int
}

// webhookJSON is a webhook as the API takes and gives it.
type webhookJSON struct {
	ID        int               `json:"id,omitempty"`
	On        string            `json:"on"`
	ElementID string            `json:"onElementId"`
	Event     string            `json:"eventType"`
	Fields    []string          `json:"onFields"`
	TargetURL string            `json:"targetUrl"`
	Headers   map[string]string `json:"headers,omitempty"`
	Active    *bool             `json:"isActive"`
	PushType  string            `json:"webhookPushType"`
	BlockSize int               `json:"maxBlockSize,omitempty"`
}

// WebhookSubscriptions gives the webhooks there are, oldest first.
func (a *Actito) WebhookSubscriptions() []WebhookSubscription {
	a.webhooks.mu.Lock()
	defer a.webhooks.mu.Unlock()
	list := make([]WebhookSubscription, len(a.webhooks.list))
	for i, w := range a.webhooks.list {
		list[i] = w.WebhookSubscription
		list[i].Fields, list[i].Headers = slices.Clone(w.Fields), maps.Clone(w.Headers)
	}
	return list
}

// routeWebhooks finds out what a path of the form
// /webhooks/v4/entity/{entity}/webhookSubscription[/{id}] is for, with or
// without its category.
func (q *request) routeWebhooks(parts []string) bool {
	if len(parts) > 0 && parts[0] == "webhooks" {
		parts = parts[1:]
	}
	if len(parts) < 4 || len(parts) > 5 || parts[0] != "v4" || parts[1] != "entity" || parts[3] != "webhookSubscription" {
		return false
	}
	q.entity = parts[2]
	if len(parts) == 4 {
		q.choose(map[string]Kind{http.MethodGet: KindWebhooks, http.MethodPost: KindCreateWebhook})
		return true
	}
	q.webhookID = parts[4]
	q.choose(map[string]Kind{
		http.MethodGet: KindWebhook, http.MethodPut: KindReplaceWebhook, http.MethodDelete: KindDeleteWebhook,
	})
	return true
}

// serveWebhooks does what a call about webhooks asks for.
func (a *Actito) serveWebhooks(q *request) (outcome, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.entity(q.entity) == nil {
		return outcome{}, refuse(http.StatusNotFound, "there is no entity %q", q.entity)
	}
	a.webhooks.mu.Lock()
	defer a.webhooks.mu.Unlock()
	switch q.kind {
	case KindWebhooks:
		return a.listWebhooks(q)
	case KindCreateWebhook:
		made, err := a.readWebhook(q)
		if err != nil {
			return outcome{}, err
		}
		a.webhooks.lastID++
		made.ID = a.webhooks.lastID
		a.webhooks.list = append(a.webhooks.list, &webhook{WebhookSubscription: made})
		out := answer(http.StatusCreated, map[string]int{"id": made.ID})
		out.header.Set("Location", strings.TrimSuffix(q.path, "/")+"/"+strconv.Itoa(made.ID))
		return out, nil
	}
	i := slices.IndexFunc(a.webhooks.list, func(w *webhook) bool {
		return w.Entity == q.entity && strconv.Itoa(w.ID) == q.webhookID
	})
	if i < 0 {
		return outcome{}, refuse(http.StatusNotFound, "there is no webhook %q", q.webhookID)
	}
	w := a.webhooks.list[i]
	switch q.kind {
	case KindReplaceWebhook:
		next, err := a.readWebhook(q)
		if err != nil {
			return outcome{}, err
		}
		next.ID = w.ID
		w.WebhookSubscription = next
		return answer(http.StatusOK, map[string]int{"id": w.ID}), nil
	case KindDeleteWebhook:
		a.webhooks.list = slices.Delete(a.webhooks.list, i, i+1)
		a.webhooks.drop(w)
		return outcome{status: http.StatusNoContent}, nil
	default:
		return answer(http.StatusOK, a.showWebhook(w)), nil
	}
}

// listWebhooks takes the queries page, from 0, and pageSize.
func (a *Actito) listWebhooks(q *request) (outcome, error) {
	number := func(name string, unless int) (int, error) {
		if !q.query.Has(name) {
			return unless, nil
		}
		n, err := strconv.Atoi(q.query.Get(name))
		if err != nil || n < 0 || n > 1e6 {
			return 0, refuse(http.StatusBadRequest, "%s has to be a number", name)
		}
		return n, nil
	}
	page, err1 := number("page", 0)
	size, err2 := number("pageSize", maxWebhookPage)
	if err := errors.Join(err1, err2); err != nil {
		return outcome{}, err
	}
	size = min(size, maxWebhookPage)
	list := []webhookJSON{}
	for _, w := range a.webhooks.list {
		if w.Entity == q.entity {
			list = append(list, a.showWebhook(w))
		}
	}
	start := min(page*size, len(list))
	return answer(http.StatusOK, map[string]any{
		"webhookSubscriptions": list[start:min(start+size, len(list))],
	}), nil
}

const maxWebhookPage = 100

func (a *Actito) showWebhook(w *webhook) webhookJSON {
	out := webhookJSON{
		ID: w.ID, On: "PROFILE_TABLE", ElementID: w.Table, Event: w.Event, Fields: w.Fields,
		TargetURL: w.TargetURL, Active: &w.Active, PushType: w.PushType, BlockSize: w.BlockSize,
	}
	switch a.opts.WebhookHeaders {
	case HeadersAbsent:
	case HeadersMasked:
		out.Headers = map[string]string{}
		for name := range w.Headers {
			out.Headers[name] = "*****"
		}
	default:
		out.Headers = w.Headers
	}
	return out
}

// readWebhook understands the body of a call that makes or replaces a webhook,
// with Actito.mu held.
func (a *Actito) readWebhook(q *request) (WebhookSubscription, error) {
	var in webhookJSON
	if err := json.Unmarshal(q.webhook, &in); err != nil {
		return WebhookSubscription{}, refuse(http.StatusBadRequest, "the body is not the JSON expected: %v", err)
	}
	s := WebhookSubscription{
		Entity: q.entity, Table: in.ElementID, Event: in.Event, Fields: in.Fields,
		TargetURL: in.TargetURL, Headers: in.Headers, Active: in.Active == nil || *in.Active,
		PushType: in.PushType, BlockSize: in.BlockSize,
	}
	if s.PushType == "" {
		s.PushType = PushOneByOne
	}
	if s.BlockSize == 0 {
		s.BlockSize = maxWebhookPage
	}
	var bad []error
	complain := func(is bool, format string, args ...any) {
		if is {
			bad = append(bad, fmt.Errorf(format, args...))
		}
	}
	_, err := a.table(q.entity, in.ElementID)
	events := []string{EventCreate, EventUpdatedSubscription, EventUpdate, EventUpdatedSegment}
	target, urlErr := url.Parse(in.TargetURL)
	_, secure := strings.CutPrefix(in.TargetURL, "https://")
	complain(in.On != "PROFILE_TABLE", "on has to be PROFILE_TABLE in this simulation")
	complain(err != nil, "there is no profile table %q", in.ElementID)
	complain(!slices.Contains(events, in.Event), "eventType has to be one of %s", strings.Join(events, ", "))
	complain(urlErr != nil || target.Host == "", "targetUrl is not a URL")
	complain(!secure && !a.opts.AllowHTTPWebhooks, "targetUrl has to begin with https://")
	complain(s.PushType != PushOneByOne && s.PushType != PushBulk, "webhookPushType has to be %s or %s", PushOneByOne, PushBulk)
	complain(s.BlockSize < 0, "maxBlockSize cannot be negative")
	for name := range in.Headers {
		complain(strings.EqualFold(name, "Content-Type"), "the header Content-Type cannot be chosen")
	}
	return s, badRequest(bad)
}
