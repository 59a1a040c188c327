package didomi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
	"consentsync/internal/outbound/outboundtest"
	"consentsync/internal/simulator"
)

// simulated starts a Didomi API and gives its base URL.
func simulated(t *testing.T, opts simulator.DidomiAPIOptions) (*simulator.DidomiAPI, string) {
	t.Helper()
	opts.Organization, opts.Key, opts.Secret = "acme", apiKey, apiSecret
	api := simulator.NewDidomiAPI(opts)
	srv := httptest.NewServer(api)
	t.Cleanup(srv.Close)
	t.Cleanup(api.Close)
	return api, srv.URL + "/v1"
}

func TestOneEventGoesAsAnObjectAndSeveralAsAList(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, nil, nil)
	one, _ := optOut("e1").encode()
	two, _ := optOut("e2").encode()
	for _, events := range [][]Event{nil, optOuts("e1"), optOuts("e1", "e2")} {
		each, err := c.CreateEvents(t.Context(), events)
		if err != nil || len(each) != len(events) {
			t.Errorf("got %v, %v", each, err)
		}
	}
	wantEqual(t, f.Seen(), []string{
		oneEvent + " " + string(one),
		oneEvent + " [" + string(one) + "," + string(two) + "]",
	})
}

// The first call that fails otherwise than by its events ends the work.
func TestAtMostAHundredEventsAtOnce(t *testing.T) {
	t.Parallel()
	var events []Event
	for i := range 250 {
		events = append(events, optOut(fmt.Sprintf("e%d", i)))
	}
	f, c := newFake(t, nil, steps(200, "", 429, ""))
	each, err := c.CreateEvents(t.Context(), events)
	wantKind(t, err, consent.RateLimited)
	want := slices.Concat(make([]string, 100), slices.Repeat([]string{"rate_limited"}, 150))
	wantEqual(t, kinds(each), want)
	calls := f.Seen()
	if len(calls) != 2 || strings.Count(calls[0], `"created_at"`) != 100 || strings.Contains(calls[1], `"e99"`) {
		t.Errorf("%d calls", len(calls))
	}
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]consent.Kind{
		301: consent.Forbidden,
		302: consent.Forbidden,
		307: consent.Forbidden,
		400: consent.Invalid,
		401: consent.Unauthorized,
		403: consent.Forbidden,
		404: consent.Forbidden,
		405: consent.Forbidden,
		408: consent.Unclear,
		413: consent.Invalid,
		415: consent.Forbidden,
		422: consent.Invalid,
		423: consent.Transient,
		424: consent.Transient,
		425: consent.Transient,
		429: consent.RateLimited,
		500: consent.Unclear,
		502: consent.Unclear,
		503: consent.Unclear,
		504: consent.Unclear,
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			f, c := newFake(t, nil, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "17")
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
			})
			each, err := c.CreateEvents(t.Context(), optOuts("e1"))
			wantKind(t, each[0], want)
			var e *consent.Error
			if !errors.As(each[0], &e) || e.Op != createOp || !strings.Contains(e.Message, strconv.Itoa(status)) {
				t.Errorf("got %#v", each[0])
			}
			wait := time.Duration(0)
			if want == consent.RateLimited || want == consent.Transient || want == consent.Unclear {
				wait = 17 * time.Second
			}
			wantEqual(t, consent.RetryAfter(each[0]), wait)

			list, listErr := c.CreateEvents(t.Context(), optOuts("e1", "e2"))
			wantEqual(t, kinds(list), []string{want.String(), want.String()})
			if want == consent.Invalid { // each event's own
				if err != nil || listErr != nil {
					t.Error(err, listErr)
				}
				wantEqual(t, len(f.Seen()), 4)
				return
			}
			wantKind(t, err, want)
			wantKind(t, listErr, want)
		})
	}
}

func TestWaitOfTheRateLimit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status     int
		after, now string
		want       time.Duration
	}{
		{429, "5", "limit=100, remaining=0, reset=7", 5 * time.Second},
		{429, "", "limit=100, remaining=0, reset=7", 7 * time.Second},
		{429, "", "reset=7;limit=100", 7 * time.Second},
		{429, "", "limit=100, reset=soon", 0},
		{429, "", "", 0},
		{500, "", "limit=100, remaining=60, reset=7", 0},
	} {
		_, c := newFake(t, nil, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", test.after)
			w.Header().Set("RateLimit", test.now)
			w.WriteHeader(test.status)
		})
		_, err := c.CreateEvents(t.Context(), optOuts("e1"))
		if got := consent.RetryAfter(err); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// The status of a success is the answer, whatever its body.
