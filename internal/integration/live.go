package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"consentsync/internal/actito"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// readTable reads the table from the live account. Errors name the setting
// that is at fault.
func (s *Service) readTable(ctx context.Context, in *input) (actito.Table, error) {
	return tableOf(ctx, s.Accounts.Client(in.Properties.BaseURL, in.Authentication.PrivateAPIKey), in)
}

func tableOf(ctx context.Context, client *actito.Client, in *input) (actito.Table, error) {
	p := in.Properties
	table, err := client.Table(ctx, p.EntityID, p.TableName)
	if err == nil {
		return table, nil
	}
	switch consent.KindOf(err) {
	case consent.NotFound, consent.Invalid:
		return table, notFound(ctx, client, in, err)
	}
	return table, refusedAccount(err, p.BaseURL, "properties.table_name")
}

// notFound tells whether it is the entity or the table that does not exist.
func notFound(ctx context.Context, client *actito.Client, in *input, cause error) error {
	p := in.Properties
	entities, err := client.Entities(ctx)
	if err == nil && !slices.ContainsFunc(entities, func(e actito.Entity) bool { return e.Name == p.EntityID }) {
		names := make([]string, len(entities))
		for i, e := range entities {
			names[i] = e.Name
		}
		return incoming.RefuseField("properties.entity_id", fmt.Sprintf("there is no entity %q; this account has: %s", p.EntityID, strings.Join(names, ", ")))
	}
	return incoming.RefuseField("properties.table_name", consent.MessageOf(cause))
}

// checkAgainst checks what has to be there in the live table.
func checkAgainst(in *input, table actito.Table) error {
	fields := make(map[string]string)
	key := slices.IndexFunc(table.Attributes, func(a actito.Attribute) bool { return a.Name == in.Properties.UserUniqueKey })
	switch {
	case key < 0:
		fields["properties.user_unique_key"] = fmt.Sprintf("the table has no attribute %q; its unique attributes are: %s",
			in.Properties.UserUniqueKey, strings.Join(uniqueAttributes(table), ", "))
	case !table.Attributes[key].Unique:
		fields["properties.user_unique_key"] = fmt.Sprintf("the attribute %q is not unique; the table's unique attributes are: %s",
			in.Properties.UserUniqueKey, strings.Join(uniqueAttributes(table), ", "))
	}
	for i, m := range in.Mappings {
		if !slices.Contains(table.Subscriptions, m.ID) {
			fields[fmt.Sprintf("mappings[%d].id", i)] = fmt.Sprintf("the table %q has no subscription %q; it has: %s",
				table.Name, m.ID, strings.Join(table.Subscriptions, ", "))
		}
	}
	if len(fields) > 0 {
		return incoming.Refuse(consent.Invalid, fields)
	}
	return nil
}

func uniqueAttributes(table actito.Table) []string {
	var names []string
	for _, a := range table.Attributes {
		if a.Unique {
			names = append(names, a.Name)
		}
	}
	return names
}

// checkDidomi refuses credentials that Didomi refuses. A Didomi that cannot be
// reached is no obstacle: the way to Actito works without it, and what cannot be
// told waits.
func (s *Service) checkDidomi(ctx context.Context, organization string, a Authentication) error {
	if a.DidomiAPIKey == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := s.Didomis.Client(s.DidomiURL, organization, a.DidomiAPIKey, a.DidomiAPISecret).CheckSession(ctx)
	if err != nil && consent.KindOf(err) == consent.Unauthorized {
		return incoming.RefuseField("authentication.didomi_api_secret", "Didomi refuses this key and secret at "+s.DidomiURL)
	}
	return nil
}

