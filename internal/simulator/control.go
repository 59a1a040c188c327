package simulator

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

const controlPrefix = "/_simulator/"

// storedProfile is a profile as the control surface shows and takes it.
type storedProfile struct {
	Entity string `json:"entity"`
	Table  string `json:"table"`
	Profile
}

// faultJSON is a fault as the control surface takes it: durations are written
// like "1.5s".
type faultJSON struct {
	Kind        Kind    `json:"kind"`
	Key         string  `json:"key"`
	Skip        int     `json:"skip"`
	Times       int     `json:"times"`
	Probability float64 `json:"probability"`
	Effect      Effect  `json:"effect"`
	Latency     string  `json:"latency"`
	Status      int     `json:"status"`
	RetryAfter  string  `json:"retryAfter"`
	ApplyLate   string  `json:"applyLate"`
	Body        string  `json:"body"`
	ContentType string  `json:"contentType"`
}

// serveControl lets another process drive the simulation. It asks for no
// credentials, so a simulator belongs on a private address.
//
//	GET    /_simulator/profiles  all profiles
//	POST   /_simulator/profiles  PutProfile: {"entity", "table", "attributes", "subscriptions"}
//	GET    /_simulator/calls     the calls recorded; ?kind= picks one kind
//	GET    /_simulator/outbox    the messages sent
//	GET    /_simulator/loads     the loads begun
//	GET    /_simulator/webhooks  what webhooks were told
//	POST   /_simulator/webhooks  DeliverWebhooks
//	POST   /_simulator/faults    Inject
//	DELETE /_simulator/faults    ClearFaults
//
// Entity and table are the sample's when they are left out.
func (a *Actito) serveControl(w http.ResponseWriter, r *http.Request) {
	var out outcome
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, controlPrefix) {
	case "GET profiles":
		out = answer(http.StatusOK, a.allProfiles())
	case "POST profiles":
		out = a.controlPut(r)
	case "GET calls":
		out = answer(http.StatusOK, a.callsOf(Kind(r.URL.Query().Get("kind"))))
	case "GET outbox":
		out = answer(http.StatusOK, append([]Sent{}, a.Outbox()...))
	case "GET loads":
		out = answer(http.StatusOK, a.Loads())
	case "GET webhooks":
		out = answer(http.StatusOK, a.WebhookDeliveries())
	case "POST webhooks":
		out = a.controlWebhooks(r)
	case "POST faults":
		out = a.controlInject(r)
	case "DELETE faults":
		a.ClearFaults()
		out = outcome{status: http.StatusNoContent}
	default:
		out = refused(refuse(http.StatusNotFound, "the simulator has no such control"))
	}
	out.send(w)
}

func (a *Actito) allProfiles() []storedProfile {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := []storedProfile{}
	for _, e := range a.entities {
		for _, t := range e.tables {
			for _, p := range t.all() {
				list = append(list, storedProfile{e.name, t.ID, p})
			}
		}
	}
	return list
}

func (a *Actito) callsOf(kind Kind) []Call {
	list := []Call{}
	for _, c := range a.Calls() {
		if kind == "" || c.Kind == kind {
			list = append(list, c)
		}
	}
	return list
}

func (a *Actito) controlPut(r *http.Request) outcome {
	in := storedProfile{Entity: SampleEntity, Table: SampleTableID}
	if err := readControl(r, &in); err != nil {
		return refused(refuse(http.StatusBadRequest, "%v", err))
	}
	id, err := a.PutProfile(in.Entity, in.Table, in.Attributes, in.Subscriptions)
	if err != nil {
		return refused(refuse(http.StatusBadRequest, "%v", err))
	}
	return answer(http.StatusOK, map[string]int64{"profileId": id})
}

func (a *Actito) controlInject(r *http.Request) outcome {
	var in faultJSON
	err := readControl(r, &in)
	if err != nil {
		return refused(refuse(http.StatusBadRequest, "%v", err))
	}
	f, err := in.fault()
	if err != nil {
		return refused(refuse(http.StatusBadRequest, "%v", err))
	}
	a.Inject(f)
	return outcome{status: http.StatusNoContent}
}

// webhookOptionsJSON are options as the control surface takes them.
type webhookOptionsJSON struct {
	Delay       string        `json:"delay"`
	Reverse     bool          `json:"reverse"`
	Drop        float64       `json:"drop"`
	Duplicate   float64       `json:"duplicate"`
	Shape       WebhookShape  `json:"shape"`
	Values      WebhookValues `json:"values"`
	UniqueKeys  bool          `json:"uniqueKeys"`
	NoID        bool          `json:"noId"`
	NoEventType bool          `json:"noEventType"`
}

func (a *Actito) controlWebhooks(r *http.Request) outcome {
	var in webhookOptionsJSON
	if err := readControl(r, &in); err != nil {
		return refused(refuse(http.StatusBadRequest, "%v", err))
	}
	o := WebhookOptions{
		Reverse: in.Reverse, Drop: in.Drop, Duplicate: in.Duplicate, Shape: in.Shape, Values: in.Values,
		UniqueKeys: in.UniqueKeys, NoID: in.NoID, NoEventType: in.NoEventType,
	}
	if err := errors.Join(readDuration(in.Delay, &o.Delay), o.check()); err != nil {
		return refused(refuse(http.StatusBadRequest, "%v", err))
	}
	a.DeliverWebhooks(o)
	return outcome{status: http.StatusNoContent}
}

func readControl(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.UseNumber()
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

func (in faultJSON) fault() (Fault, error) {
	f := Fault{
		Kind: in.Kind, Key: in.Key,
		Skip: in.Skip, Times: in.Times, Probability: in.Probability,
		Effect: in.Effect, Status: in.Status,
		Body: in.Body, ContentType: in.ContentType,
	}
	err := errors.Join(
		readDuration(in.Latency, &f.Latency),
		readDuration(in.RetryAfter, &f.RetryAfter),
		readDuration(in.ApplyLate, &f.ApplyLate),
	)
	return f, errors.Join(err, f.check())
}

func readDuration(s string, into *time.Duration) (err error) {
	if s != "" {
		*into, err = time.ParseDuration(s)
	}
	return err
}
