package integration

import (
	"context"
	"strings"

	"consentsync/internal/changes"
	"consentsync/internal/store"
)

// What is recorded of changes; see the package changes.
const (
	actionCreated       = "integration.created"
	actionChanged       = "integration.changed"
	actionRefreshed     = "integration.refreshed"
	actionDeleted       = "integration.deleted"
	actionPaused        = "integration.paused"
	actionResumed       = "integration.resumed"
	actionApproved      = "integration.grants_approved"
	actionSecretRotated = "integration.webhook_secret_rotated"
	actionReplayed      = "person.replayed"
	actionReread        = "person.reread"
	actionRetold        = "person.retold"
	actionRetried       = "people.retried"
)

// change makes the record of a change of an integration.
func (s *Service) change(ctx context.Context, k store.IntegrationKey, action string, details ...store.Detail) store.Change {
	return changes.New(ctx, s.Now(), k.Organization, k.ID, action, details...)
}

// shown is what of an integration changes are told of: without secrets.
type shown struct {
	store.Settings
	Authentication Authentication `json:"authentication"`
	Status         string         `json:"status"`
	Subscriptions  string         `json:"snapshot_subscriptions"`
}

// shown gives what can be told of an integration; nothing of one that is new.
func (s *Service) shown(i *store.Integration) (any, error) {
	if i.Sealed == nil {
		return nil, nil
	}
	secrets, err := s.Secrets(i)
	return shown{i.Settings, secrets.masked(), string(i.Status), strings.Join(i.Snapshot.SubscriptionNames(), ", ")}, err
}

// difference makes the record of what an integration has become; was comes from
// shown, before it.
func (s *Service) difference(ctx context.Context, action string, was any, i *store.Integration) (store.Change, error) {
	is, err := s.shown(i)
	return s.change(ctx, store.IntegrationKey{Organization: i.Organization, ID: i.ID}, action, changes.Between(was, is)...), err
}
