package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Kind names what a call is for.
type Kind string

// The kinds of call to Actito.
const (
	KindToken     Kind = "token"
	KindEntities  Kind = "entities"
	KindTables    Kind = "tables"    // the list of tables
	KindStructure Kind = "structure" // one table
	KindRead      Kind = "read"
	KindUpdate    Kind = "update"
	KindCreate    Kind = "create"
	KindReplace   Kind = "replace"
	KindDelete    Kind = "delete"

	// KindSubscriptions reads a profile's subscriptions, in V4 alone, where each
	// is also written with a KindUpdate of its own.
	KindSubscriptions Kind = "subscriptions"

	KindTrigger   Kind = "trigger"   // a file for an ETL
	KindExecution Kind = "execution" // what became of it
	KindRowErrors Kind = "row-errors"
	KindWebhooks  Kind = "webhooks"  // the list of webhooks
	KindWebhook   Kind = "webhook"   // one of them
	KindMail      Kind = "mail"      // sends a message, and writes a profile
	KindCampaigns Kind = "campaigns" // the list of campaigns
	KindUnknown   Kind = "unknown"

	KindCreateWebhook  Kind = "create-webhook"
	KindReplaceWebhook Kind = "replace-webhook"
	KindDeleteWebhook  Kind = "delete-webhook"

	// Those to Didomi.
	KindSession Kind = "session"
	KindEvents  Kind = "events" // creates events
	KindEvent   Kind = "event"  // reads one
	KindUsers   Kind = "users"  // lists users
	// KindEventsOf lists somebody's events.
	KindEventsOf Kind = "events-of"
	// KindPurposes lists purposes.
	KindPurposes Kind = "purposes"
)

func (k Kind) writes() bool {
	return k.hasBody() || k == KindMail || k == KindDelete || k == KindTrigger || k.hasWebhook() || k == KindDeleteWebhook
}

// hasBody tells whether the body is a profile's JSON.
func (k Kind) hasBody() bool { return k == KindUpdate || k == KindCreate || k == KindReplace }

// hasWebhook tells whether the body is a webhook's JSON.
func (k Kind) hasWebhook() bool { return k == KindCreateWebhook || k == KindReplaceWebhook }

// right gives the right that a key needs for a call
// (https://developers.actito.com/docs/integration-framework/apis/access-rights).
// Which one listing entities needs is not stated; none is asked for.
func (k Kind) right() string {
	switch k {
	case KindTables, KindStructure:
		return RightReadTables
	case KindRead, KindSubscriptions:
		return RightReadProfiles
	case KindUpdate, KindCreate, KindReplace, KindDelete:
		return RightWriteProfiles
	case KindMail:
		return RightSendMessages
	case KindCampaigns:
		return RightReadCampaigns
	case KindExecution, KindRowErrors:
		return RightReadImports
	case KindTrigger:
		return RightWriteImports
	case KindWebhooks, KindWebhook:
		return RightReadWebhooks
	case KindCreateWebhook, KindReplaceWebhook, KindDeleteWebhook:
		return RightWriteWebhooks
	default:
		return ""
	}
}

// refusal is an answer other than success.
type refusal struct {
	status  int
	message string
	header  http.Header
}

func (r *refusal) Error() string { return r.message }

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, message: fmt.Sprintf(format, args...)}
}

// profileKey names a profile by one of its unique attributes.
type profileKey struct{ attr, value string }

func (k profileKey) String() string {
	if k.attr == "" {
		return ""
	}
	return k.attr + "=" + k.value
}

// request is a call, understood as far as it can be without knowing the state.
type request struct {
	kind          Kind
	method, path  string
	query         url.Values
	authorization string
	accept        string
	entity, table string
	key           profileKey
	names         []string // of what a call to Didomi is about
	attributes    map[string]any
	subscriptions map[string]any
	etl, load     string // the ids of an ETL and of an execution
	file          []byte // of a load, as it came
	fate          Effect // what an injected fault makes of a load
	webhookID     string
	webhook       []byte // of a call that makes or replaces one, as it came
	campaign      string // of a message
	sms           bool
	mail          mailForm
	older         older
	// refusal is set when the request makes no sense.
	refusal *refusal
}

func readRequest(r *http.Request, maxFile int64) *request {
	q := &request{
		kind:          KindUnknown,
		method:        r.Method,
		path:          r.URL.EscapedPath(),
		query:         r.URL.Query(),
		authorization: r.Header.Get("Authorization"),
		accept:        strings.Join(r.Header.Values("Accept"), ","),
	}
	q.route()
	if q.refusal == nil && q.kind == KindTrigger {
		q.readFile(r, maxFile)
	}
	// Read to its end in any case: only then does the server notice that a
	// client leaves.
	body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	switch {
	case q.refusal != nil:
	case (q.kind.hasBody() || q.kind.hasWebhook() || q.kind == KindMail) && err != nil:
		q.refusal = refuse(http.StatusBadRequest, "the body cannot be read")
	case q.kind.hasBody() && q.older.is:
		q.readOlder(body)
	case q.kind.hasBody():
		q.readBody(body)
	case q.kind.hasWebhook():
		q.webhook = body
	case q.kind == KindMail:
		q.readMail(body)
	}
	return q
}

