package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

// WebhookShape is how events stand in the body of a POST.
type WebhookShape string

// The shapes of a webhook's body. Documentation has the first, says an array of
// events for blocks, and shows the last in a sample of one
// (https://developers.actito.com/docs/integration-framework/webhooks/protocol,
// https://developers.actito.com/docs/integration-framework/webhooks/events/triggers).
const (
	// ShapeOfPush is ShapeObject for PushOneByOne and ShapeArray for PushBulk.
	ShapeOfPush    WebhookShape = ""
	ShapeObject    WebhookShape = "object"     // {"data": {}}
	ShapeArray     WebhookShape = "array"      // [{"data": {}}]
	ShapeDataArray WebhookShape = "data-array" // {"data": [{}]}
)

// WebhookValues is how values are written in a webhook.
type WebhookValues string

// The spellings of values.
const (
	ValuesTyped  WebhookValues = ""       // true, 109
	ValuesText   WebhookValues = "text"   // "true", "109"
	ValuesDigits WebhookValues = "digits" // 1, 109
)

// WebhookOptions says how webhooks are delivered. The zero value tells every
// event once, in the order of the changes, one at a time for each webhook.
type WebhookOptions struct {
	// Delay passes before a batch is told. Events that come meanwhile join it.
	Delay time.Duration
	// Reverse tells the events of a batch in reverse order.
	Reverse bool
	// Drop and Duplicate are probabilities: that a POST is not made at all, and
	// that it is made twice.
	Drop, Duplicate float64

	Shape  WebhookShape
	Values WebhookValues
	// UniqueKeys puts the unique attributes beside profileId.
	UniqueKeys bool
	// NoID and NoEventType leave these out, the second as in the published
	// samples.
	NoID, NoEventType bool
}

func (o WebhookOptions) check() error {
	switch {
	case o.Drop < 0 || o.Drop > 1 || o.Duplicate < 0 || o.Duplicate > 1:
		return errors.New("simulator: a probability lies between 0 and 1")
	case !slices.Contains([]WebhookShape{ShapeOfPush, ShapeObject, ShapeArray, ShapeDataArray}, o.Shape):
		return fmt.Errorf("simulator: webhooks have no shape %q", o.Shape)
	case !slices.Contains([]WebhookValues{ValuesTyped, ValuesText, ValuesDigits}, o.Values):
		return fmt.Errorf("simulator: webhooks have no values %q", o.Values)
	}
	return nil
}

// WebhookDelivery is one POST to a receiver, with its retries.
type WebhookDelivery struct {
	Begun   time.Time       `json:"begun"`
	Webhook int             `json:"webhook"` // its id
	Event   string          `json:"event"`
	Target  string          `json:"target"`
	Body    json.RawMessage `json:"body"`
	// Attempts is 0 until the first has ended. Status is that of the last, 0 if
	// it got no answer, with Error instead.
	Attempts int    `json:"attempts"`
	Status   int    `json:"status"`
	Error    string `json:"error,omitempty"`
	// Taken says that a receiver answered with a 2xx.
	Taken bool `json:"taken"`
	// Dropped was never made, Repeated is the second of two.
	Dropped  bool `json:"dropped,omitempty"`
	Repeated bool `json:"repeated,omitempty"`

	headers map[string]string
}

// WebhookDeliveries gives what was told, in the order in which it was begun, what
// is under way included.
func (a *Actito) WebhookDeliveries() []WebhookDelivery {
	a.webhooks.mu.Lock()
	defer a.webhooks.mu.Unlock()
	list := make([]WebhookDelivery, len(a.webhooks.log))
	for i, d := range a.webhooks.log {
		list[i] = *d
	}
	return list
}

// posts writes a webhook's queue as the POSTs that tell it.
func (o WebhookOptions) posts(w *webhook) []*WebhookDelivery {
	batch := slices.Clone(w.queue)
	if o.Reverse {
		slices.Reverse(batch)
	}
	size := 1
	if w.PushType == PushBulk {
		size = w.BlockSize
	}
	var list []*WebhookDelivery
	for block := range slices.Chunk(batch, size) {
		for _, body := range o.bodies(w.WebhookSubscription, block) {
			raw, err := json.Marshal(body)
			if err != nil {
				panic(err) // only of values that no table holds
			}
			list = append(list, &WebhookDelivery{
				Webhook: w.ID, Event: w.Event, Target: w.TargetURL, Body: raw, headers: maps.Clone(w.Headers),
			})
		}
	}
	return list
}

func (o WebhookOptions) bodies(s WebhookSubscription, block []event) []any {
	shape := o.Shape
	if shape == ShapeOfPush {
		shape = ShapeObject
		if s.PushType == PushBulk {
			shape = ShapeArray
		}
	}
	if shape == ShapeDataArray {
		rows := make([]map[string]any, len(block))
		for i, e := range block {
			rows[i] = o.data(e)
		}
		return []any{o.envelope(s, block[0], rows)}
	}
	events := make([]any, len(block))
	for i, e := range block {
		events[i] = o.envelope(s, e, o.data(e))
	}
	if shape == ShapeArray {
		return []any{events}
	}
	return events
}

// envelope writes an event around its data, as in the published samples but for
// the type.
func (o WebhookOptions) envelope(s WebhookSubscription, e event, data any) map[string]any {
	href := fmt.Sprintf("/webhooks/v4/entity/%s/webhookSubscription/%d", s.Entity, s.ID)
	out := map[string]any{
		"id": e.id, "eventType": e.kind, "data": data,
		"_links": map[string]any{"webhook": map[string]string{"href": href}},
	}
	if o.NoID {
		delete(out, "id")
	}
	if o.NoEventType {
		delete(out, "eventType")
	}
	return out
}

func (o WebhookOptions) data(e event) map[string]any {
	data := maps.Clone(e.data)
	if o.UniqueKeys {
		maps.Copy(data, e.unique)
	}
	for name, v := range data {
		yes, isBool := v.(bool)
		switch {
		case o.Values == ValuesText:
			data[name] = text(v)
		case o.Values == ValuesDigits && isBool:
			data[name] = 0
			if yes {
				data[name] = 1
			}
		}
	}
	return data
}

// defaultWebhookHTTP has ten seconds' patience and does not follow redirects.
func defaultWebhookHTTP() *http.Client {
	transport := http.DefaultTransport
	if t, ok := transport.(*http.Transport); ok {
		transport = t.Clone() // whose connections end with the simulation
	}
	return &http.Client{
		Timeout: 10 * time.Second, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
