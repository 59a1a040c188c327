package audit

import (
	"context"
	"fmt"
	"time"

	"consentsync/internal/changes"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/mail"
	"consentsync/internal/store"
)

// Store is what the service needs of the database.
type Store interface {
	ReadStore
	store.Unmerged
	Feature(ctx context.Context, organization string) (exists, actito bool, err error)
	Person(ctx context.Context, organization string, key store.PersonKey) (*store.Person, error)
	DeliveriesOf(ctx context.Context, organization string, p store.PersonKey) ([]*store.Delivery, error)
	// MessagesOf lists the messages to somebody, the newest first.
	MessagesOf(ctx context.Context, organization string, p store.PersonKey, limit int) ([]*store.Message, error)
	// Mentions reads what else stands about somebody, at most limit of each kind.
	Mentions(ctx context.Context, organization string, people []store.PersonKey, userID string, limit int) (store.Mentions, error)
	Trace(ctx context.Context, organization string, subjects []store.PersonKey, limit int) (store.Trace, error)
	Privacy(ctx context.Context, organization string) (store.Privacy, error)
	SetPrivacy(ctx context.Context, organization string, p store.Privacy, changes ...store.Change) error
	Erase(ctx context.Context, x store.Erasure, change func([]store.PersonKey) store.Change) (int, error)
}

// Service shows the chain, proves, exports and erases.
type Service struct {
	Store  Store
	Hasher *store.Hasher
	Signer *Signer
	// Decode reads what a payload of an organization says.
	Decode func(organization string, payload []byte) (*consent.Message, error)
	// Order reads what a message to a person says.
	Order func(m *store.Message) (mail.Order, error)
	Now   func() time.Time
}

// mostDays bounds how long something may be kept for a time.
const mostDays = 36500

// Privacy gives how data of an organization is kept.
func (s *Service) Privacy(ctx context.Context, organization string) (store.Privacy, error) {
	if err := s.exists(ctx, organization); err != nil {
		return store.Privacy{}, err
	}
	return s.privacy(ctx, organization)
}

// privacy gives the settings, each kind with its days.
func (s *Service) privacy(ctx context.Context, organization string) (store.Privacy, error) {
	p, err := s.Store.Privacy(ctx, organization)
	all := map[store.Kept]int{}
	for _, kind := range store.AllKept {
		all[kind] = p.RetentionDays[kind]
	}
	p.RetentionDays = all
	return p, err
}

// PrivacyChange is what is to be changed; nil stays.
type PrivacyChange struct {
	RetentionDays     map[store.Kept]int `json:"retention_days"`
	EraseDeletedUsers *bool              `json:"erase_deleted_users"`
}

// ChangePrivacy changes how data of an organization is kept, and gives what
// holds then.
func (s *Service) ChangePrivacy(ctx context.Context, organization string, in PrivacyChange) (store.Privacy, error) {
	was, err := s.Privacy(ctx, organization)
	if err != nil {
		return was, err
	}
	is, err := s.privacy(ctx, organization)
	if err != nil {
		return was, err
	}
	problems := map[string]string{}
	for kind, days := range in.RetentionDays {
		if _, known := is.RetentionDays[kind]; !known {
			problems["retention_days."+string(kind)] = fmt.Sprintf("must be one of %v", store.AllKept)
		} else if days < 0 || days > mostDays {
			problems["retention_days."+string(kind)] = "must be a number of days from 1 to 36500, or 0 for ever"
		}
		is.RetentionDays[kind] = days
	}
	if len(problems) > 0 {
		return was, incoming.Refuse(consent.Invalid, problems)
	}
	if in.EraseDeletedUsers != nil {
		is.EraseDeletedUsers = *in.EraseDeletedUsers
	}
	details := changes.Between(was, is)
	if len(details) == 0 {
		return is, nil
	}
	return is, s.Store.SetPrivacy(ctx, organization, is, changes.New(ctx, s.Now(), organization, "", "privacy.changed", details...))
}

func (s *Service) exists(ctx context.Context, organization string) error {
	exists, _, err := s.Store.Feature(ctx, organization)
	if err == nil && !exists {
		err = consent.Errorf(consent.NotFound, "audit", "there is no such organization")
	}
	return err
}

// detailPerson names in the record of an erasure whom it was about.
const detailPerson = "person"

// Erased tells what an erasure has done.
type Erased struct {
	OrganizationUserID string       `json:"organization_user_id"`
	Person             string       `json:"person"` // the keyed hash under which the tombstone is
	ErasedAt           consent.Time `json:"erased_at"`
	Records            int          `json:"records"` // events and calls of which the content is gone
}

// Erase erases a person: see store.Erasure. confirm must repeat the id.
func (s *Service) Erase(ctx context.Context, organization, userID, confirm string, force bool) (*Erased, error) {
	if confirm != userID {
		return nil, incoming.RefuseField("confirm", "must repeat the organization_user_id of the person to be erased: it cannot be undone")
	}
	// What was accepted before, and is not merged yet, is about to be there.
	// A row of a file may tell which Didomi user the person is.
	if upToDate, err := store.UpToDate(ctx, s.Store, organization, store.Patience); err != nil || !upToDate {
		if err == nil {
			err = consent.Errorf(consent.Conflict, "audit.Erase", "webhooks, or rows of an import, that were accepted before are still being merged: try again in a few seconds, or when the import has ended")
		}
		return nil, err
	}
	key := s.Hasher.Person(organization, consent.Subject{OrganizationUserID: userID})
	var made store.Change
	n, err := s.Store.Erase(ctx, store.Erasure{SubjectKey: store.SubjectKey{Organization: organization, Person: key}, Force: force},
		func(people []store.PersonKey) store.Change {
			made = erasedChange(ctx, s.Now(), organization, people, "request")
			return made
		})
	if err != nil {
		return nil, err
	}
	return &Erased{userID, key.String(), made.At, n}, nil
}

// erasedChange is the record of an erasure: whom it is about, a person and the
// Didomi users linked to them, and why.
func erasedChange(ctx context.Context, now time.Time, organization string, people []store.PersonKey, why string) store.Change {
	details := []store.Detail{{Name: "why", Is: why}}
	for _, k := range people {
		details = append(details, store.Detail{Name: detailPerson, Is: k.String()})
	}
	return changes.New(ctx, now, organization, "", store.PersonErased, details...)
}