// route finds out what a path is for. A path has the form
// /{category}/v5/entities/{entity}/profile-tables/{table}/profiles/{key}, or a
// beginning of it, with or without its category.
func (q *request) route() {
	parts, err := segments(q.path)
	switch {
	case err != nil:
		q.refusal = refuse(http.StatusNotFound, "no such resource")
		return
	case slices.Equal(parts, []string{"auth", "token"}):
		q.choose(map[string]Kind{http.MethodGet: KindToken})
		return
	case q.routeWebhooks(parts), q.routeMails(parts), q.routeOlder(parts):
		return
	}
	category := ""
	if len(parts) > 0 && parts[0] != "v5" {
		category, parts = parts[0], parts[1:]
	}
	fits := func(n int, of string) bool {
		return len(parts) == n && (category == "" || category == of)
	}
	if len(parts) > 3 && parts[0] == "v5" && parts[1] == "entities" && (category == "" || category == "mass-imports") &&
		q.routeLoads(parts[2], parts[3:]) {
		return
	}
	fixed := map[int]string{0: "v5", 1: "entities", 3: "profile-tables", 5: "profiles"}
	for i, word := range fixed {
		if i < len(parts) && parts[i] != word {
			parts = nil
		}
	}
	if len(parts) > 2 {
		q.entity = parts[2]
	}
	if len(parts) > 4 {
		q.table = parts[4]
	}
	switch {
	case fits(2, "entities"):
		q.choose(map[string]Kind{http.MethodGet: KindEntities})
	case fits(4, "profile-table-structure"):
		q.choose(map[string]Kind{http.MethodGet: KindTables})
	case fits(5, "profile-table-structure"):
		q.choose(map[string]Kind{http.MethodGet: KindStructure})
	case fits(6, "profiles"):
		q.choose(map[string]Kind{http.MethodPost: KindCreate, http.MethodPut: KindReplace})
	case fits(7, "profiles"):
		q.choose(map[string]Kind{
			http.MethodGet: KindRead, http.MethodPatch: KindUpdate, http.MethodDelete: KindDelete,
		})
		q.readKey(parts[6])
	default:
		q.refusal = refuse(http.StatusNotFound, "no such resource")
	}
}

func segments(path string) ([]string, error) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i, p := range parts {
		decoded, err := url.PathUnescape(p)
		if err != nil {
			return nil, err
		}
		parts[i] = decoded
	}
	return parts, nil
}

func (q *request) choose(byMethod map[string]Kind) {
	kind, ok := byMethod[q.method]
	if !ok {
		q.refusal = refuse(http.StatusMethodNotAllowed, "method %s is not allowed here", q.method)
		return
	}
	q.kind = kind
}

// readKey understands attribute=value, and a plain number as a profileId.
func (q *request) readKey(s string) {
	attr, value, ok := strings.Cut(s, "=")
	if !ok {
		attr, value = attrProfileID, s
		if _, err := strconv.ParseInt(s, 10, 64); err != nil && q.refusal == nil {
			q.refusal = refuse(http.StatusBadRequest, "a profile key has the form attribute=value")
		}
	}
	q.key = profileKey{attr, value}
}

func (q *request) readBody(body []byte) {
	var in struct {
		Key           map[string]any `json:"key"`
		Attributes    map[string]any `json:"attributes"`
		Subscriptions map[string]any `json:"subscriptions"`
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&in); err != nil {
		q.refusal = refuse(http.StatusBadRequest, "the body is not the JSON expected: %v", err)
		return
	}
	q.attributes, q.subscriptions = in.Attributes, in.Subscriptions
	if q.kind == KindUpdate {
		return
	}
	if len(in.Key) != 1 {
		q.refusal = refuse(http.StatusBadRequest, `"key" has to hold one unique attribute`)
		return
	}
	for attr, value := range in.Key {
		if value == nil {
			q.refusal = refuse(http.StatusBadRequest, `"key" has to hold a value`)
			return
		}
		q.key = profileKey{attr, text(value)}
	}
}

// acceptsJSON tells whether the client takes JSON. Actito answers 406 to one
// that does not (https://developers.actito.com/docs/use-cases/quick-start).
func (q *request) acceptsJSON() bool {
	if q.accept == "" {
		return true
	}
	for part := range strings.SplitSeq(q.accept, ",") {
		media, _, _ := strings.Cut(part, ";")
		switch strings.ToLower(strings.TrimSpace(media)) {
		case "*/*", "application/*", "application/json":
			return true
		}
	}
	return false
}
