package emailing

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"consentsync/internal/changes"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/mail"
	"consentsync/internal/store"
)

// MessageView is a message as it is shown: not what it says.
type MessageView struct {
	ID             store.ID  `json:"id"`
	OrganizationID string    `json:"organization_id"`
	IntegrationID  string    `json:"integration_id"`
	EmailID        string    `json:"email_id"`
	EmailType      mail.Type `json:"email_type"`
	// OrganizationUserID is empty for whom no confirmed choice is known of.
	OrganizationUserID string             `json:"organization_user_id"`
	Origin             store.Origin       `json:"origin"`
	State              store.MessageState `json:"state"`
	Reason             string             `json:"reason"`
	Attempts           int                `json:"attempts"`
	InteractionID      string             `json:"interaction_id"`
	// Repeatable tells whether it may be sent again.
	Repeatable bool          `json:"repeatable"`
	CreatedAt  consent.Time  `json:"created_at"`
	ExpiresAt  consent.Time  `json:"expires_at"`
	EndedAt    *consent.Time `json:"ended_at"`
}

func messageView(m *store.Message, who consent.Subject) *MessageView {
	return &MessageView{
		m.ID, m.Organization, m.Integration, m.Email, m.Type, who.OrganizationUserID, m.Origin, m.State, m.Reason, m.Attempts, m.Interaction, m.Repeatable(),
		m.CreatedAt, m.ExpiresAt, m.EndedAt.OrNil(),
	}
}

// Counts tells how many messages are in each state, up to 10,000 in each.
func (s *Service) Counts(ctx context.Context, organization string) (map[store.MessageState]int64, error) {
	return s.Store.MessageCounts(ctx, organization)
}

// Messages lists those of an organization, in one state unless it is empty, the
// newest first, from before a cursor; next is empty at the end.
func (s *Service) Messages(ctx context.Context, organization, state, cursor string, limit int) (views []*MessageView, next string, err error) {
	if state != "" && !slices.Contains(store.MessageStates, store.MessageState(state)) {
		return nil, "", incoming.RefuseField("state", fmt.Sprintf("must be one of %v", store.MessageStates))
	}
	var before store.ID
	if cursor != "" {
		if err := before.UnmarshalText([]byte(cursor)); err != nil {
			return nil, "", incoming.RefuseField("cursor", "must be the next of the page before")
		}
	}
	found, err := s.Store.Messages(ctx, organization, store.MessageState(state), before, limit+1)
	if err != nil {
		return nil, "", err
	}
	if len(found) > limit {
		found, next = found[:limit], found[limit-1].ID.String()
	}
	var keys []store.PersonKey
	for _, m := range found {
		keys = append(keys, m.Person)
	}
	who, err := s.Store.SubjectsOf(ctx, organization, keys)
	views = []*MessageView{}
	for _, m := range found {
		views = append(views, messageView(m, who[m.Person]))
	}
	return views, next, err
}

// Message reads one message; NotFound if there is none.
func (s *Service) Message(ctx context.Context, organization, id string) (*MessageView, error) {
	m, err := s.message(ctx, organization, id)
	if err != nil {
		return nil, err
	}
	who, err := s.Store.SubjectsOf(ctx, organization, []store.PersonKey{m.Person})
	return messageView(m, who[m.Person]), err
}

func (s *Service) message(ctx context.Context, organization, id string) (*store.Message, error) {
	var key store.ID
	if err := key.UnmarshalText([]byte(id)); err != nil {
		return nil, consent.Errorf(consent.NotFound, "emailing", "no such message")
	}
	return s.Store.Message(ctx, organization, key)
}

// Again has a message sent again that failed, was dropped, or of which it is not
// clear whether it was sent. It is for whoever asks to know that a person may then
// get it twice.
func (s *Service) Again(ctx context.Context, organization, id string) (*MessageView, error) {
	m, err := s.message(ctx, organization, id)
	if err != nil {
		return nil, err
	}
	e, err := s.Store.Email(ctx, organization, m.Email)
	if err != nil && consent.KindOf(err) == consent.NotFound {
		return nil, consent.Errorf(consent.Conflict, "emailing", "it cannot be sent again: how messages of its type are sent was deleted")
	}
	if err != nil {
		return nil, err
	}
	expires := consent.TimeOf(s.Now()).Add(e.Settings.Properties.MaxAge())
	if err := s.Store.SendAgain(ctx, organization, m.ID, expires, changes.New(ctx, s.Now(), organization, m.Integration, "message.sent_again",
		store.Detail{Name: "email_type", Is: string(m.Type)}, store.Detail{Name: "person", Is: m.Person.String()}, store.Detail{Name: "state", Was: string(m.State)})); err != nil {
		return nil, err
	}
	s.Changed()
	return s.Message(ctx, organization, id)
}

// Texts are the values of one parameter: a text, or a list of them.
type Texts []string

