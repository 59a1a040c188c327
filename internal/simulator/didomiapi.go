package simulator

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const didomiTokenLife = time.Hour

// DidomiAPIOptions tunes a simulated Didomi API. Any key and secret are taken
// when Key is empty.
type DidomiAPIOptions struct {
	Organization string
	Key, Secret  string
	// PageSize of a list of users: 100 by default.
	PageSize int
	Now      func() time.Time
}

// DidomiAPI is the small part of Didomi's REST API that concerns consents:
// sessions, creating events and listing users (https://api.didomi.io/openapi.json).
// Events are recorded and change no user. It is safe for concurrent use.
type DidomiAPI struct {
	opts DidomiAPIOptions
	mux  *http.ServeMux

	mu     sync.Mutex
	tokens map[string]time.Time
	events []RecordedEvent
	known  map[string]bool // ids of events
	users  []User
}

// RecordedEvent is an event that was created through the API.
type RecordedEvent struct {
	ID   string
	Body map[string]any
	// DisableIntegrations tells whether the caller asked for it not to be
	// forwarded to integrations.
	DisableIntegrations bool
}

// NewDidomiAPI makes a simulated API that holds nothing.
func NewDidomiAPI(opts DidomiAPIOptions) *DidomiAPI {
	opts.PageSize = cmp.Or(opts.PageSize, 100)
	if opts.Now == nil {
		opts.Now = time.Now
	}
	d := &DidomiAPI{
		opts: opts, mux: http.NewServeMux(),
		tokens: map[string]time.Time{}, known: map[string]bool{},
	}
	d.mux.HandleFunc("POST /v1/sessions", d.createSession)
	d.mux.HandleFunc("POST /v1/consents/events", d.guard(d.createEvents))
	d.mux.HandleFunc("GET /v1/consents/users", d.guard(d.listUsers))
	return d
}

// ServeHTTP answers the API.
func (d *DidomiAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.mux.ServeHTTP(w, r) }

// PutUser adds a user, or replaces the one of the same id.
func (d *DidomiAPI) PutUser(u User) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.IndexFunc(d.users, func(old User) bool { return old.ID == u.ID }); i >= 0 {
		d.users[i] = u
		return
	}
	d.users = append(d.users, u)
}

// Events gives the events created, in order.
func (d *DidomiAPI) Events() []RecordedEvent {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.events)
}

// createSession gives a token for an API key. Wrong ones are answered with 400
// (https://developers.didomi.io/api/introduction/authentication).
func (d *DidomiAPI) createSession(w http.ResponseWriter, r *http.Request) {
	var in struct{ Type, Key, Secret string }
	err := json.NewDecoder(r.Body).Decode(&in)
	right := d.opts.Key == "" || in.Key == d.opts.Key && in.Secret == d.opts.Secret
	if err != nil || in.Type != "api-key" || !right {
		didomiError(w, http.StatusBadRequest, "BadRequest", "Invalid authentication information")
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	token := rand.Text()
	d.tokens[token] = d.opts.Now().Add(didomiTokenLife)
	writeJSON(w, http.StatusOK, map[string]any{"access_token": token})
}

// guard asks for a valid token and the organization's id.
func (d *DidomiAPI) guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		d.mu.Lock()
		expires, ok := d.tokens[token]
		d.mu.Unlock()
		switch {
		case !ok || !d.opts.Now().Before(expires):
			didomiError(w, http.StatusUnauthorized, "NotAuthenticated", "Invalid token")
		case r.URL.Query().Get("organization_id") != d.opts.Organization:
			didomiError(w, http.StatusBadRequest, "BadRequest", "Invalid organization_id")
		default:
			next(w, r)
		}
	}
}

// createEvents takes one event or a list of at most 100
// (https://developers.didomi.io/integrations/batch-import). An event whose id
// exists is never imported again: alone it is refused, in a list it is passed
// over.
func (d *DidomiAPI) createEvents(w http.ResponseWriter, r *http.Request) {
	list, single, err := readEvents(r.Body)
	if err != nil {
		didomiError(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	created := []map[string]any{}
	for _, e := range list {
		id, _ := e["id"].(string)
		if id == "" {
			id = newUUID()
			e["id"] = id
		}
		if d.known[id] {
			continue
		}
		if e["created_at"] == nil {
			setTime(e, "created_at", d.opts.Now())
		}
		d.known[id] = true
		off := r.URL.Query().Get("$disable_integrations") == "true"
		d.events = append(d.events, RecordedEvent{ID: id, Body: e, DisableIntegrations: off})
		created = append(created, e)
	}
	switch {
	case single && len(created) == 0:
		didomiError(w, http.StatusConflict, "Conflict", "An event with this id exists")
	case single:
		writeJSON(w, http.StatusOK, created[0])
	default:
		writeJSON(w, http.StatusOK, created)
	}
}

func readEvents(body io.Reader) (list []map[string]any, single bool, err error) {
	raw, err := io.ReadAll(io.LimitReader(body, 16<<20))
	if err != nil {
		return nil, false, err
	}
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		raw, single = slices.Concat([]byte("["), raw, []byte("]")), true
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, false, err
	}
	if len(list) > 100 {
		return nil, false, fmt.Errorf("%d events are more than the 100 allowed", len(list))
	}
	if single && len(list) != 1 || slices.ContainsFunc(list, func(e map[string]any) bool { return e == nil }) {
		return nil, false, errors.New("an event is an object")
	}
	return list, single, nil
}

// listUsers gives users page by page; the last page's cursor is null
// (https://developers.didomi.io/api-and-platform/consents/users/query-user).
func (d *DidomiAPI) listUsers(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	only := query.Get("organization_user_id")
	start, err := strconv.Atoi(cmp.Or(query.Get("$cursor"), "0"))
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil || start < 0 || start > len(d.users) {
		didomiError(w, http.StatusBadRequest, "BadRequest", "Invalid cursor")
		return
	}
	data, cursor := []map[string]any{}, any(nil)
	for i, u := range d.users[start:] {
		if only != "" && u.OrganizationUserID != only {
			continue
		}
		if len(data) == d.opts.PageSize {
			cursor = strconv.Itoa(start + i)
			break
		}
		data = append(data, u.entity(d.opts.Organization))
	}
	writeJSON(w, http.StatusOK, map[string]any{"data": data, "limit": d.opts.PageSize, "cursor": cursor})
}

func didomiError(w http.ResponseWriter, code int, name, message string) {
	writeJSON(w, code, map[string]any{
		"code": code, "name": name, "message": message, "errors": map[string]any{},
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	out := answer(status, v)
	out.send(w)
}
