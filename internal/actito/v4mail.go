package actito

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

// v4mail is the API of transactional messages, which exists in version 4 alone.
// The package comment says what of it is documented and what is guessed.
type v4mail struct{}

// Message is one message to one person, by a campaign that exists in Actito and
// is in progress. The call makes the person's profile, or writes to it, on the
// way.
type Message struct {
	Entity string
	// Path is that of the call, in which {entity} and {campaign} are filled in.
	Path string
	// Campaign is the technical name of the campaign, or its id.
	Campaign   string
	Attributes []MessageAttribute
	Parameters []MessageParameter
	// Source, Way and At say where the data come from.
	Source, Way string
	At          consent.Time
}

// MessageAttribute is an attribute of the profile; one is a unique key.
type MessageAttribute struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// MessageParameter is a value that the content is personalised with.
type MessageParameter struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
}

// messageTime is how the moment of a data collection is written. In which zone
// is not documented; it is UTC.
const messageTime = "02/01/2006 15:04:05"

// messageBody is the documented body
// (http://cdn3.actito.com/fe/actito-documentation/docs/Triggering_a_Transactional_Campaign).
type messageBody struct {
	Profile struct {
		Attributes     []MessageAttribute `json:"attributes"`
		DataCollection struct {
			Source string `json:"source"`
			Way    string `json:"way"`
			Date   string `json:"date"`
		} `json:"dataCollection"`
	} `json:"profile"`
	Parameters []MessageParameter `json:"parameters,omitempty"`
}

func (d v4mail) send(m Message) (call, error) {
	req := call{op: "actito.SendMessage", method: http.MethodPost}
	req.path = strings.NewReplacer("{entity}", segment(m.Entity), "{campaign}", segment(m.Campaign)).Replace(m.Path)
	body := messageBody{Parameters: m.Parameters}
	body.Profile.Attributes = m.Attributes
	body.Profile.DataCollection.Source, body.Profile.DataCollection.Way = m.Source, m.Way
	body.Profile.DataCollection.Date = m.At.Std().In(time.UTC).Format(messageTime)
	for _, a := range m.Attributes {
		req.private = append(req.private, a.Value)
	}
	for _, p := range m.Parameters {
		req.private = append(req.private, p.Values...)
	}
	var err error
	req.body, err = json.Marshal(body)
	return req, err
}

// SendMessage has one message sent, and gives Actito's id of it if the answer
// tells one. The error is Unclear wherever it may have been sent: a 503 too,
// which for other writes counts as not applied, since nobody wants the same
// message twice.
func (c *Client) SendMessage(ctx context.Context, m Message) (interaction string, err error) {
	const op = "actito.SendMessage"
	if err := checkSegments(op, "entity", m.Entity, "campaign", m.Campaign); err != nil {
		return "", err
	}
	if len(m.Attributes) == 0 || m.Attributes[0].Value == "" {
		return "", consent.Errorf(consent.Invalid, op, "the recipient's key is empty")
	}
	req, err := c.mails.send(m)
	if err != nil {
		return "", unwritable(op, err)
	}
	body, err := c.call(ctx, req)
	if outbound.StatusOf(err) == http.StatusServiceUnavailable {
		return "", &consent.Error{
			Kind: consent.Unclear, Op: op, Err: err, RetryAfter: consent.RetryAfter(err),
			Message: "Actito was not available, perhaps after it had sent the message (503)",
		}
	}
	if err != nil {
		return "", err
	}
	// A public client reads {"interactionId": 7} from the call of the other sort
	// of campaign; of this one nothing is known.
	if answer, err := decodeObject(body); err == nil {
		interaction = text(field(answer, "interactionId", "id"))
	}
	return interaction, nil
}

// Campaign is a transactional e-mail campaign, as far as a list tells.
type Campaign struct {
	ID, Name string
	// State is empty where the list does not tell it.
	State string
}

// Is tells whether a campaign goes by a name, or by its id.
func (c Campaign) Is(name string) bool { return name != "" && (name == c.ID || name == c.Name) }

// Stopped tells whether the list says that the campaign is not in progress.
func (c Campaign) Stopped() bool {
	state := strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(c.State))
	return state != "" && !strings.Contains(state, "progress") && !strings.Contains(state, "running") && state != "active" && state != "activated"
}

// Campaigns lists the transactional e-mail campaigns of an entity. That there is
// such a list is a guess from that of another sort of campaign, so whoever asks
// has to do without it: known is false where the answer is none.
func (c *Client) Campaigns(ctx context.Context, entity string) (list []Campaign, known bool, err error) {
	const op = "actito.Campaigns"
	if err := checkSegments(op, "entity", entity); err != nil {
		return nil, false, err
	}
	body, err := c.call(ctx, call{
		op: op, method: http.MethodGet, path: "/email-campaigns/v4/entity/" + segment(entity) + "/mail?type=TRANSACTIONAL",
	})
	switch consent.KindOf(err) {
	case consent.NotFound, consent.Forbidden, consent.Invalid, consent.Conflict:
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	answer, err := decode(body)
	if err != nil {
		return nil, false, nil //nolint:nilerr // an answer that is not JSON tells nothing
	}
	objects, err := listIn(answer, "mail")
	if err != nil || len(objects) == 0 {
		return nil, false, nil //nolint:nilerr // as above; and an empty list may be of something else
	}
	for _, o := range objects {
		list = append(list, Campaign{
			ID: text(field(o, "id")), Name: text(field(o, "technicalName", "name")), State: text(field(o, "state", "status")),
		})
	}
	return list, true, nil
}
