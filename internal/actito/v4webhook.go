package actito

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// v4webhook is the API of webhooks, which exists in version 4 alone. The package
// comment says what of it is documented and what is guessed.
type v4webhook struct{}

const (
	webhooksPart   = "webhookSubscription"
	onProfileTable = "PROFILE_TABLE"
	oneByOne       = "ONE_BY_ONE"
)

func (d v4webhook) path(entity string, id ...string) string {
	path := []string{"/webhooks/v4/entity", segment(entity), webhooksPart}
	for _, s := range id {
		path = append(path, segment(s))
	}
	return strings.Join(path, "/")
}

func (d v4webhook) list(entity string, page int) call {
	return call{
		op: "actito.Webhooks", method: http.MethodGet,
		path: fmt.Sprintf("%s?page=%d&pageSize=%d", d.path(entity), page, webhookPage),
	}
}

func (d v4webhook) create(entity string, s Subscription) (call, error) {
	return d.write("actito.CreateWebhook", http.MethodPost, d.path(entity), s)
}

func (d v4webhook) replace(entity string, s Subscription) (call, error) {
	return d.write("actito.ReplaceWebhook", http.MethodPut, d.path(entity, s.ID), s)
}

func (d v4webhook) remove(entity, id string) call {
	return call{op: "actito.DeleteWebhook", method: http.MethodDelete, path: d.path(entity, id)}
}

// webhookBody has no onFields: they could only keep events from us.
type webhookBody struct {
	On        string            `json:"on"`
	ElementID string            `json:"onElementId"`
	EventType WebhookEvent      `json:"eventType"`
	TargetURL string            `json:"targetUrl"`
	Headers   map[string]string `json:"headers,omitempty"`
	Active    bool              `json:"isActive"`
	PushType  string            `json:"webhookPushType"`
}

func (d v4webhook) write(op, method, path string, s Subscription) (call, error) {
	req := call{op: op, method: method, path: path, private: s.private()}
	var err error
	req.body, err = json.Marshal(webhookBody{
		On: onProfileTable, ElementID: s.TableID, EventType: s.Event, TargetURL: s.TargetURL,
		Headers: s.Headers, Active: s.Active, PushType: oneByOne,
	})
	return req, err
}

// listed is a webhook in a list, with the sort of thing that it is on: a custom
// table may have the id of a profile table.
type listed struct {
	Subscription
	on string
}

func (d v4webhook) parseList(body []byte) ([]listed, error) {
	answer, err := decode(body)
	if err != nil {
		return nil, err
	}
	elements, err := webhooksIn(answer)
	if err != nil {
		return nil, err
	}
	list := make([]listed, len(elements))
	for i, element := range elements {
		if list[i], err = d.parseWebhook(element); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// webhooksIn finds the array of webhooks in an answer, wherever it stands. An
// empty one counts when there is no other.
func webhooksIn(answer any) ([]map[string]any, error) {
	empty := false
	for level := []any{answer}; len(level) > 0; {
		var next []any
		for _, v := range level {
			switch v := v.(type) {
			case []any:
				if list, ok := webhookObjects(v); ok {
					return list, nil
				}
				empty = empty || len(v) == 0
			case map[string]any:
				for _, key := range keysLike(v, "webhook") {
					next = append(next, v[key])
				}
			}
		}
		level = next
	}
	if empty {
		return nil, nil
	}
	return nil, errors.New("the answer holds no list of webhooks")
}

func webhookObjects(array []any) (list []map[string]any, ok bool) {
	for _, element := range array {
		object, isObject := element.(map[string]any)
		if !isObject {
			return nil, false
		}
		if _, ok := inside(object, "targetUrl", "eventType"); !ok {
			return nil, false
		}
		list = append(list, object)
	}
	return list, len(list) > 0
}

func (d v4webhook) parseWebhook(element map[string]any) (listed, error) {
	object, _ := inside(element, "targetUrl", "eventType")
	s := listed{on: text(field(object, "on"))}
	for _, v := range []any{field(object, "id"), field(element, "id")} {
		if s.ID = text(v); s.ID != "" {
			break
		}
	}
	if s.ID == "" {
		return s, errors.New("a webhook in the answer has no id")
	}
	s.TableID = text(field(object, "onElementId"))
	s.Event = eventOf(field(object, "eventType"))
	s.TargetURL = text(field(object, "targetUrl"))
	s.Headers = headersIn(field(object, "headers"))
	active, told := truth(field(object, "isActive", "active"))
	s.Active = active || !told
	return s, nil
}

// eventOf reads the name of an event. Documentation writes this one with an s,
// too, in one place
// (https://developersbuild.actito.com/develop/docs/use-cases/optin-preferences-management).
func eventOf(v any) WebhookEvent {
	event := WebhookEvent(strings.ToUpper(strings.TrimSpace(text(v))))
	if event == WebhookUpdatedSubscription+"S" {
		return WebhookUpdatedSubscription
	}
	return event
}

// headersIn reads the headers of a webhook. They are not known unless each of
// them has a value, and one that does not look masked.
func headersIn(v any) map[string]string {
	found, ok := pairs(v, nil, "value")
	if !ok || len(found) == 0 {
		return nil
	}
	headers := make(map[string]string, len(found))
	for name, value := range found {
		headers[name] = text(value)
		if looksMasked(headers[name]) {
			return nil
		}
	}
	return headers
}

func looksMasked(value string) bool {
	shown := strings.Trim(value, "*•●…. xX#-")
	word := strings.ToLower(strings.Trim(shown, "<>[](){}"))
	return shown == "" || strings.Contains(value, "***") || strings.ContainsAny(value, "•●…") ||
		slices.Contains([]string{"hidden", "masked", "redacted", "secret", "protected", "null", "undefined"}, word)
}

// parseCreated finds the id of a webhook in the answer to its making: as "id"
// in the answer or in an object of it, as the whole answer, or in the Location.
// It is empty for none.
func (d v4webhook) parseCreated(header http.Header, body []byte) string {
	answer, err := decode(body)
	if err != nil {
		answer = nil
	}
	found := []string{text(answer)}
	if object, ok := answer.(map[string]any); ok {
		if object, ok = inside(object, "id"); ok {
			found = append(found, text(field(object, "id")))
		}
	}
	if u, err := url.Parse(header.Get("Location")); err == nil {
		parts := strings.Split(strings.Trim(u.Path, "/"), "/")
		if i := slices.Index(parts, webhooksPart); i >= 0 && i+2 == len(parts) {
			found = append(found, parts[i+1])
		}
	}
	for _, id := range found {
		if strings.ContainsAny(id, "0123456789") && len(id) <= 200 && !strings.ContainsAny(id, "/?#<> \r\n") {
			return id
		}
	}
	return ""
}
