package integration

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"consentsync/internal/actito"
	"consentsync/internal/auth"
	"consentsync/internal/backfill"
	"consentsync/internal/consent"
	"consentsync/internal/didomi"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// Store is what activation needs of the database.
type Store interface {
	Feature(ctx context.Context, organization string) (exists, actito bool, err error)
	RestoredAt(ctx context.Context, organization string) (consent.Time, error)
	Integration(ctx context.Context, k store.IntegrationKey) (*store.Integration, error)
	Integrations(ctx context.Context, organization, after string, limit int) ([]*store.Integration, error)
	IntegrationsOfLicence(ctx context.Context, licence string) ([]*store.Integration, error)
	CreateIntegration(ctx context.Context, i *store.Integration, changes ...store.Change) error
	UpdateIntegration(ctx context.Context, i *store.Integration, changes ...store.Change) error
	DeleteIntegration(ctx context.Context, k store.IntegrationKey, changes ...store.Change) error
	Sweep(ctx context.Context) error
	Switch(ctx context.Context, k store.IntegrationKey, to store.IntegrationStatus, changes ...store.Change) error
	Totals(ctx context.Context, k store.IntegrationKey) (store.Totals, error)
	Reprojection(ctx context.Context, k store.IntegrationKey) (store.Reprojection, bool, error)
	AdvanceReprojection(ctx context.Context, r store.Reprojection, due []store.Due, changes ...store.Change) error
	MakeDue(ctx context.Context, k store.DeliveryKey, class store.Class, consentAt consent.Time, changes ...store.Change) error
	Troubles(ctx context.Context, k store.IntegrationKey) ([]store.Trouble, error)
	Troubled(ctx context.Context, k store.IntegrationKey, only store.Only, after store.TroubleCursor, limit int) ([]*store.Delivery, error)
	SubjectsOf(ctx context.Context, organization string, keys []store.PersonKey) (map[store.PersonKey]consent.Subject, error)
	StartRetry(ctx context.Context, k store.IntegrationKey, only store.Only, changes ...store.Change) error
	States(ctx context.Context, k store.IntegrationKey) (store.Standings, error)
	Effects(ctx context.Context, k store.IntegrationKey, since consent.Time) ([]store.Effect, error)
	AskRead(ctx context.Context, k store.DeliveryKey, changes ...store.Change) error
	Plan(ctx context.Context, licence string) ([]byte, error)
	Loads(ctx context.Context, k store.IntegrationKey, limit int) ([]*store.Load, error)
	Counts(ctx context.Context, k store.IntegrationKey) (map[string]int64, error)
	SetSeen(ctx context.Context, k store.IntegrationKey, seen consent.Seen) error
	SetWebhook(ctx context.Context, k store.IntegrationKey, w store.Webhook) error
	AllIntegrations(ctx context.Context, after store.IntegrationKey, limit int) ([]*store.Integration, error)
	Setups(ctx context.Context, organization string) ([]store.Setup, error)
	Setup(ctx context.Context, organization, id string) (*store.Setup, error)
	KeepSetup(ctx context.Context, s *store.Setup) error
	DropSetup(ctx context.Context, organization, id string) error
	backfill.People
	// Alone runs f while nobody else, on whichever node, runs anything in Alone.
	Alone(ctx context.Context, f func(context.Context) error) error
	store.Unmerged
}

// Service activates and changes integrations.
type Service struct {
	Store    Store
	Accounts *actito.Accounts
	Didomis  *didomi.Accounts
	// DidomiURL is the base of Didomi's API.
	DidomiURL string
	Sealer    *auth.Sealer
	Hasher    *store.Hasher
	// PublicURL is where Actito reaches us; empty if that is not known.
	PublicURL string
	// Ourselves reaches PublicURL.
	Ourselves *http.Client
	Log       *slog.Logger
	// AllowPrivate lets base URLs be http: and on private addresses.
	AllowPrivate bool
	// Changed is called after every change that delivery has to know of.
	Changed func()
	Now     func() time.Time

	simulating sync.Mutex // held by the one simulation under way
}

