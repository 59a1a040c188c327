package simulator

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// DidomiAPIOptions tunes a simulated Didomi API. The zero value behaves as
// documented and takes any key and secret.
type DidomiAPIOptions struct {
	Organization string
	// Key and Secret are the only ones taken, unless Key is empty.
	Key, Secret string
	// SessionLife is how long a token is good for: an hour by default.
	SessionLife time.Duration
	// CallsPerWindow of 15 s are served outside of consents, the rest get 429.
	// 0 is the documented 100, a negative number is no limit.
	CallsPerWindow int
	// PageSize of a list of users: 100 by default.
	PageSize int

	// Purposes and Channels are the ids that events may name; any when nil.
	Purposes, Channels []string
	// SkipBadEvents makes a list of events with a bad one in it be taken
	// without that one. By default such a list is refused as a whole.
	SkipBadEvents bool
	// Integrations is sent every event created without $disable_integrations,
	// as an event.created webhook. What it gives up is lost.
	Integrations *Didomi

	// Now and Sleep replace the clock.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
	// Seed makes faults of a given probability repeatable.
	Seed uint64
	// KeepCalls is how many calls are remembered at least: 50,000 by default.
	KeepCalls int
}

// DidomiAPI is the small part of Didomi's REST API that concerns consents:
// sessions, creating events, reading one or somebody's, listing users and purposes
// (https://api.didomi.io/openapi.json).
// Events change users as their dates say, whatever the order in which they
// come. It is safe for concurrent use.
type DidomiAPI struct {
	opts    DidomiAPIOptions
	journal *journal
	faults  *faults
	*later

	mu     sync.Mutex
	tokens map[string]time.Time
	window window
	events []RecordedEvent
	known  map[string]bool // ids of events
	users  []*didomiUser
}

// NewDidomiAPI makes a simulated API that holds nothing.
func NewDidomiAPI(opts DidomiAPIOptions) *DidomiAPI {
	opts.PageSize = cmp.Or(opts.PageSize, 100)
	opts.SessionLife = cmp.Or(opts.SessionLife, time.Hour)
	opts.CallsPerWindow = cmp.Or(opts.CallsPerWindow, 100)
	opts.KeepCalls = cmp.Or(opts.KeepCalls, 50_000)
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Sleep == nil {
		opts.Sleep = sleep
	}
	return &DidomiAPI{
		opts: opts, journal: newJournal(opts.KeepCalls), faults: newFaults(opts.Seed), later: newLater(opts.Sleep),
		tokens: map[string]time.Time{}, known: map[string]bool{},
	}
}

// Inject makes a fault strike from now on, as [Actito.Inject] does. Kinds are
// [KindSession], [KindEvents], [KindEvent], [KindEventsOf], [KindUsers] and [KindPurposes].
func (d *DidomiAPI) Inject(f Fault) (remove func()) { return d.faults.inject(f) }

// ClearFaults removes all faults.
func (d *DidomiAPI) ClearFaults() { d.faults.clear() }

// Calls gives copies of the recorded calls in the order in which they came.
func (d *DidomiAPI) Calls() []Call { return d.journal.all() }

// CallCount tells how many calls of these kinds came, of all kinds when none is
// named.
func (d *DidomiAPI) CallCount(kinds ...Kind) int { return d.journal.count(kinds) }

// Settle returns when no late change and no webhook is outstanding.
func (d *DidomiAPI) Settle() { d.settle() }

// Close ends everything that waits. Call it before closing the server.
func (d *DidomiAPI) Close() {
	d.end()
	d.Settle()
}

// ExpireSessions ends every token given out so far.
func (d *DidomiAPI) ExpireSessions() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.tokens)
}

// didomiRequest is a call, understood as far as it can be without knowing the
// state.
type didomiRequest struct {
	request
	fullTree bool
	events   []map[string]any
	single   bool
	key      struct{ Type, Key, Secret string }
}