// checkOwners refuses a subscription that another integration on the same
// table maps already: it can have one owner only (R11).
func (s *Service) checkOwners(ctx context.Context, i *store.Integration) error {
	others, err := s.Store.IntegrationsOfLicence(ctx, i.Licence)
	if err != nil {
		return err
	}
	for after := ""; ; {
		page, err := s.Store.Integrations(ctx, i.Organization, after, 100)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		others, after = append(others, page...), page[len(page)-1].ID
	}
	fields := make(map[string]string)
	ours := i.Settings.Properties
	for _, o := range others {
		p := o.Settings.Properties
		same := p.BaseURL == ours.BaseURL && p.EntityID == ours.EntityID && o.Snapshot.TableID == i.Snapshot.TableID
		if !same || o.Organization == i.Organization && o.ID == i.ID {
			continue
		}
		shared := consent.Overlap(i.Settings.Mappings, o.Settings.Mappings)
		for n, m := range i.Settings.Mappings {
			if slices.Contains(shared, m.ID) {
				fields[fmt.Sprintf("mappings[%d].id", n)] = fmt.Sprintf("the subscription %q is mapped already, by another integration on this table", m.ID)
			}
		}
	}
	if len(fields) > 0 {
		return incoming.Refuse(consent.Conflict, fields)
	}
	return nil
}

// own writes an integration if its subscriptions are still nobody else's, when
// others may have been written since they were last looked at.
func (s *Service) own(ctx context.Context, i *store.Integration, change store.Change, put write) error {
	return s.Store.Alone(ctx, func(ctx context.Context) error {
		if err := s.checkOwners(ctx, i); err != nil {
			return err
		}
		return put(ctx, i, change)
	})
}

// snapshotOf makes the snapshot of a table. A subscription that the last
// snapshot had keeps its date; a new one is dated now, so that nothing that was
// known under its name before counts (R12).
func snapshotOf(table actito.Table, last consent.Snapshot, now consent.Time) consent.Snapshot {
	s := consent.Snapshot{
		TakenAt: now, TableID: table.ID, Subscriptions: []consent.Subscription{}, Attributes: AttributesOf(table),
		RestoredAt: last.RestoredAt, GrantsApproved: last.GrantsApproved,
	}
	for _, name := range table.Subscriptions {
		since := now
		if old, had := last.Subscription(name); had {
			since = old.Since
		}
		s.Subscriptions = append(s.Subscriptions, consent.Subscription{Name: name, Since: since})
	}
	return s
}

// AttributesOf gives the attributes of a table as a snapshot has them.
func AttributesOf(table actito.Table) []consent.Attribute {
	list := []consent.Attribute{}
	for _, a := range table.Attributes {
		list = append(list, consent.Attribute{
			Name: a.Name, Kind: kindOf(a), Generated: generated[a.Name], Unique: a.Unique, Mandatory: a.Mandatory, Multi: a.MultiValued,
			MinLength: a.MinLength, MaxLength: a.MaxLength,
		})
	}
	return list
}

// generated are the attributes that Actito itself writes
// (https://cdn.actito.be/fe/actito-documentation-client/campaign/en/Creating_or_Updating_a_Single_Profile.html).
var generated = map[string]bool{"profileId": true, "creationMoment": true, "updateMoment": true}

// kindOf translates Actito's types. Those that we do not know are taken as
// text: Actito is then the judge.
func kindOf(a actito.Attribute) consent.AttributeKind {
	switch strings.ToUpper(a.ValueType) {
	case "INTEGER", "LONG":
		return consent.Integer
	case "DECIMAL", "FLOAT", "DOUBLE", "NUMBER":
		return consent.Decimal
	case "BOOLEAN":
		return consent.Boolean
	case "DATE":
		return consent.Date
	case "TIMESTAMP", "DATETIME":
		return consent.Timestamp
	}
	if strings.EqualFold(a.Type, "BIRTHDATE") {
		return consent.Date
	}
	return consent.String
}

// Campaigns lists the transactional campaigns of an integration's entity; known is
// false where Actito does not tell.
func (s *Service) Campaigns(ctx context.Context, i *store.Integration) (list []actito.Campaign, known bool, err error) {
	secrets, err := s.Secrets(i)
	if err != nil {
		return nil, false, err
	}
	p := i.Settings.Properties
	list, known, err = s.Accounts.Client(p.BaseURL, secrets.PrivateAPIKey).Campaigns(ctx, p.EntityID)
	if err != nil {
		return nil, false, refusedAccount(err, p.BaseURL, "properties.email_campaign_name")
	}
	return list, known, nil
}
