package integration

import (
	"context"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// View is an integration as it is shown: without secrets.
type View struct {
	ID             string                  `json:"id"`
	OrganizationID string                  `json:"organization_id"`
	Status         store.IntegrationStatus `json:"status"`
	StatusReason   string                  `json:"status_reason"`
	store.Settings
	Authentication Authentication       `json:"authentication"`
	Enabled        bool                 `json:"enabled"`
	Snapshot       SnapshotView         `json:"snapshot"`
	LeftOut        []store.LeftOutTotal `json:"left_out"`
	Reprojection   *ReprojectionView    `json:"reprojection,omitempty"`
	Restored       *RestoredView        `json:"restored,omitempty"`
	Webhook        *WebhookView         `json:"webhook,omitempty"`
	Revision       int64                `json:"revision"`
	CreatedAt      consent.Time         `json:"created_at"`
	UpdatedAt      consent.Time         `json:"updated_at"`
}

// SnapshotView is the snapshot as it is shown.
type SnapshotView struct {
	TakenAt       consent.Time `json:"taken_at"`
	Subscriptions []string     `json:"subscriptions"`
	Attributes    []string     `json:"attributes"`
	// AttributeTypes tells of each attribute what it takes.
	AttributeTypes []consent.Attribute `json:"attribute_types"`
	// LookedAt is when the table was last looked at, and Differs what was then
	// otherwise than in the snapshot; nil if nothing was.
	LookedAt consent.Time              `json:"looked_at"`
	Differs  *consent.SchemaDifference `json:"differs"`
}

func snapshotView(s *consent.Snapshot, seen *consent.Seen) SnapshotView {
	v := SnapshotView{
		TakenAt: s.TakenAt, Subscriptions: s.SubscriptionNames(), Attributes: []string{}, AttributeTypes: s.Attributes, LookedAt: max(s.TakenAt, seen.LookedAt),
	}
	if d := s.Differs(seen); !d.Empty() {
		v.Differs = &d
	}
	for _, a := range s.Attributes {
		v.Attributes = append(v.Attributes, a.Name)
	}
	return v
}

// ReprojectionView tells how the comparison of all people goes after a change.
type ReprojectionView struct {
	State       store.ReprojectionState `json:"state"`
	People      int64                   `json:"people"`
	Withdrawals int64                   `json:"withdrawals"`
	Grants      int64                   `json:"grants"`
	// A retry is of those alone who are in a state, for a reason if there is one.
	// OnlyTarget is where their deliveries go, unless it is Actito.
	OnlyTarget store.Target        `json:"only_target,omitempty"`
	OnlyStatus store.DeliveryState `json:"only_status,omitempty"`
	OnlyReason string              `json:"only_reason,omitempty"`
	// It may also be about when their delivery was last worked on or confirmed.
	OnlyFrom *consent.Time `json:"only_from,omitempty"`
	OnlyTo   *consent.Time `json:"only_to,omitempty"`
}

func reprojectionView(r *store.Reprojection) *ReprojectionView {
	return &ReprojectionView{r.State, r.People, r.Withdrawals, r.Grants, r.Only.Target, r.Only.State, r.Only.Reason, r.Only.From.OrNil(), r.Only.To.OrNil()}
}

// RestoredView tells that the database was brought back to an older state.
type RestoredView struct {
	At consent.Time `json:"at"`
	// GrantsHeld says that grants from before are not sent.
	GrantsHeld bool `json:"grants_held"`
}

func (s *Service) view(ctx context.Context, i *store.Integration) (*View, error) {
	secrets, err := s.Secrets(i)
	if err != nil {
		return nil, err
	}
	k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
	totals, err := s.Store.Totals(ctx, k)
	if err != nil {
		return nil, err
	}
	r, running, err := s.Store.Reprojection(ctx, k)
	if err != nil {
		return nil, err
	}
	v := &View{
		ID: i.ID, OrganizationID: i.Organization, Status: i.Status, StatusReason: i.StatusReason, Settings: i.Settings,
		Enabled: i.Status != store.Paused, Revision: i.Revision, CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt,
		Authentication: secrets.masked(), Snapshot: snapshotView(&i.Snapshot, &i.Seen),
	}
	if i.Settings.EnableWebhooks {
		v.Webhook = s.webhookView(i)
	}
	if running {
		v.Reprojection = reprojectionView(&r)
	}
	if at := i.Snapshot.RestoredAt; at > 0 {
		v.Restored = &RestoredView{at, i.Snapshot.HoldsGrants()}
	}
	v.LeftOut = totals.LeftOut
	if v.LeftOut == nil {
		v.LeftOut = []store.LeftOutTotal{}
	}
	return v, nil
}