// ServeHTTP answers the API.
func (d *DidomiAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := readDidomi(r)
	e := d.journal.begin(d.opts.Now(), &q.request, nil)
	out := d.handle(r.Context(), q, e)
	e.answered(d.opts.Now(), out.status)
	if out.late > 0 {
		d.after(out.late, func() { d.apply(q, e) }, func() {})
	}
	out.send(w)
}

func readDidomi(r *http.Request) *didomiRequest {
	q := &didomiRequest{request: request{
		kind: KindUnknown, method: r.Method, path: r.URL.EscapedPath(),
		query: r.URL.Query(), authorization: r.Header.Get("Authorization"),
	}}
	q.fullTree = q.query.Get("$include_full_tree") == "true"
	// Read to its end in any case: only then does the server notice that a
	// client leaves.
	body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	switch r.URL.Path {
	case "/v1/sessions":
		if q.choose(map[string]Kind{http.MethodPost: KindSession}); err == nil {
			err = json.Unmarshal(body, &q.key)
		}
	case "/v1/consents/events":
		if q.choose(map[string]Kind{http.MethodPost: KindEvents, http.MethodGet: KindEventsOf}); err == nil && q.kind == KindEvents {
			err = q.readEvents(body)
		}
	case "/v1/metadata/purposes":
		q.choose(map[string]Kind{http.MethodGet: KindPurposes})
	case "/v1/consents/users":
		q.choose(map[string]Kind{http.MethodGet: KindUsers})
	default:
		id, ok := strings.CutPrefix(r.URL.Path, "/v1/consents/events/")
		if !ok || id == "" || strings.Contains(id, "/") {
			q.refusal = refuse(http.StatusNotFound, "Page not found")
			break
		}
		q.names = []string{id}
		q.choose(map[string]Kind{http.MethodGet: KindEvent})
	}
	if err != nil && q.refusal == nil {
		q.refusal = refuse(http.StatusBadRequest, "%v", err)
	}
	return q
}

// handle admits a call, lets faults strike and does what was asked. Only
// the limits are asked of a call that makes no sense.
func (d *DidomiAPI) handle(client context.Context, q *didomiRequest, e *entry) outcome {
	if q.kind == KindUnknown {
		return didomiRefusal(q.refusal)
	}
	if no := d.admit(q); no != nil {
		return didomiRefusal(no)
	}
	limits, no := d.limit(q)
	if no != nil {
		return didomiRefusal(no)
	}
	f, latency := d.faults.meet(&q.request)
	e.met(f.Effect)
	if d.opts.Sleep(d.life, latency) != nil { //nolint:contextcheck // a call goes on after its client has left
		return outcome{hangUp: true}
	}
	out := f.strike(struggle{
		do:       func() outcome { return d.apply(q, e) },
		withhold: func() { d.outlast(client) },
		refuse:   func(status int) outcome { return didomiRefusal(refuse(status, "an injected fault")) },
	})
	if out.header != nil {
		maps.Copy(out.header, limits)
	}
	return out
}

func (d *DidomiAPI) apply(q *didomiRequest, e *entry) outcome {
	switch {
	case q.refusal != nil:
		return didomiRefusal(q.refusal)
	case q.kind == KindSession:
		return d.createSession(q)
	case q.kind == KindUsers:
		return d.listUsers(q)
	case q.kind == KindPurposes:
		return d.listPurposes(q)
	case q.kind == KindEventsOf:
		return d.eventsOf(q)
	case q.kind == KindEvent:
		return d.readEvent(q.names[0])
	}
	out, changed := d.createEvents(q)
	if changed {
		e.applied("")
	}
	return out
}