func TestAnySuccess(t *testing.T) {
	t.Parallel()
	cut := func(w http.ResponseWriter, _ *http.Request) { // breaks off in the body
		w.Header().Set("Content-Length", "1000")
		_, _ = fmt.Fprint(w, "[{")
	}
	for name, answer := range map[string]http.HandlerFunc{
		"no content": always(204, ""), "HTML": always(200, "<html>"), "created": always(201, "{}"), "cut off": cut,
		"null": always(200, "null"), "no ids": always(200, `[{},{}]`), "a number": always(200, `[7]`), "object": always(200, `{"data":[]}`),
		"huge": always(200, `[{"id":"e9","x":"`+strings.Repeat("x", maxAnswer)+`"}]`),
	} {
		f, c := newFake(t, nil, answer)
		each, err := c.CreateEvents(t.Context(), optOuts("e1", "e2"))
		each1, err1 := c.CreateEvents(t.Context(), optOuts("e1"))
		if errors.Join(err, err1, errors.Join(each...), each1[0]) != nil {
			t.Errorf("%s: %v %v %v %v", name, each, err, each1, err1)
		}
		if got := len(f.Seen()); got != 2 {
			t.Errorf("%s: %d calls", name, got)
		}
	}
}

// A refused list goes event by event, and one bad event fails no other.
func TestABadEventFailsNoOther(t *testing.T) {
	t.Parallel()
	for _, skip := range []bool{false, true} {
		api, base := simulated(t, simulator.DidomiAPIOptions{Purposes: []string{"newsletter"}, SkipBadEvents: skip})
		c := NewClient(direct(t), base, "acme", apiKey, apiSecret)
		bad := optOut("e2")
		bad.Choices = []consent.Said{said(false, consent.OfPurpose, "gone")}
		each, err := c.CreateEvents(t.Context(), []Event{optOut("e1"), bad, optOut("e3")})
		if err != nil {
			t.Error(err)
		}
		wantEqual(t, kinds(each), []string{"", "invalid", ""})
		if !strings.Contains(consent.MessageOf(each[1]), `"gone"`) {
			t.Error(each[1])
		}
		wantEqual(t, len(api.Events()), 2)
		wantEqual(t, api.CallCount(simulator.KindEvents), map[bool]int{false: 4, true: 2}[skip])
	}
}

func TestWhatAListsAnswerLeavesOut(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]int{
		`[{"id":"e1"},{"id":"e2"}]`:                            0,
		`[{"id":"e2","code":null},{"id":"e1"},{"id":"other"}]`: 0,
		`[{"id":"e1"},{"id":"e2","code":400}]`:                 1,
		`[{"id":"e1"}]`:                                        1,
		` []`:                                                  2,
		`[{"id":"e1"},{"code":400}]`:                           1,
	} {
		f, c := newFake(t, nil, steps(200, answer, 200, "", 200, ""))
		each, err := c.CreateEvents(t.Context(), optOuts("e1", "e2"))
		if err != nil || each[0] != nil || each[1] != nil {
			t.Errorf("%s: %v, %v", answer, each, err)
		}
		if got := len(f.Seen()) - 1; got != want {
			t.Errorf("%s: %d events sent again, want %d", answer, got, want)
		}
	}
}

// After an unclear answer the same events may be sent again, and are in Didomi once.
func TestUnclearIsSafeToRepeat(t *testing.T) {
	t.Parallel()
	for _, fault := range []simulator.Fault{
		{Effect: simulator.EffectResetBefore},
		{Effect: simulator.EffectResetAfter},
		{Effect: simulator.EffectStatusAfter, Status: 502},
		{Effect: simulator.EffectStatus, Status: 504},
	} {
		for _, ids := range [][]string{{"e1"}, {"e1", "e2", "e3"}} {
			api, base := simulated(t, simulator.DidomiAPIOptions{})
			c := NewClient(direct(t), base, "acme", apiKey, apiSecret)
			fault.Kind, fault.Times = simulator.KindEvents, 1
			api.Inject(fault)
			each, err := c.CreateEvents(t.Context(), optOuts(ids...))
			wantKind(t, err, consent.Unclear)
			wantEqual(t, kinds(each), slices.Repeat([]string{"unclear"}, len(ids)))
			wantEqual(t, api.CallCount(simulator.KindEvents), 1)

			each, err = c.CreateEvents(t.Context(), optOuts(ids...))
			if err != nil || errors.Join(each...) != nil {
				t.Errorf("%+v: %v, %v", fault, each, err)
			}
			wantEqual(t, len(api.Events()), len(ids))
			if u, ok := api.User("jane@example.com", ""); !ok || *u.Purposes["newsletter"] {
				t.Errorf("user %+v", u)
			}
		}
	}
}

