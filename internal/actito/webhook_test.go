package actito

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"consentsync/internal/consent"
)

const hooksPath = "/webhooks/v4/entity/acme/webhookSubscription"

var told = Subscription{
	ID: "7", TableID: "16", Event: WebhookUpdatedSubscription, TargetURL: "https://sync.example.com/webhooks/actito/3",
	Headers: map[string]string{"X-Secret": "Bearer s3cret-value"}, Active: true,
}

func TestWebhookCalls(t *testing.T) {
	t.Parallel()
	const body = ` {"on":"PROFILE_TABLE","onElementId":"16","eventType":"UPDATED_SUBSCRIPTION",` +
		`"targetUrl":"https://sync.example.com/webhooks/actito/3","headers":{"X-Secret":"Bearer s3cret-value"},` +
		`"isActive":true,"webhookPushType":"ONE_BY_ONE"}`
	f, c := newFake(t, nil, steps(201, `{"id":123}`, 200, `{"id":7}`, 204, "", 200, "[]"))
	id, err := c.CreateWebhook(t.Context(), "acme", told)
	if err != nil || id != "123" {
		t.Errorf("made %q, %v", id, err)
	}
	if err := c.ReplaceWebhook(t.Context(), "acme", told); err != nil {
		t.Error(err)
	}
	if err := c.DeleteWebhook(t.Context(), "acme", "a/b"); err != nil {
		t.Error(err)
	}
	if list, err := c.Webhooks(t.Context(), "a&b"); err != nil || list != nil {
		t.Errorf("listed %v, %v", list, err)
	}
	wantEqual(t, f.Seen(), []string{
		"POST " + hooksPath + body,
		"PUT " + hooksPath + "/7" + body,
		"DELETE " + hooksPath + "/a%2Fb",
		"GET /webhooks/v4/entity/a%26b/webhookSubscription?page=0&pageSize=100",
	})

	f, c = newFake(t, nil, always(200, `{"id":"9"}`))
	if _, err := c.CreateWebhook(t.Context(), "acme", Subscription{TableID: "16", Event: WebhookCreate, TargetURL: "https://x.example"}); err != nil {
		t.Error(err)
	}
	wantEqual(t, f.Seen(), []string{"POST " + hooksPath + ` {"on":"PROFILE_TABLE","onElementId":"16",` +
		`"eventType":"CREATE","targetUrl":"https://x.example","isActive":false,"webhookPushType":"ONE_BY_ONE"}`})
}

func TestListOfWebhooks(t *testing.T) {
	t.Parallel()
	const one = `{"id":7,"on":"PROFILE_TABLE","onElementId":16,"eventType":"UPDATED_SUBSCRIPTION",` +
		`"targetUrl":"https://sync.example.com/webhooks/actito/3","headers":{"X-Secret":"Bearer s3cret-value"},"isActive":true}`
	for body, want := range map[string][]Subscription{
		`[` + one + `]`:                          {told},
		`{"webhookSubscriptions":[` + one + `]}`: {told},
		`{"page":0,"total":1,"_links":[],"_embedded":{"items":[` + one + `]}}`:              {told},
		`[{"id":"7","webhookSubscription":` + strings.Replace(one, `"id":7,`, ``, 1) + `}]`: {told},
		`{"webhookSubscriptions":[]}`: nil,
		`[{"id":"x","eventType":"updated_subscriptions","active":"false"}]`: {
			{ID: "x", Event: WebhookUpdatedSubscription},
		},
		`[{"id":1,"on":"CUSTOM_TABLE","onElementId":"16","eventType":"CREATE"},{"id":2,"eventType":"ETL_FINISHED"}]`: {
			{ID: "2", Event: "ETL_FINISHED", Active: true},
		},
	} {
		_, c := newFake(t, nil, steps(200, body, 200, body))
		got, err := c.Webhooks(t.Context(), "acme")
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		wantEqual(t, got, want)
	}
	for _, body := range []string{
		"", "{}", "7", `{"webhookSubscriptions":null}`, `[{"targetUrl":"https://x"}]`, `[{"id":1}]`, `[1]`, `[{"eventType":"CREATE"},7]`,
	} {
		_, c := newFake(t, nil, always(200, body))
		list, err := c.Webhooks(t.Context(), "acme")
		wantKind(t, err, consent.Transient)
		if list != nil {
			t.Errorf("%s: %v", body, list)
		}
	}
}

