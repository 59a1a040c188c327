package audit

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Proof is all that shows what happened about one person's consent: what they
// said, what was sent because of it and what was answered, each with its place
// in the audit chain.
type Proof struct {
	OrganizationID     string       `json:"organization_id"`
	OrganizationUserID string       `json:"organization_user_id"`
	Person             store.Hex    `json:"person"` // the keyed hash that stands for them in the chain
	At                 consent.Time `json:"at"`
	PublicKey          PublicKey    `json:"public_key"`
	Head               Checkpoint   `json:"head"`
	CatchingUp         bool         `json:"catching_up,omitempty"`
	// Complete is false if there is more than is shown: the newest is.
	Complete bool     `json:"complete"`
	Data     []Proven `json:"data"`
}

// Proven is an event or a call.
type Proven struct {
	At   consent.Time    `json:"at"`
	Kind store.AuditKind `json:"kind"` // event, call
	ID   store.ID        `json:"id"`

	// Of an event.
	Type       consent.MessageType `json:"type,omitempty"`
	EventID    string              `json:"event_id,omitempty"`
	Regulation string              `json:"regulation,omitempty"`
	ConsentAt  *consent.Time       `json:"consent_at,omitempty"`
	Outcome    string              `json:"outcome,omitempty"`
	Said       []Said              `json:"said,omitempty"`
	// Payload is the message as it came, and Salt what it was committed to with:
	// SHA-256 over salt and payload is what the sealed record calls payload.
	Payload string    `json:"payload,omitempty"`
	Salt    store.Hex `json:"salt,omitempty"`

	// Of a call, and of its answer.
	IntegrationID string          `json:"integration_id,omitempty"`
	Mapping       int64           `json:"mapping_version,omitempty"` // revision of the integration
	Operation     string          `json:"operation,omitempty"`
	Subscriptions map[string]bool `json:"subscriptions,omitempty"`
	Attributes    []string        `json:"attributes,omitempty"` // names
	AnsweredAt    *consent.Time   `json:"answered_at,omitempty"`
	Detail        string          `json:"detail,omitempty"`

	// Seal is the place in the chain; nil for what is not sealed yet.
	Seal *Seal `json:"seal"`
}

// Said is a choice in an event.
type Said struct {
	Path    string `json:"path"`
	Enabled bool   `json:"enabled"`
}

// Seal shows that a record is in the chain: its digest is that of the sealed
// form, and leads over the path to the root of the link, whose hash is signed.
type Seal struct {
	RecordView
	// Genuine tells that the record is as it was sealed.
	Genuine bool   `json:"genuine"`
	Path    []Step `json:"path"`
	Link    Link   `json:"link"`
}

// mostProven bounds the events, and the calls, of one proof.
const mostProven = 5000

// Prove gives the proof for a person; NotFound if nothing is known.
func (s *Service) Prove(ctx context.Context, organization, userID string) (*Proof, error) {
	caughtUp, err := store.UpToDate(ctx, s.Store, organization, store.Patience)
	if err != nil {
		return nil, err
	}
	key, t, err := s.trace(ctx, organization, userID)
	if err != nil {
		return nil, err
	}
	head, err := s.Store.AuditHead(ctx, organization)
	if err != nil {
		return nil, err
	}
	p := &Proof{
		OrganizationID: organization, OrganizationUserID: userID, Person: key[:], At: consent.TimeOf(s.Now()), PublicKey: s.Signer.Public(),
		Head: Checkpoint{head.Number, head.Hash[:]}, CatchingUp: !caughtUp, Complete: len(t.Events) < mostProven && len(t.Calls) < mostProven, Data: []Proven{},
	}
	links := map[int64]*sealedLink{}
	for i := range t.Events {
		x, err := s.provenEvent(ctx, organization, &t.Events[i])
		if err == nil {
			x.Seal, err = s.sealOf(ctx, organization, links, t.Events[i].Person, x.ID, store.AuditEvent)
		}
		if err != nil {
			return nil, err
		}
		p.Data = append(p.Data, x)
	}
	for i := range t.Calls {
		c := &t.Calls[i]
		x := provenCall(c)
		kinds := []store.AuditKind{store.AuditCall, store.AuditBegun}
		if x.Seal, err = s.sealOf(ctx, organization, links, c.Person, c.ID, kinds...); err != nil {
			return nil, err
		}
		p.Data = append(p.Data, x)
	}
	slices.SortStableFunc(p.Data, func(a, b Proven) int { return cmp.Compare(a.At, b.At) })
	return p, nil
}

