package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/mail"
	"consentsync/internal/store"
)

// Personal is all that is kept about a person.
type Personal struct {
	OrganizationID     string       `json:"organization_id"`
	OrganizationUserID string       `json:"organization_user_id"`
	At                 consent.Time `json:"at"`
	CatchingUp         bool         `json:"catching_up,omitempty"`
	DidomiUserIDs      []string     `json:"didomi_user_ids"`
	Choices            []OwnChoice  `json:"choices"`
	Texts              []OwnText    `json:"texts"`
	Profiles           []OwnProfile `json:"profiles"`
	Events             []Proven     `json:"events"`
	Calls              []Proven     `json:"calls"`
	Messages           []OwnMessage `json:"messages"` // the newest first
	Mentions           OwnMentions  `json:"mentions"`
	Complete           bool         `json:"complete"`
}

// OwnChoice is a choice as it stands.
type OwnChoice struct {
	Path       string       `json:"path"`
	Regulation string       `json:"regulation"`
	Enabled    bool         `json:"enabled"`
	At         consent.Time `json:"at"`
	EventID    string       `json:"event_id"`
}

// OwnText is a piece of metadata.
type OwnText struct {
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value"`
	At    consent.Time    `json:"at"`
}

// OwnProfile is what is known of the person's profile at the other end.
type OwnProfile struct {
	IntegrationID string              `json:"integration_id"`
	Target        store.Target        `json:"target"`
	ProfileID     string              `json:"profile_id"`
	Status        store.DeliveryState `json:"status"`
	Subscriptions map[string]any      `json:"subscriptions"` // as last known; null if unsure
	Attributes    map[string]any      `json:"attributes"`
	LastError     string              `json:"last_error"`
	UpdatedAt     *consent.Time       `json:"updated_at"`
}

// OwnMessage is an e-mail or a text to the person, with what it says for as long
// as that is kept.
type OwnMessage struct {
	ID            store.ID            `json:"id"`
	EmailType     mail.Type           `json:"email_type"`
	State         store.MessageState  `json:"state"`
	Reason        string              `json:"reason"`
	InteractionID string              `json:"interaction_id"`
	CreatedAt     consent.Time        `json:"created_at"`
	Address       string              `json:"address,omitempty"`
	Parameters    map[string][]string `json:"parameters,omitempty"`
}

// Personal exports all that is kept about a person; NotFound if nothing is.
func (s *Service) Personal(ctx context.Context, organization, userID string) (*Personal, error) {
	caughtUp, err := store.UpToDate(ctx, s.Store, organization, store.Patience)
	if err != nil {
		return nil, err
	}
	key, t, err := s.trace(ctx, organization, userID)
	if err != nil {
		return nil, err
	}
	person, err := s.Store.Person(ctx, organization, key)
	if err != nil {
		return nil, err
	}
	deliveries, err := s.Store.DeliveriesOf(ctx, organization, key)
	if err != nil {
		return nil, err
	}
	people := s.subjects(organization, key, person)
	messages, err := s.messages(ctx, organization, people)
	if err != nil {
		return nil, err
	}
	mentions, err := s.Store.Mentions(ctx, organization, people, userID, mostProven)
	if err != nil {
		return nil, err
	}
	p := &Personal{
		OrganizationID: organization, OrganizationUserID: userID, At: consent.TimeOf(s.Now()), CatchingUp: !caughtUp,
		DidomiUserIDs: []string{}, Choices: []OwnChoice{}, Texts: []OwnText{}, Profiles: []OwnProfile{}, Events: []Proven{}, Calls: []Proven{},
		Messages: messages, Mentions: mentioned(&mentions),
		Complete: len(t.Events) < mostProven && len(t.Calls) < mostProven && len(messages) < mostProven && !mentions.Full(mostProven),
	}
	for id := range person.DidomiUsers {
		p.DidomiUserIDs = append(p.DidomiUserIDs, id)
	}
	slices.Sort(p.DidomiUserIDs)
	p.read(person.View(), deliveries)
	for i := range t.Events {
		x, err := s.provenEvent(ctx, organization, &t.Events[i])
		if err != nil {
			return nil, err
		}
		p.Events = append(p.Events, x)
	}
	for i := range t.Calls {
		p.Calls = append(p.Calls, provenCall(&t.Calls[i]))
	}
	return p, nil
}

func (s *Service) messages(ctx context.Context, organization string, people []store.PersonKey) ([]OwnMessage, error) {
	var found []*store.Message
	for _, p := range people {
		some, err := s.Store.MessagesOf(ctx, organization, p, mostProven)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	slices.SortFunc(found, func(a, b *store.Message) int { return bytes.Compare(b.ID[:], a.ID[:]) })
	all := make([]OwnMessage, len(found))
	for n, m := range found {
		all[n] = OwnMessage{ID: m.ID, EmailType: m.Type, State: m.State, Reason: m.Reason, InteractionID: m.Interaction, CreatedAt: m.CreatedAt}
		if len(m.Body) == 0 {
			continue
		}
		order, err := s.Order(m)
		if err != nil {
			return nil, err
		}
		all[n].Address, all[n].Parameters = order.Address, order.Parameters
	}
	return all, nil
}

func (p *Personal) read(view consent.View, deliveries []*store.Delivery) {
	for _, h := range view.Choices {
		p.Choices = append(p.Choices, OwnChoice{h.Path(), h.Regulation, h.Enabled, h.At, h.EventID})
	}
	for path, t := range view.Texts() {
		p.Texts = append(p.Texts, OwnText{path, t.Value, t.At})
	}
	for _, d := range deliveries {
		p.Profiles = append(p.Profiles, OwnProfile{d.Integration, d.Target, d.ProfileID, d.State, values(d.Known.Subscriptions), values(d.Known.Attributes), d.LastError, d.UpdatedAt.OrNil()})
	}
}

func values(facts map[string]consent.Fact) map[string]any {
	all := map[string]any{}
	for name, f := range facts {
		all[name] = nil
		if !f.Unknown {
			all[name] = f.Value
		}
	}
	return all
}