// What is not certain about headers must not look like a difference to repair.
func TestHeadersOfAListedWebhook(t *testing.T) {
	t.Parallel()
	for headers, want := range map[string]map[string]string{
		`{"X-A":"abc","X-B":"7xx7"}`:     {"X-A": "abc", "X-B": "7xx7"},
		`[{"name":"X-A","value":"abc"}]`: {"X-A": "abc"},
		`null`:                           nil,
		`{}`:                             nil,
		`7`:                              nil,
		`{"X-A":null}`:                   nil,
		`{"X-A":""}`:                     nil,
		`{"X-A":"abc","X-B":"*****"}`:    nil,
		`{"X-A":"ab***"}`:                nil,
		`{"X-A":"•••"}`:                  nil,
		`{"X-A":"xx-xx"}`:                nil,
		`{"X-A":"<hidden>"}`:             nil,
		`{"X-A":{"secret":true}}`:        nil,
		`["X-A"]`:                        nil,
	} {
		body := `[{"id":7,"eventType":"CREATE","headers":` + headers + `}]`
		_, c := newFake(t, nil, steps(200, body, 200, "[]"))
		got, err := c.Webhooks(t.Context(), "acme")
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %v, %v", headers, got, err)
		}
		wantEqual(t, got[0].Headers, want)
	}
}

func TestPagesOfWebhooks(t *testing.T) {
	t.Parallel()
	page := func(from, to int) string {
		var all []string
		for i := from; i < to; i++ {
			all = append(all, fmt.Sprintf(`{"id":%d,"eventType":"CREATE"}`, i))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	for name, c := range map[string]struct {
		answers      []any
		found, calls int
	}{
		"empty":                    {[]any{200, "[]"}, 0, 1},
		"shorter than asked for":   {[]any{200, page(0, 2), 200, page(2, 3), 200, "[]"}, 3, 3},
		"overlapping":              {[]any{200, page(0, 100), 200, page(99, 101), 200, page(99, 101)}, 101, 3},
		"all in each":              {[]any{200, page(0, 300), 200, page(0, 300)}, 300, 2},
		"the next is not found":    {[]any{200, page(0, 100), 404, ""}, 100, 2},
		"the next cannot be had":   {[]any{200, page(0, 100), 500, ""}, -1, 2},
		"the next is not readable": {[]any{200, page(0, 100), 200, "{}"}, -1, 2},
		"none is found":            {[]any{404, ""}, -1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, client := newFake(t, nil, steps(c.answers...))
			got, err := client.Webhooks(t.Context(), "acme")
			if (err != nil) != (c.found < 0) || len(got) != max(0, c.found) || len(f.Seen()) != c.calls {
				t.Errorf("found %d with %d calls, %v", len(got), len(f.Seen()), err)
			}
		})
	}
	endless := 0
	f, c := newFake(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, page(endless, endless+1))
		endless++
	})
	list, err := c.Webhooks(t.Context(), "acme")
	wantKind(t, err, consent.TooLarge)
	if list != nil || len(f.Seen()) != webhookPages {
		t.Errorf("%d webhooks with %d calls", len(list), len(f.Seen()))
	}
}

func TestIDOfAWebhookMade(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ location, body, want string }{
		{"", `{"id":123}`, "123"},
		{"", `{"id":"9b-1"}`, "9b-1"},
		{"", `{"webhookSubscription":{"id":5}}`, "5"},
		{"", `77`, "77"},
		{"", `"77"`, "77"},
		{"https://x.example/webhooks/v4/entity/acme/webhookSubscription/12", ``, "12"},
		{"/entity/acme/webhookSubscription/12/", `{"status":"made`, "12"},
		{"/entity/acme/webhookSubscription", ``, ""},
		{"", `{"status":200}`, ""},
		{"", `"created"`, ""},
		{"", `{"id":"../7"}`, ""},
		{"", ``, ""},
	} {
		f, client := newFake(t, nil, func(w http.ResponseWriter, _ *http.Request) {
			if c.location != "" {
				w.Header().Set("Location", c.location)
			}
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, c.body)
		})
		got, err := client.CreateWebhook(t.Context(), "acme", told)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q %s: got %q, %v", c.location, c.body, got, err)
		}
		if c.want == "" {
			wantKind(t, err, consent.Unclear)
		}
		if n := len(f.Seen()); n != 1 {
			t.Errorf("%d calls", n)
		}
	}
}