// UnmarshalJSON takes "text" and ["text"].
func (t *Texts) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = Texts{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// Wish is a message that somebody asks for.
type Wish struct {
	EmailType          mail.Type `json:"email_type"`
	OrganizationUserID string    `json:"organization_user_id"`
	// Address, if set, counts instead of the one that is known.
	Address string `json:"address"`
	// Reference names what is asked for: with the same one, type and person, there
	// is one message for ever. Without it every request is another.
	Reference  string           `json:"reference"`
	Parameters map[string]Texts `json:"parameters"`
}

// Send has a message sent; fresh is false where the same was asked for before.
func (s *Service) Send(ctx context.Context, organization string, body []byte) (v *MessageView, fresh bool, err error) {
	var w Wish
	if err := incoming.Decode(body, &w); err != nil {
		return nil, false, err
	}
	fields := map[string]string{}
	if w.EmailType == "" {
		fields["email_type"] = "is required: one of those that are configured"
	}
	if w.OrganizationUserID == "" {
		fields["organization_user_id"] = "is required: whom it is for"
	}
	w.check(fields)
	if len(fields) > 0 {
		return nil, false, incoming.Refuse(consent.Invalid, fields)
	}
	emails, err := s.Store.Emails(ctx, organization)
	if err != nil {
		return nil, false, err
	}
	n := slices.IndexFunc(emails, func(e *store.Email) bool { return e.Settings.EmailType == w.EmailType })
	switch {
	case n < 0:
		return nil, false, incoming.RefuseField("email_type", "is not configured: see POST /v1/marketplace/emails")
	case !emails[n].Settings.Enabled:
		return nil, false, incoming.RefuseField("email_type", "is switched off: see PATCH /v1/marketplace/emails/"+emails[n].ID)
	}
	return s.request(ctx, emails[n], store.OfRequest, w)
}

// mostText bounds a value of a parameter, and what else is sent of a request.
const mostText = 10_000

func (w *Wish) check(fields map[string]string) {
	for name, text := range map[string]string{"organization_user_id": w.OrganizationUserID, "address": w.Address, "reference": w.Reference} {
		if len(text) > 1000 || strings.ContainsRune(text, 0) {
			fields[name] = "must be a text of up to 1,000 bytes"
		}
	}
	for name, values := range w.Parameters {
		if name == "" || slices.ContainsFunc(values, func(v string) bool { return len(v) > mostText }) {
			fields["parameters."+name] = "must have a name, and texts of up to 10,000 bytes"
		}
	}
}

// Test has a message sent to whoever tests, whether its type is switched on or
// not.
func (s *Service) Test(ctx context.Context, organization, id string, body []byte) (*MessageView, error) {
	var in struct {
		Address            string           `json:"address"`
		OrganizationUserID string           `json:"organization_user_id"`
		Parameters         map[string]Texts `json:"parameters"`
	}
	if err := incoming.Decode(body, &in); err != nil {
		return nil, err
	}
	e, err := s.Store.Email(ctx, organization, id)
	if err != nil {
		return nil, err
	}
	i, err := s.Store.Integration(ctx, store.IntegrationKey{Organization: organization, ID: e.Integration})
	if err != nil {
		return nil, err
	}
	w := Wish{OrganizationUserID: in.OrganizationUserID, Address: in.Address, Parameters: in.Parameters}
	fields := map[string]string{}
	key := i.Settings.Properties.UserUniqueKey
	switch {
	case w.Address == "":
		fields["address"] = "is required: your own, where you look for the message"
	case w.OrganizationUserID == "" && key == e.Settings.Properties.AddressAttribute:
		w.OrganizationUserID = w.Address
	case w.OrganizationUserID == "":
		fields["organization_user_id"] = fmt.Sprintf("is required: the %s of your own profile, which Actito makes if there is none", key)
	}
	w.check(fields)
	if len(fields) > 0 {
		return nil, incoming.Refuse(consent.Invalid, fields)
	}
	v, _, err := s.request(ctx, e, store.OfTest, w, changes.New(ctx, s.Now(), organization, e.Integration, "message.test_requested",
		store.Detail{Name: "email_type", Is: string(e.Settings.EmailType)}))
	return v, err
}

func (s *Service) request(ctx context.Context, e *store.Email, origin store.Origin, w Wish, changes ...store.Change) (*MessageView, bool, error) {
	if w.Reference == "" {
		w.Reference = rand.Text()
	}
	now := consent.TimeOf(s.Now())
	who := consent.Subject{OrganizationUserID: w.OrganizationUserID}
	m := store.NewMessage(e, origin, s.Hasher.Person(e.Organization, who), s.Hasher.Occasion(e.Organization, origin, w.Reference), now, now, nil)
	o := mail.Order{UserID: w.OrganizationUserID, Address: w.Address, At: now, Parameters: map[string][]string{}}
	for name, values := range w.Parameters {
		o.Parameters[name] = values
	}
	var err error
	if m.Body, err = s.seal(&m, o); err != nil {
		return nil, false, err
	}
	is, fresh, err := s.Store.Request(ctx, m, changes...)
	if err != nil {
		return nil, false, err
	}
	s.Changed()
	return messageView(is, who), fresh, nil
}

func sealContext(m *store.Message) []string {
	return []string{"message", m.Organization, m.ID.String()}
}

func (s *Service) seal(m *store.Message, o mail.Order) ([]byte, error) {
	plain, err := o.Encode()
	if err != nil {
		return nil, err
	}
	return json.Marshal(store.SealedBody{Sealed: s.Sealer.Seal(plain, sealContext(m)...)})
}

// Order opens what a message is to say. What an event causes says nothing that is
// secret; what is asked for is sealed, for it may hold links that let people in.
func (s *Service) Order(m *store.Message) (mail.Order, error) {
	sealed := store.SealedIn(m.Body)
	if sealed == nil {
		return mail.DecodeOrder(m.Body)
	}
	plain, err := s.Sealer.Open(sealed, sealContext(m)...)
	if err != nil {
		return mail.Order{}, err
	}
	return mail.DecodeOrder(plain)
}