// admit asks for a valid token and the organization's id.
func (d *DidomiAPI) admit(q *didomiRequest) *refusal {
	if q.kind == KindSession {
		return nil
	}
	token, _ := strings.CutPrefix(q.authorization, "Bearer ")
	d.mu.Lock()
	expires, ok := d.tokens[token]
	d.mu.Unlock()
	switch {
	case !ok || !d.opts.Now().Before(expires):
		return refuse(http.StatusUnauthorized, "Invalid token")
	case q.query.Get("organization_id") != d.opts.Organization:
		return refuse(http.StatusBadRequest, "Invalid organization_id")
	}
	return nil
}

// window counts the calls of 15 seconds.
type window struct {
	ends time.Time
	used int
}

const windowLength = 15 * time.Second

// limit counts a call that is limited, which those about consents are not, save
// those for full trees (https://developers.didomi.io/api/introduction/rate-limiting).
func (d *DidomiAPI) limit(q *didomiRequest) (http.Header, *refusal) {
	most := d.opts.CallsPerWindow
	if most < 0 || q.kind != KindSession && q.kind != KindPurposes && !q.fullTree {
		return nil, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.opts.Now()
	if !now.Before(d.window.ends) {
		d.window = window{ends: now.Add(windowLength)}
	}
	d.window.used++
	reset := strconv.Itoa(int((d.window.ends.Sub(now) + time.Second - 1) / time.Second))
	h := http.Header{}
	h.Set("RateLimit", fmt.Sprintf("limit=%d, remaining=%d, reset=%s", most, max(0, most-d.window.used), reset))
	h.Set("RateLimit-Policy", fmt.Sprintf("%d;w=%d", most, int(windowLength/time.Second)))
	if d.window.used <= most {
		return h, nil
	}
	h.Set("Retry-After", reset)
	return nil, &refusal{status: http.StatusTooManyRequests, message: "Too many requests", header: h}
}

// createSession gives a token for an API key. Wrong ones are answered with 400
// (https://developers.didomi.io/api/introduction/authentication).
func (d *DidomiAPI) createSession(q *didomiRequest) outcome {
	right := d.opts.Key == "" || q.key.Key == d.opts.Key && q.key.Secret == d.opts.Secret
	if q.key.Type != "api-key" || !right {
		return didomiRefusal(refuse(http.StatusBadRequest, "Invalid authentication information"))
	}
	now := d.opts.Now()
	token := madeJWT(now, now.Add(d.opts.SessionLife))
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.tokens, func(_ string, expires time.Time) bool { return !now.Before(expires) })
	d.tokens[token] = now.Add(d.opts.SessionLife)
	return answer(http.StatusOK, map[string]any{"access_token": token})
}

// madeJWT gives a token that looks like a JWT. Nobody can verify it.
func madeJWT(issued, expires time.Time) string {
	part := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"iat":%d,"exp":%d,"jti":%q}`, issued.Unix(), expires.Unix(), newUUID())
	return part([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + part([]byte(claims)) + "." + part([]byte(rand.Text()))
}

var didomiNames = map[int]string{
	http.StatusBadRequest: "BadRequest", http.StatusUnauthorized: "NotAuthenticated", http.StatusForbidden: "Forbidden",
	http.StatusNotFound: "NotFound", http.StatusMethodNotAllowed: "MethodNotAllowed", http.StatusConflict: "Conflict",
	http.StatusTooManyRequests: "TooManyRequests",
}

// didomiRefusal is an error in Didomi's form
// (https://developers.didomi.io/api-and-platform/introduction/errors).
func didomiRefusal(no *refusal) outcome {
	out := answer(no.status, map[string]any{
		"code": no.status, "name": cmp.Or(didomiNames[no.status], "GeneralError"),
		"message": no.message, "errors": map[string]any{},
	})
	maps.Copy(out.header, no.header)
	return out
}

// unknownID tells which of the ids is not among those that are known.
func unknownID(known []string, ids map[string]bool) error {
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if known != nil && !slices.Contains(known, id) {
			return fmt.Errorf("invalid id %q", id)
		}
	}
	return nil
}