func TestGivenUpBeforeAndDuring(t *testing.T) {
	t.Parallel()
	ctx, handler := outboundtest.GivenUp(t)
	_, c := newFake(t, nil, handler)
	_, err := c.CreateEvents(ctx, optOuts("e1", "e2"))
	wantKind(t, err, consent.Unclear)
	_, err = c.CreateEvents(ctx, optOuts("e1", "e2"))
	wantKind(t, err, consent.Transient)
}

// An event that Didomi fails at stops no other; a Didomi that fails at all of
// them is not asked for ever.
func TestFailuresEventByEvent(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		answers []any // to the single events
		each    []string
		err     string
	}{
		{"one fails", []any{500, "", 200, "", 200, "", 200, "", 200, ""}, []string{"unclear", "", "", "", ""}, ""},
		{"three, not in a row", []any{500, "", 502, "", 200, "", 500, "", 200, ""}, []string{"unclear", "unclear", "", "unclear", ""}, ""},
		{"the last fails", []any{200, "", 400, "", 200, "", 200, "", 503, ""}, []string{"", "invalid", "", "", "unclear"}, "unclear"},
		{"three in a row", []any{500, "", 502, "", 500, "", 200, ""}, []string{"unclear", "unclear", "unclear", "transient", "transient"}, "unclear"},
		{"rights gone", []any{200, "", 403, "", 200, ""}, []string{"", "forbidden", "forbidden", "forbidden", "forbidden"}, "forbidden"},
	} {
		_, c := newFake(t, nil, steps(slices.Concat([]any{400, "no"}, test.answers)...))
		each, err := c.CreateEvents(t.Context(), optOuts("e1", "e2", "e3", "e4", "e5"))
		wantEqual(t, kinds(each), test.each)
		if got := kinds([]error{err})[0]; got != test.err {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	// A broken connection is no event's fault.
	f, c := newFake(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); body[0] == '[' {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		abort(w, r)
	})
	each, err := c.CreateEvents(t.Context(), optOuts("e1", "e2", "e3"))
	wantKind(t, err, consent.Unclear)
	wantEqual(t, kinds(each), []string{"unclear", "transient", "transient"})
	wantEqual(t, len(f.Seen()), 2)
}

// "It exists" is a success once Didomi shows the event, or lets nobody look.
func TestAnEventThatExists(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		answers []any
		want    string
		calls   int
	}{
		{[]any{409, "", 200, ""}, "", 2},
		{[]any{409, "", 403, ""}, "", 2},
		{[]any{409, "", 405, ""}, "", 2},
		{[]any{409, "", 404, ""}, "unclear", 2},
		{[]any{409, "", 500, ""}, "unclear", 2},
		{[]any{409, "", 429, ""}, "unclear", 2},
		{[]any{400, `{"message":"Event e1 already exists"}`, 200, ""}, "", 2},
		{[]any{422, `An event with this ID has already been imported`, 200, ""}, "", 2},
		{[]any{400, `{"message":"Purpose id does not exist"}`}, "invalid", 1},
		{[]any{400, `{"name":"event","message":"A user with this organization_user_id already exists"}`}, "invalid", 1},
		{[]any{400, `{"message":"No such event. The user already exists"}`}, "invalid", 1},
	} {
		f, c := newFake(t, nil, steps(test.answers...))
		each, _ := c.CreateEvents(t.Context(), optOuts("e1"))
		if got := kinds(each)[0]; got != test.want {
			t.Errorf("%v: %v, want %s", test.answers, each[0], test.want)
		}
		calls := f.Seen()
		wantEqual(t, len(calls), test.calls)
		if test.calls == 2 {
			wantEqual(t, calls[1], "GET /v1/consents/events/e1?organization_id=acme")
		}
	}
	// One that is not shown stops no other.
	_, c := newFake(t, nil, steps(409, "", 409, "", 404, "", 200, ""))
	each, err := c.CreateEvents(t.Context(), optOuts("e1", "e2"))
	wantEqual(t, kinds(each), []string{"unclear", ""})
	wantEqual(t, err, nil)
}

