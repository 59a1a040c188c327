package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"consentsync/internal/actito"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// Change applies a JSON merge patch (RFC 7396) to an integration, checks the
// result against the live account and takes a new snapshot. What makes it an
// integration of another table has to be a new one (R12).
func (s *Service) Change(ctx context.Context, k store.IntegrationKey, patch []byte) (*View, error) {
	i, in, err := s.patch(ctx, k, patch)
	if err != nil {
		return nil, err
	}
	was, err := s.shown(i)
	if err != nil {
		return nil, err
	}
	if err := s.adopt(ctx, i, in); err != nil {
		return nil, err
	}
	switch {
	case in.Enabled == nil:
		if i.Status == store.Suspended {
			i.Status = store.Active // it has just been found to work
		}
	case *in.Enabled:
		i.Status = store.Active
	default:
		i.Status = store.Paused
	}
	return s.save(ctx, i, actionChanged, was, func(ctx context.Context, i *store.Integration, changes ...store.Change) error {
		return s.own(ctx, i, changes[0], s.Store.UpdateIntegration)
	})
}

// patch gives an integration with the input that a merge patch makes of it.
func (s *Service) patch(ctx context.Context, k store.IntegrationKey, patch []byte) (*store.Integration, *input, error) {
	i, err := s.Store.Integration(ctx, k)
	if err != nil {
		return nil, nil, err
	}
	secrets, err := s.Secrets(i)
	if err != nil {
		return nil, nil, err
	}
	in, err := s.patched(i, secrets, patch)
	if err != nil {
		return nil, nil, err
	}
	in.Authentication = in.Authentication.unmasked(secrets)
	in.complete()
	return i, in, nil
}

// Refresh takes a new snapshot of the table. Subscriptions that are mapped and
// gone are left out from then on.
func (s *Service) Refresh(ctx context.Context, k store.IntegrationKey) (*View, error) {
	i, table, err := s.readAgain(ctx, k)
	if err != nil {
		return nil, err
	}
	was, err := s.shown(i)
	if err != nil {
		return nil, err
	}
	i.Snapshot = snapshotOf(table, i.Snapshot, consent.TimeOf(s.Now()))
	if i.Status == store.Suspended {
		i.Status = store.Active
	}
	return s.save(ctx, i, actionRefreshed, was, s.Store.UpdateIntegration)
}

// Look reads the table and tells what a refresh would find otherwise than the
// snapshot has it. Nothing is taken over.
func (s *Service) Look(ctx context.Context, k store.IntegrationKey) (*View, error) {
	i, table, err := s.readAgain(ctx, k)
	if err != nil {
		return nil, err
	}
	i.Seen = consent.Seen{LookedAt: consent.TimeOf(s.Now()), Subscriptions: table.Subscriptions, Attributes: AttributesOf(table)}
	if err := s.Store.SetSeen(ctx, k, i.Seen); err != nil {
		return nil, err
	}
	return s.view(ctx, i)
}

// readAgain reads an integration and its table.
func (s *Service) readAgain(ctx context.Context, k store.IntegrationKey) (*store.Integration, actito.Table, error) {
	i, err := s.Store.Integration(ctx, k)
	if err != nil {
		return nil, actito.Table{}, err
	}
	secrets, err := s.Secrets(i)
	if err != nil {
		return nil, actito.Table{}, err
	}
	table, err := s.readTable(ctx, &input{Settings: i.Settings, Authentication: secrets})
	if err == nil {
		err = sameTable(i, table)
	}
	return i, table, err
}

// write stores an integration with the record of its change.
type write = func(ctx context.Context, i *store.Integration, changes ...store.Change) error

// save stores what an integration has become; was is what shown gave before.
func (s *Service) save(ctx context.Context, i *store.Integration, action string, was any, put write) (*View, error) {
	i.Revision++
	i.StatusReason = ""
	i.UpdatedAt = max(consent.TimeOf(s.Now()), i.UpdatedAt+1)
	change, err := s.difference(ctx, action, was, i)
	if err != nil {
		return nil, err
	}
	if err := put(ctx, i, change); err != nil {
		return nil, err
	}
	s.keepWebhooks(ctx, i)
	s.Changed()
	return s.view(ctx, i)
}

// patched gives the input that results from a merge patch.
func (s *Service) patched(i *store.Integration, secrets Authentication, patch []byte) (*input, error) {
	current, err := json.Marshal(input{Settings: i.Settings, Authentication: secrets.masked()})
	if err != nil {
		return nil, err
	}
	var target, changes map[string]any
	if err := json.Unmarshal(current, &target); err != nil {
		return nil, err
	}
	if err := incoming.Decode(patch, &changes); err != nil {
		return nil, err
	}
	merged, err := json.Marshal(mergePatch(target, changes))
	if err != nil {
		return nil, err
	}
	return decode(merged)
}

// mergePatch is the algorithm of RFC 7396, section 2.
func mergePatch(target, patch any) any {
	changes, object := patch.(map[string]any)
	if !object {
		return patch
	}
	result, object := target.(map[string]any)
	if !object {
		result = map[string]any{}
	}
	result = maps.Clone(result)
	for name, value := range changes {
		if value == nil {
			delete(result, name)
		} else {
			result[name] = mergePatch(result[name], value)
		}
	}
	return result
}

// sameNames refuses settings that make an integration that exists one of
// another table (R12).
func sameNames(i *store.Integration, after store.Properties) error {
	before := i.Settings.Properties
	if before.TableName == "" {
		return nil // it is new
	}
	for _, f := range []struct{ field, was, is string }{
		{"properties.base_url", before.BaseURL, after.BaseURL},
		{"properties.entity_id", before.EntityID, after.EntityID},
		{"properties.table_name", before.TableName, after.TableName},
		{"properties.user_unique_key", before.UserUniqueKey, after.UserUniqueKey},
	} {
		if f.was != f.is {
			return incoming.RefuseField(f.field, "cannot be changed, since what is known of the profiles belongs to the old one: create a new integration")
		}
	}
	return nil
}

// sameTable refuses a table that was made anew under the name of the one that
// the integration knows (R12).
func sameTable(i *store.Integration, table actito.Table) error {
	was := i.Snapshot.TableID
	if was == "" || was == table.ID {
		return nil
	}
	return incoming.Refuse(consent.Conflict, map[string]string{"properties.table_name": fmt.Sprintf(
		"%q is another table now (id %s, was %s), and what is known of the profiles belongs to the old one: create a new integration",
		i.Settings.Properties.TableName, table.ID, was)})
}