// Create checks an integration against the live account and activates it. With
// dryRun it only checks: the answer is what would have been created.
func (s *Service) Create(ctx context.Context, organization string, body []byte, dryRun bool) (*View, error) {
	if err := s.gate(ctx, organization); err != nil {
		return nil, err
	}
	i, in, err := s.fresh(ctx, organization, body)
	if err != nil {
		return nil, err
	}
	if in.Enabled != nil && !*in.Enabled {
		i.Status = store.Paused
	}
	if err := s.adopt(ctx, i, in); err != nil {
		return nil, err
	}
	if dryRun {
		v, err := s.view(ctx, i)
		if err != nil {
			return nil, err
		}
		v.ID = ""
		return v, nil
	}
	change, err := s.difference(ctx, actionCreated, nil, i)
	if err != nil {
		return nil, err
	}
	if err := s.own(ctx, i, change, s.Store.CreateIntegration); err != nil {
		return nil, err
	}
	s.keepWebhooks(ctx, i)
	s.Changed()
	v, err := s.view(ctx, i)
	if err == nil && v.Webhook != nil {
		secrets, err := s.open(i)
		if err != nil {
			return nil, err
		}
		v.Webhook.Secret = secrets.WebhookSecrets[0] // this once
	}
	return v, err
}

// fresh gives a new integration with its input.
func (s *Service) fresh(ctx context.Context, organization string, body []byte) (*store.Integration, *input, error) {
	in, err := decode(body)
	if err != nil {
		return nil, nil, err
	}
	in.complete()
	now := consent.TimeOf(s.Now())
	i := &store.Integration{
		Organization: organization, ID: uuid.Must(uuid.NewV7()).String(), Status: store.Active, Revision: 1, CreatedAt: now, UpdatedAt: now,
	}
	// What people chose before a restore may be outdated for it too.
	i.Snapshot.RestoredAt, err = s.Store.RestoredAt(ctx, organization)
	return i, in, err
}

// gate refuses organizations that may not use the integration.
func (s *Service) gate(ctx context.Context, organization string) error {
	_, enabled, err := s.Store.Feature(ctx, organization)
	if err != nil {
		return err
	}
	if !enabled {
		return consent.Errorf(consent.Forbidden, "integration",
			"the Actito integration is not enabled for organization %q: ask the platform administrator, who enables it with "+
				`PUT /v1/premium-features/%s {"actito": true}`, organization, organization)
	}
	return nil
}

// adopt checks in against the live account and makes it the content of i, with
// a new snapshot.
func (s *Service) adopt(ctx context.Context, i *store.Integration, in *input) error {
	if err := s.check(i, in); err != nil {
		return err
	}
	table, err := s.readTable(ctx, in)
	if err != nil {
		return err
	}
	if err := sameTable(i, table); err != nil {
		return err
	}
	if err := checkAgainst(in, table); err != nil {
		return err
	}
	if err := s.checkDidomi(ctx, i.Organization, in.Authentication); err != nil {
		return err
	}
	return s.take(ctx, i, in, snapshotOf(table, i.Snapshot, consent.TimeOf(s.Now())))
}

// check refuses what can be refused without asking Actito.
func (s *Service) check(i *store.Integration, in *input) error {
	if in.OrganizationID != "" && in.OrganizationID != i.Organization {
		return incoming.RefuseField("organization_id", "is another organization than that of the address")
	}
	if err := in.validate(s.AllowPrivate); err != nil {
		return err
	}
	return sameNames(i, in.Properties)
}

// take makes in the content of i.
func (s *Service) take(ctx context.Context, i *store.Integration, in *input, snapshot consent.Snapshot) error {
	var secrets sealed
	var err error
	if i.Sealed != nil { // else it is new
		if secrets, err = s.open(i); err != nil {
			return err
		}
	}
	secrets.Authentication = in.Authentication
	if in.EnableWebhooks && len(secrets.WebhookSecrets) == 0 {
		secrets.WebhookSecrets = []string{rand.Text()}
	}
	if err := s.seal(i, secrets); err != nil {
		return err
	}
	i.Settings = in.Settings
	i.Licence = in.licence(i.Organization)
	i.Snapshot = snapshot
	return s.checkOwners(ctx, i)
}

// sealed is all that is secret of an integration.
type sealed struct {
	Authentication
	// WebhookSecrets are what Actito may send along to us, the newest first;
	// none if it never was to.
	WebhookSecrets []string `json:"webhook_secrets,omitempty"`
}