// A webhook made twice would tell everything twice.
func TestWebhookWritesAreSentOnce(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]consent.Kind{
		0: consent.Unclear, 500: consent.Unclear, 503: consent.Transient, 429: consent.RateLimited, 400: consent.Invalid,
		403: consent.Forbidden, 404: consent.NotFound, 307: consent.Forbidden,
	} {
		f, c := newFake(t, nil, func(w http.ResponseWriter, r *http.Request) {
			if status == 0 {
				abort(w, r)
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		})
		_, err := c.CreateWebhook(t.Context(), "acme", told)
		wantKind(t, err, want)
		wantKind(t, c.ReplaceWebhook(t.Context(), "acme", told), want)
		wantKind(t, c.DeleteWebhook(t.Context(), "acme", "7"), want)
		if n := len(f.Seen()); n != 3 {
			t.Errorf("%d: %d calls", status, n)
		}
	}
}

func TestWebhooksThatCannotBe(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, nil, nil)
	for name, spoil := range map[string]func(*Subscription){
		"no table":     func(s *Subscription) { s.TableID = "" },
		"dots":         func(s *Subscription) { s.TableID = ".." },
		"no event":     func(s *Subscription) { s.Event = "" },
		"no target":    func(s *Subscription) { s.TargetURL = "" },
		"no host":      func(s *Subscription) { s.TargetURL = "https:///x" },
		"no scheme":    func(s *Subscription) { s.TargetURL = "sync.example.com" },
		"other scheme": func(s *Subscription) { s.TargetURL = "ftp://sync.example.com" },
		"content type": func(s *Subscription) { s.Headers = map[string]string{"content-TYPE": "x"} },
		"header name":  func(s *Subscription) { s.Headers = map[string]string{"X Secret": "x"} },
		"no name":      func(s *Subscription) { s.Headers = map[string]string{"": "x"} },
		"line break":   func(s *Subscription) { s.Headers = map[string]string{"X": "a\r\nb"} },
		"no value":     func(s *Subscription) { s.Headers = map[string]string{"X": ""} },
		"umlaut":       func(s *Subscription) { s.Headers = map[string]string{"X": "ä"} },
	} {
		s := told
		spoil(&s)
		_, err := c.CreateWebhook(t.Context(), "acme", s)
		if consent.KindOf(err) != consent.Invalid || consent.KindOf(c.ReplaceWebhook(t.Context(), "acme", s)) != consent.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, id := range []string{"", ".", ".."} {
		s := told
		s.ID = id
		wantKind(t, c.ReplaceWebhook(t.Context(), "acme", s), consent.Invalid)
		wantKind(t, c.DeleteWebhook(t.Context(), "acme", id), consent.Invalid)
	}
	_, err := c.Webhooks(t.Context(), "")
	wantKind(t, err, consent.Invalid)
	if n := len(f.Seen()) + f.TokenCalls(); n != 0 {
		t.Errorf("%d calls", n)
	}
}

func TestNoSecretOfAWebhookIsTold(t *testing.T) {
	t.Parallel()
	s := told
	s.TargetURL = "https://user:pa55word@sync.example.com/hooks?token=t0ken+in+url"
	secrets := []string{"s3cret", "pa55word", "t0ken", apiKey}
	for _, status := range []int{400, 403, 404, 409, 500, 503} {
		_, c := newFake(t, nil, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			body, _ := io.ReadAll(r.Body)
			_, _ = fmt.Fprintf(w, "wrong: %s / s3cret-value / pa55word, t0ken in url / t0ken+in+url", body)
		})
		_, err := c.CreateWebhook(t.Context(), "acme", s)
		for _, err := range []error{err, c.ReplaceWebhook(t.Context(), "acme", s)} {
			for _, secret := range secrets {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%d: %q in %v", status, secret, err)
				}
			}
		}
	}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "webhook", s)
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "webhook", s)
	_, _ = fmt.Fprintf(&logged, "%v %+v %#v %s %v", s, s, s, s, []Subscription{s})
	for _, secret := range secrets {
		if strings.Contains(logged.String(), secret) {
			t.Errorf("%q in %s", secret, &logged)
		}
	}
}
