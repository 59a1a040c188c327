package simulator

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
)

const webhooksPath = "/webhooks/v4/entity/acme/webhookSubscription"

// hookReceiver takes webhooks.
type hookReceiver struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	header http.Header // of the last
	answer func(w http.ResponseWriter, nth int)
}

// receive starts a receiver. It takes everything when answer is nil.
func receive(t *testing.T, answer func(w http.ResponseWriter, nth int)) *hookReceiver {
	t.Helper()
	r := &hookReceiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.bodies, r.header = append(r.bodies, string(body)), req.Header
		nth := len(r.bodies)
		r.mu.Unlock()
		if r.answer != nil {
			r.answer(w, nth)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// data gives the data of every event received, ids and links left out.
func (r *hookReceiver) data(t *testing.T) []string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, body := range r.bodies {
		var event struct {
			EventType string          `json:"eventType"`
			Data      json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal([]byte(body), &event); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		all = append(all, event.EventType+" "+string(event.Data))
	}
	return all
}

func wantData(t *testing.T, r *hookReceiver, want ...string) {
	t.Helper()
	if got := r.data(t); !reflect.DeepEqual(got, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// listen makes a webhook for each of the events.
func (b *bench) listen(target string, events ...string) {
	b.t.Helper()
	for _, event := range events {
		b.want("POST", webhooksPath, fmt.Sprintf(
			`{"on":"PROFILE_TABLE","onElementId":"16","eventType":%q,"targetUrl":%q,"headers":{"X-Secret":"s3cret"}}`,
			event, target), 201)
	}
}

var plainHTTP = ActitoOptions{AllowHTTPWebhooks: true}

func TestWebhookAPI(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{CallsPerMinute: -1})
	const whole = `{"on":"PROFILE_TABLE","onElementId":"16","eventType":"CREATE","onFields":["emailAddress"],` +
		`"targetUrl":"https://example.com/a","headers":{"X-Secret":"s3cret"},"isActive":false,"webhookPushType":"BULK","maxBlockSize":7}`
	for i := range 3 {
		if made := b.want("POST", webhooksPath, whole, 201); made["id"] != float64(i+1) {
			t.Errorf("made %v", made)
		}
	}
	var want map[string]any
	if err := json.Unmarshal([]byte(whole), &want); err != nil {
		t.Fatal(err)
	}
	want["id"] = 2.0
	if got := b.want("GET", webhooksPath+"/2", "", 200); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	b.want("PUT", webhooksPath+"/2", `{"on":"PROFILE_TABLE","onElementId":"16","eventType":"UPDATED_SUBSCRIPTION","targetUrl":"https://example.com/b"}`, 200)
	got := b.want("GET", webhooksPath+"/2", "", 200)
	if got["targetUrl"] != "https://example.com/b" || got["isActive"] != true || got["webhookPushType"] != "ONE_BY_ONE" || got["headers"] != nil {
		t.Errorf("replaced by %v", got)
	}
	b.want("DELETE", webhooksPath+"/1", "", 204)
	b.want("DELETE", webhooksPath+"/1", "", 404)
	b.want("GET", webhooksPath+"/1", "", 404)
	b.want("PUT", webhooksPath+"/1", whole, 404)
	b.want("GET", "/v4/entity/acme/webhookSubscription/2", "", 200)
	b.want("GET", "/webhooks/v4/entity/nobody/webhookSubscription", "", 404)
	b.want("PATCH", webhooksPath, "", 405)
	for query, ids := range map[string][]any{
		"": {2.0, 3.0}, "?page=0&pageSize=1": {2.0}, "?page=1&pageSize=1": {3.0}, "?page=2&pageSize=1": nil,
		"?pageSize=1000000": {2.0, 3.0},
	} {
		var got []any
		for _, w := range b.want("GET", webhooksPath+query, "", 200)["webhookSubscriptions"].([]any) {
			got = append(got, w.(map[string]any)["id"])
		}
		if !reflect.DeepEqual(got, ids) {
			t.Errorf("%q: got %v, want %v", query, got, ids)
		}
	}
	for range maxWebhookPage {
		b.want("POST", webhooksPath, whole, 201)
	}
	if got := b.want("GET", webhooksPath+"?pageSize=1000", "", 200)["webhookSubscriptions"].([]any); len(got) != maxWebhookPage {
		t.Errorf("a page of %d", len(got))
	}
	b.want("GET", webhooksPath+"?page=-1", "", 400)
	b.want("GET", webhooksPath+"?pageSize=x", "", 400)
}

func TestWebhooksRefused(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	for field, value := range map[string]string{
		"on": `"CUSTOM_TABLE"`, "onElementId": `"17"`, "eventType": `"UPDATED_SUBSCRIPTIONS"`, "targetUrl": `"http://example.com"`,
		"headers": `{"content-type":"text/plain"}`, "webhookPushType": `"SOMETIMES"`, "maxBlockSize": `-1`, "isActive": `"yes"`,
	} {
		body := map[string]json.RawMessage{
			"on": []byte(`"PROFILE_TABLE"`), "onElementId": []byte(`"16"`), "eventType": []byte(`"CREATE"`),
			"targetUrl": []byte(`"https://example.com"`),
		}
		body[field] = []byte(value)
		raw, _ := json.Marshal(body)
		b.want("POST", webhooksPath, string(raw), 400)
	}
	b.want("POST", webhooksPath, `{`, 400)
	if got := b.WebhookSubscriptions(); len(got) != 0 {
		t.Errorf("refused, and made: %v", got)
	}
}

func TestWebhookRights(t *testing.T) {
	t.Parallel()
	const body = `{"on":"PROFILE_TABLE","onElementId":"16","eventType":"CREATE","targetUrl":"https://example.com"}`
	b := direct(t, ActitoOptions{})
	b.AddKey("reads", RightReadWebhooks)
	b.AddKey("writes", RightWriteWebhooks)
	b.token = b.fetchToken("reads")
	b.want("POST", webhooksPath, body, 403)
	b.want("GET", webhooksPath, "", 200)
	b.token = b.fetchToken("writes")
	b.want("POST", webhooksPath, body, 201)
	b.want("GET", webhooksPath+"/1", "", 403)
	b.token = b.fetchToken("reads")
	b.want("GET", webhooksPath+"/1", "", 200)
	b.want("PUT", webhooksPath+"/1", body, 403)
	b.want("DELETE", webhooksPath+"/1", "", 403)
}

func TestWebhookHeadersAreShownOrNot(t *testing.T) {
	t.Parallel()
	for shape, want := range map[HeadersShape]any{
		"": map[string]any{"X-Secret": "s3cret"}, HeadersMasked: map[string]any{"X-Secret": "*****"}, HeadersAbsent: nil,
	} {
		b := direct(t, ActitoOptions{AllowHTTPWebhooks: true, WebhookHeaders: shape})
		b.listen("http://127.0.0.1:1", EventCreate)
		if got := b.want("GET", webhooksPath+"/1", "", 200)["headers"]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", shape, got, want)
		}
		if got := b.WebhookSubscriptions()[0].Headers["X-Secret"]; got != "s3cret" {
			t.Errorf("%s: stored %q", shape, got)
		}
	}
}