func (s *Service) open(i *store.Integration) (all sealed, err error) {
	plain, err := s.Sealer.Open(i.Sealed, "integration", i.Organization, i.ID)
	if err != nil {
		return all, err
	}
	return all, json.Unmarshal(plain, &all)
}

func (s *Service) seal(i *store.Integration, all sealed) error {
	plain, err := json.Marshal(all)
	if err == nil {
		i.Sealed = s.Sealer.Seal(plain, "integration", i.Organization, i.ID)
	}
	return err
}

// Secrets opens the secrets with which an integration calls others.
func (s *Service) Secrets(i *store.Integration) (Authentication, error) {
	all, err := s.open(i)
	return all.Authentication, err
}

// Get reads one integration.
func (s *Service) Get(ctx context.Context, k store.IntegrationKey) (*View, error) {
	i, err := s.Store.Integration(ctx, k)
	if err != nil {
		return nil, err
	}
	return s.view(ctx, i)
}

// List reads the integrations of an organization, a page at a time; next is
// empty at the end.
func (s *Service) List(ctx context.Context, organization, after string, limit int) (views []*View, next string, err error) {
	found, err := s.Store.Integrations(ctx, organization, after, limit+1)
	if err != nil {
		return nil, "", err
	}
	if len(found) > limit {
		found, next = found[:limit], found[limit-1].ID
	}
	views = []*View{}
	for _, i := range found {
		v, err := s.view(ctx, i)
		if err != nil {
			return nil, "", err
		}
		views = append(views, v)
	}
	return views, next, nil
}

// Delete stops an integration and forgets its secrets.
func (s *Service) Delete(ctx context.Context, k store.IntegrationKey) error {
	if i, err := s.Store.Integration(ctx, k); err == nil {
		i.Settings.EnableWebhooks = false
		s.keepWebhooks(ctx, i)
	}
	if err := s.Store.DeleteIntegration(ctx, k, s.change(ctx, k, actionDeleted)); err != nil {
		return err
	}
	s.Changed()
	s.Sweep(context.WithoutCancel(ctx)) // nobody could ask for it again
	return nil
}

// Pause stops the deliveries; what becomes due meanwhile is kept.
func (s *Service) Pause(ctx context.Context, k store.IntegrationKey) (*View, error) {
	return s.set(ctx, k, store.Paused, actionPaused)
}

// Resume starts the deliveries again. approveGrants says yes to grants that are
// held since a restore, or to a re-projection that asks before turning on
// subscriptions of many (R23).
func (s *Service) Resume(ctx context.Context, k store.IntegrationKey, approveGrants bool) (*View, error) {
	if approveGrants {
		if err := s.approve(ctx, k); err != nil {
			return nil, err
		}
	}
	return s.set(ctx, k, store.Active, actionResumed)
}

// approve lets grants out that wait for a yes. Those from before a restore come
// first: everybody is compared anew, which asks again, with the numbers, if they
// are many.
func (s *Service) approve(ctx context.Context, k store.IntegrationKey) error {
	i, err := s.Store.Integration(ctx, k)
	if err != nil {
		return err
	}
	if i.Snapshot.HoldsGrants() {
		i.Snapshot.GrantsApproved = true
		i.Revision++
		i.UpdatedAt = max(consent.TimeOf(s.Now()), i.UpdatedAt+1)
		return s.Store.UpdateIntegration(ctx, i, s.change(ctx, k, actionApproved))
	}
	r, ok, err := s.Store.Reprojection(ctx, k)
	if err != nil {
		return err
	}
	if !ok || r.State != store.ReprojectionAsking {
		return incoming.Refuse(consent.Conflict, map[string]string{"approve_grants": "nothing waits for an approval: leave it out"})
	}
	r.State, r.Cursor = store.ReprojectionGranting, []byte{}
	return s.Store.AdvanceReprojection(ctx, r, nil, s.change(ctx, k, actionApproved,
		store.Detail{Name: "people", Is: strconv.FormatInt(r.Grants, 10)}))
}

func (s *Service) set(ctx context.Context, k store.IntegrationKey, to store.IntegrationStatus, action string) (*View, error) {
	if err := s.Store.Switch(ctx, k, to, s.change(ctx, k, action)); err != nil {
		return nil, err
	}
	s.Changed()
	return s.Get(ctx, k)
}
