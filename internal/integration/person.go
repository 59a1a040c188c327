package integration

import (
	"context"

	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// Replay compares a person with an integration again and sends the difference,
// whatever became of it before.
func (s *Service) Replay(ctx context.Context, k store.IntegrationKey, userID string) error {
	return s.with(ctx, k, userID, actionReplayed, func(ctx context.Context, d store.DeliveryKey, change store.Change) error {
		return s.Store.MakeDue(ctx, d, store.BackfilledRefusal, consent.TimeOf(s.Now()), change)
	})
}

// Retell tells Didomi again what a person chose in Actito, whatever became of it
// before.
func (s *Service) Retell(ctx context.Context, k store.IntegrationKey, userID string) error {
	return s.with(ctx, k, userID, actionRetold, func(ctx context.Context, d store.DeliveryKey, change store.Change) error {
		d.Target = store.TargetDidomi
		return s.Store.MakeDue(ctx, d, store.BackfilledRefusal, consent.TimeOf(s.Now()), change)
	})
}

// Reread has a person's profile read in Actito, and whatever differs from what
// it should hold sent again. Nothing is known of who was never sent: NotFound.
func (s *Service) Reread(ctx context.Context, k store.IntegrationKey, userID string) error {
	return s.with(ctx, k, userID, actionReread, func(ctx context.Context, d store.DeliveryKey, change store.Change) error {
		return s.Store.AskRead(ctx, d, change)
	})
}

// with does something with one person in an integration, once all that was
// accepted of them is merged.
func (s *Service) with(ctx context.Context, k store.IntegrationKey, userID, action string, do func(context.Context, store.DeliveryKey, store.Change) error) error {
	if userID == "" {
		return incoming.RefuseField("organization_user_id", "is required")
	}
	if _, err := s.Store.Integration(ctx, k); err != nil {
		return err
	}
	if _, err := store.CaughtUp(ctx, s.Store, k.Organization, store.Patience); err != nil {
		return err
	}
	person := s.Hasher.Person(k.Organization, consent.Subject{OrganizationUserID: userID})
	d := store.DeliveryKey{Organization: k.Organization, Integration: k.ID, Target: store.TargetActito, Person: person}
	err := do(ctx, d, s.change(ctx, k, action, store.Detail{Name: "person", Is: person.String()}))
	if err == nil {
		s.Changed()
	}
	return err
}