// trace reads the history of a person and of the Didomi users seen under them.
func (s *Service) trace(ctx context.Context, organization, userID string) (key store.PersonKey, t store.Trace, err error) {
	key = s.Hasher.Person(organization, consent.Subject{OrganizationUserID: userID})
	person, err := s.Store.Person(ctx, organization, key)
	if err != nil {
		return key, t, err
	}
	t, err = s.Store.Trace(ctx, organization, s.subjects(organization, key, person), mostProven)
	return key, t, err
}

// subjects are a person and the Didomi users linked to them.
func (s *Service) subjects(organization string, key store.PersonKey, person *store.Person) []store.PersonKey {
	all := []store.PersonKey{key}
	for id := range person.DidomiUsers {
		all = append(all, s.Hasher.Person(organization, consent.Subject{DidomiUserID: id}))
	}
	return all
}

func (s *Service) provenEvent(ctx context.Context, organization string, e *store.Event) (Proven, error) {
	x := Proven{
		At: e.ArrivedAt, Kind: store.AuditEvent, ID: e.ID, Type: e.Type, EventID: e.EntityID, Regulation: e.Regulation,
		ConsentAt: e.ConsentAt.OrNil(), Outcome: string(e.Outcome),
	}
	salt, body, err := s.Store.Payload(ctx, organization, e.ID)
	if err != nil {
		if consent.KindOf(err) == consent.NotFound {
			err = nil // it was kept long enough
		}
		return x, err
	}
	x.Payload, x.Salt = string(body), salt[:]
	if m, err := s.Decode(organization, body); err == nil {
		x.Said = said(m)
	}
	return x, nil
}

// said lists the choices of a message.
func said(m *consent.Message) (all []Said) {
	for _, c := range m.Choices {
		all = append(all, Said{c.Choice.Path(), c.Enabled})
	}
	for _, l := range m.Selections {
		for _, value := range l.Values {
			all = append(all, Said{consent.Choice{Kind: consent.OfValue, Purpose: l.Purpose, Preference: l.Preference, Value: value}.Path(), true})
		}
	}
	return all
}

func provenCall(c *store.Call) Proven {
	return Proven{
		At: c.StartedAt, Kind: store.AuditCall, ID: c.ID, IntegrationID: c.Integration, Mapping: c.Revision, Operation: c.Operation,
		Subscriptions: c.Subscriptions, Attributes: c.Attributes, AnsweredAt: c.AnsweredAt.OrNil(), Outcome: c.Outcome, Detail: c.Detail,
	}
}

// sealedLink is a link with the leaves of its tree.
type sealedLink struct {
	store.AuditLink
	records []store.AuditRecord
	leaves  [][32]byte
}

// sealOf finds a record in the chain, as the first of the kinds under which it
// is sealed; nil if it is not.
func (s *Service) sealOf(ctx context.Context, organization string, links map[int64]*sealedLink, person store.PersonKey, id store.ID, kinds ...store.AuditKind) (*Seal, error) {
	for _, kind := range kinds {
		r, ok, err := s.Store.SealedAt(ctx, organization, kind, id, person)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		l, err := s.linkOf(ctx, organization, links, r.Position)
		if err != nil {
			return nil, err
		}
		return s.seal(ctx, l, r.Position)
	}
	return nil, nil //nolint:nilnil // not sealed yet
}

// linkOf reads the link of a position, unless it is among those read already.
func (s *Service) linkOf(ctx context.Context, organization string, links map[int64]*sealedLink, position int64) (*sealedLink, error) {
	for _, l := range links {
		if l.First <= position && position <= l.Last {
			return l, nil
		}
	}
	found, err := s.Store.AuditLinkOf(ctx, organization, position)
	if err != nil {
		return nil, err
	}
	l := &sealedLink{AuditLink: found}
	if l.records, err = s.Store.AuditRecords(ctx, organization, l.First, l.Last); err != nil {
		return nil, err
	}
	l.leaves = leavesOf(l.records)
	links[l.Number] = l
	return l, nil
}

func (s *Service) seal(ctx context.Context, l *sealedLink, position int64) (*Seal, error) {
	i := slices.IndexFunc(l.records, func(r store.AuditRecord) bool { return r.Position == position })
	if i < 0 {
		return nil, consent.Errorf(consent.Internal, "audit", "a record of the chain is gone")
	}
	v, err := s.view(ctx, l.Organization, &l.records[i])
	if err != nil {
		return nil, err
	}
	digest := store.SealDigest(v.Record)
	path := pathOf(l.leaves, i)
	return &Seal{
		RecordView: v, Path: path, Link: viewOf(&l.AuditLink),
		Genuine: bytes.Equal(digest[:], v.Digest) && v.Payload != PayloadChanged && climb(l.leaves[i], path) == l.Root &&
			linkHash(&l.AuditLink) == l.Hash && s.Signer.Public().verifies(&l.AuditLink),
	}, nil
}
