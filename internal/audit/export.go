package audit

import (
	"context"
	"strconv"

	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// ReadStore is what showing the chain needs of the database.
type ReadStore interface {
	AuditHead(ctx context.Context, organization string) (*store.AuditHead, error)
	AuditLinks(ctx context.Context, organization string, after int64, limit int) ([]store.AuditLink, error)
	AuditLinkOf(ctx context.Context, organization string, position int64) (store.AuditLink, error)
	AuditRecords(ctx context.Context, organization string, first, last int64) ([]store.AuditRecord, error)
	SealedAt(ctx context.Context, organization string, kind store.AuditKind, id store.ID, person store.PersonKey) (store.AuditRecord, bool, error)
	Payload(ctx context.Context, organization string, id store.ID) (salt [16]byte, body []byte, err error)
}

// Page is a part of an export.
type Page struct {
	Header
	Data []Link  `json:"data"`
	Next *string `json:"next"`
}

// Export gives some links of a chain with the records as they are now, from
// after the cursor.
func (s *Service) Export(ctx context.Context, organization, cursor string, limit int) (*Page, error) {
	var after int64
	if cursor != "" {
		var err error
		if after, err = strconv.ParseInt(cursor, 10, 64); err != nil || after < 1 {
			return nil, incoming.RefuseField("cursor", "must be the next of the page before")
		}
	}
	head, err := s.Store.AuditHead(ctx, organization)
	if err != nil {
		return nil, err
	}
	page := &Page{Header: Header{
		OrganizationID: organization, PublicKey: s.Signer.Public(), Head: Checkpoint{head.Number, head.Hash[:]}, Horizons: head.Retention.Horizons.Clone(),
	}, Data: []Link{}}
	first, err := s.Store.AuditLinks(ctx, organization, 0, 1)
	if err != nil {
		return nil, err
	}
	if len(first) > 0 {
		page.Oldest = first[0].Number
	}
	links, err := s.Store.AuditLinks(ctx, organization, after, limit+1)
	if err != nil {
		return nil, err
	}
	if len(links) > limit {
		links = links[:limit]
		next := strconv.FormatInt(links[limit-1].Number, 10)
		page.Next = &next
	}
	for i := range links {
		v := viewOf(&links[i])
		if v.Records, err = s.records(ctx, &links[i]); err != nil {
			return nil, err
		}
		page.Data = append(page.Data, v)
	}
	return page, nil
}

func (s *Service) records(ctx context.Context, l *store.AuditLink) ([]RecordView, error) {
	records, err := s.Store.AuditRecords(ctx, l.Organization, l.First, l.Last)
	if err != nil {
		return nil, err
	}
	views := make([]RecordView, len(records))
	for i := range records {
		if views[i], err = s.view(ctx, l.Organization, &records[i]); err != nil {
			return nil, err
		}
	}
	return views, nil
}

func (s *Service) view(ctx context.Context, organization string, r *store.AuditRecord) (v RecordView, err error) {
	v = RecordView{Position: r.Position, Kind: r.Kind, ID: r.ID, Person: r.Person[:], Digest: r.Digest[:]}
	if v.Record, err = s.form(r); err != nil {
		return v, err
	}
	switch {
	case r.Event != nil:
		v.Erased = r.Event.Erased()
		v.Payload, err = s.payload(ctx, organization, r.Event)
	case r.Call != nil:
		v.Erased = r.Call.Erased()
	}
	return v, err
}

// form gives the sealed form of a record as it is now. Whose event a deletion
// was may have been learnt after it was sealed: either is right.
func (s *Service) form(r *store.AuditRecord) ([]byte, error) {
	if r.Event != nil && (r.Event.Type != consent.EventDeleted || r.Person != store.PersonKey{}) {
		now := *r
		now.Person = r.Event.Person
		return s.Hasher.Sealed(&now)
	}
	return s.Hasher.Sealed(r)
}

func (s *Service) payload(ctx context.Context, organization string, e *store.AuditedEvent) (string, error) {
	salt, body, err := s.Store.Payload(ctx, organization, e.ID)
	switch {
	case err != nil && consent.KindOf(err) == consent.NotFound:
		return PayloadGone, nil
	case err != nil:
		return "", err
	case store.Commit(salt[:], body) == e.Commitment:
		return PayloadKept, nil
	}
	return PayloadChanged, nil
}