// Our own events are not sent to the integrations, ourselves among them.
func TestEventsMakeNoLoop(t *testing.T) {
	t.Parallel()
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a webhook was sent") }))
	t.Cleanup(hook.Close)
	api, base := simulated(t, simulator.DidomiAPIOptions{Integrations: simulator.NewDidomi(simulator.DidomiOptions{Target: hook.URL})})
	c := NewClient(direct(t), base, "acme", apiKey, apiSecret)
	for _, ids := range [][]string{{"e1"}, {"e2", "e3"}} {
		if _, err := c.CreateEvents(t.Context(), optOuts(ids...)); err != nil {
			t.Error(err)
		}
	}
	api.Settle()
	wantEqual(t, len(api.Events()), 3)
}

// Whatever the host echoes, and in whatever form, no error tells it.
func TestNoSecretInAnyError(t *testing.T) {
	t.Parallel()
	one := optOut("e1")
	one.OrganizationUserID = "José O'Neil+x@exämple.com"
	other := optOut("e2")
	other.OrganizationUserID = "C-4711 geheim"
	events := []Event{one, other}
	secrets := []string{apiKey, apiSecret, "TOKEN-", "José", "jos\\u00e9", "O'Neil", "exämple", "4711", "geheim", "x@y.org"}
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "Bad: %s %s %s %s %s; x@y.org", r.Header.Get("Authorization"), apiKey, apiSecret, r.RequestURI, body)
		for _, e := range events {
			if id := e.OrganizationUserID; strings.Contains(string(body), strings.Split(id, " ")[0]) {
				quoted, _ := json.Marshal(id)
				_, _ = fmt.Fprintf(w, "%s %s %s %s;", quoted, strconv.QuoteToASCII(id), url.QueryEscape(id), strings.ToUpper(id))
			}
		}
	}
	for _, status := range []int{302, 400, 401, 403, 404, 405, 409, 422, 429, 500, 503} {
		answer := func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			echo(w, r)
		}
		_, c := newFake(t, nil, answer)
		_, noSession := newFake(t, answer, nil)
		each, err := c.CreateEvents(t.Context(), events)
		all := append(each, err, noSession.CheckSession(t.Context()))
		for _, err := range all {
			for _, secret := range secrets {
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("%d: %q in %v", status, secret, err)
				}
			}
		}
	}
	// Didomi knows whose event it is that is looked for.
	_, c := newFake(t, nil, steps(409, "", 409, "see "+one.OrganizationUserID))
	each, _ := c.CreateEvents(t.Context(), events[:1])
	if said := consent.MessageOf(each[0]); !strings.Contains(said, "Didomi says: see") || strings.Contains(said, "José") {
		t.Error(said)
	}
	_, c = newFake(t, nil, abort)
	_, err := c.CreateEvents(t.Context(), events)
	for _, e := range []error{err, fmt.Errorf("%v %+v %#v", c, c, c)} {
		if text := e.Error(); strings.Contains(text, apiKey) || strings.Contains(text, apiSecret) || strings.Contains(text, "TOKEN-") || strings.Contains(text, "Neil") {
			t.Errorf("secret in %v", e)
		}
	}
}

// A write that may have arrived is not sent again behind the caller's back.
func TestResetOnAKeptConnectionIsUnclearAndSentOnce(t *testing.T) {
	t.Parallel()
	first := true
	f, c := newFake(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if !first {
			abort(w, r)
		}
		first = false
	})
	if _, err := c.CreateEvents(t.Context(), optOuts("e1")); err != nil {
		t.Fatal(err)
	}
	_, err := c.CreateEvents(t.Context(), optOuts("e2"))
	wantKind(t, err, consent.Unclear)
	wantEqual(t, len(f.Seen()), 2)
	wantEqual(t, outbound.StatusOf(err), 0)
}

// A redirect would carry people's choices elsewhere, whichever client is given.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	f, _ := newFake(t, nil, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/v1/elsewhere", http.StatusFound)
	})
	c := NewClient(&http.Client{Transport: direct(t).Transport}, f.URL+"/v1", "acme", apiKey, apiSecret)
	_, err := c.CreateEvents(t.Context(), optOuts("e1"))
	wantKind(t, err, consent.Forbidden)
	wantEqual(t, len(f.Seen()), 1)
}
