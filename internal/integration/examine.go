package integration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"consentsync/internal/actito"
	"consentsync/internal/consent"
	"consentsync/internal/doctor"
	"consentsync/internal/incoming"
	"consentsync/internal/outbound"
	"consentsync/internal/store"
)

const (
	// examineTime bounds the look at one integration, lookTime that at the
	// assumptions with its credentials.
	examineTime = 30 * time.Second
	lookTime    = time.Minute
	examinePage = 100
)

// Examine looks at the integrations that are asked for, with the credentials that
// are stored, until ctx ends, and adds what it finds to the report. It changes
// nothing, unless a profile is named that may be written to.
func (s *Service) Examine(ctx context.Context, ask doctor.Ask, r *doctor.Report) error {
	left, asked, before := 0, 0, store.IntegrationKey{}
	for {
		page, err := s.Store.AllIntegrations(ctx, before, examinePage)
		if err != nil && ctx.Err() == nil {
			return err
		}
		for _, i := range page {
			before = store.IntegrationKey{Organization: i.Organization, ID: i.ID}
			if ask.OrganizationID != "" && i.Organization != ask.OrganizationID || ask.IntegrationID != "" && i.ID != ask.IntegrationID {
				continue
			}
			asked++
			if ctx.Err() != nil {
				left++
				continue
			}
			if s.examine(ctx, i, ask, r); ctx.Err() != nil {
				left++
			}
		}
		if len(page) < examinePage || ctx.Err() != nil {
			break
		}
	}
	switch {
	case left > 0 || ctx.Err() != nil:
		r.Add(doctor.Unseen("integrations", fmt.Sprintf("the time was up before all were looked at; %d of those found were not", left), "Ask about one alone, with --integration, or those of one organization, with --organization."))
	case asked == 0 && ask.OrganizationID+ask.IntegrationID != "":
		return incoming.RefuseField("integration_id", "there is no such integration")
	case asked == 0:
		r.Add(doctor.Fine("integrations", "there are none yet"))
	}
	return nil
}

func (s *Service) examine(ctx context.Context, i *store.Integration, ask doctor.Ask, r *doctor.Report) {
	about := "integration " + i.ID
	switch i.Status {
	case store.Suspended:
		r.Add(doctor.Bad(about, "it is suspended: "+i.StatusReason, "Mend what the reason says. It is tried again by itself, ever more rarely; POST …/resume tries at once."))
	case store.Paused:
		r.Add(doctor.Doubtful(about, "it is paused", "Resume it when that is no longer meant: what is due is kept."))
	}
	secrets, err := s.Secrets(i)
	if err != nil {
		r.Add(doctor.Bad(about, "its stored secrets cannot be opened", "Start with the master key that sealed them, or send the secrets again with PATCH /v1/marketplace/integrations/"+i.ID+"."))
		return
	}
	in := &input{Settings: i.Settings, Authentication: secrets}
	if table, ok := s.examineEnds(ctx, about, i.Organization, in, r); ok {
		r.Add(s.snapshotFinding(about, i, table))
	}
	if i.Settings.EnableWebhooks {
		r.Add(s.webhookFinding(about, i))
	}
	if ask.Live {
		s.look(ctx, i.ID, i.Organization, in, ask, r)
	}
}

// ExamineFile looks at what the credentials of an integration in a file can do,
// and at the assumptions. The file is a body that creates an integration.
func (s *Service) ExamineFile(ctx context.Context, body []byte, ask doctor.Ask, r *doctor.Report) error {
	in, err := decode(body)
	if err != nil {
		return err
	}
	in.complete()
	if err := in.validate(s.AllowPrivate); err != nil {
		return err
	}
	organization := cmp.Or(ask.OrganizationID, in.OrganizationID)
	if in.Authentication.DidomiAPIKey != "" && organization == "" {
		return incoming.RefuseField("organization_id", "is needed to ask Didomi: write it into the file, or give it with --organization")
	}
	s.examineEnds(ctx, "integration", organization, in, r)
	s.look(ctx, "", organization, in, ask, r)
	return nil
}

// examineEnds asks both ends what an integration needs of them, and gives the
// table; ok is false where it could not be read.
func (s *Service) examineEnds(ctx context.Context, about, organization string, in *input, r *doctor.Report) (table actito.Table, ok bool) {
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	clocks := newClocks(s.Now)
	client := s.Accounts.Fresh(in.Properties.BaseURL, in.Authentication.PrivateAPIKey)
	table, err := tableOf(clocks.watch(ctx), client, in)
	switch {
	case whole.Err() != nil:
		return table, false // that our time was up is no fault of theirs: Examine says so
	case err != nil:
		r.Add(actitoFinding(about, in, err))
	default:
		ok = true
		r.Add(doctor.Fine(about, "Actito gives a token at %s, and shows the table %s", in.Properties.BaseURL, in.Properties.TableName))
		if err := checkAgainst(in, table); err != nil {
			r.Add(doctor.Bad(about, fieldsOf(err), "Correct the mapping or the table, then take a new snapshot with POST …/refresh."))
		}
	}
	r.Add(clocks.against(in.Properties.BaseURL)...)
	if in.Authentication.DidomiAPIKey == "" {
		return table, ok
	}
	clocks = newClocks(s.Now)
	found := s.didomiFinding(clocks.watch(ctx), about, organization, in)
	if whole.Err() != nil {
		return table, ok
	}
	r.Add(found)
	r.Add(clocks.against(s.DidomiURL)...)
	return table, ok
}

// actitoFinding says what is wrong with an account whose table cannot be read.
func actitoFinding(about string, in *input, err error) doctor.Finding {
	if consent.KindOf(err) == consent.Transient || consent.KindOf(err) == consent.RateLimited {
		says := "Actito cannot be asked at " + in.Properties.BaseURL
		if why := consent.MessageOf(errors.Unwrap(err)); why != "" {
			says += ": " + why
		}
		return doctor.Bad(about, says, "Try from this machine: curl -i "+in.Properties.BaseURL+"/auth/token should answer 401. If it does not, look at DNS, the firewall and base_url; consentsync uses no proxy.")
	}
	return doctor.Bad(about, fieldsOf(err), "Look in Actito at the API key, its rights and its host (\"View the API key\"), and correct the setting with PATCH /v1/marketplace/integrations/{id}.")
}

// fieldsOf writes an error with its fields as a sentence.
func fieldsOf(err error) string {
	e, ok := errors.AsType[*consent.Error](err)
	if !ok || len(e.Fields) == 0 {
		return cmp.Or(consent.MessageOf(err), "it cannot be looked at")
	}
	var texts []string
	for _, field := range slices.Sorted(maps.Keys(e.Fields)) {
		texts = append(texts, field+": "+e.Fields[field])
	}
	return strings.Join(texts, "; ")
}

// didomiFinding makes a session and reads a page of users, which shows whether the
// key may act for the organization.
func (s *Service) didomiFinding(ctx context.Context, about, organization string, in *input) doctor.Finding {
	client := s.Didomis.Fresh(s.DidomiURL, organization, in.Authentication.DidomiAPIKey, in.Authentication.DidomiAPISecret)
	err := client.CheckSession(ctx)
	if err == nil {
		_, _, err = client.Users(ctx, in.regulation(), "")
	}
	switch consent.KindOf(err) {
	case consent.Unauthorized, consent.Forbidden, consent.Invalid:
		return doctor.Bad(about, "Didomi at "+s.DidomiURL+" says no: "+consent.MessageOf(err),
			"Look in Didomi's Console (Settings, Private API keys) at the key, its secret and its organization, and send them again with PATCH /v1/marketplace/integrations/{id}.")
	}
	if err != nil {
		return doctor.Bad(about, "Didomi cannot be asked at "+s.DidomiURL+": "+consent.MessageOf(err),
			"Look at DNS, the firewall and --didomi-url. The way to Actito works without it; what Actito tells waits.")
	}
	return doctor.Fine(about, "Didomi makes a session at %s, and lists users", s.DidomiURL)
}

func (in *input) regulation() string {
	if len(in.Properties.Regulations) > 0 {
		return in.Properties.Regulations[0]
	}
	return consent.DefaultRegulation
}

// snapshotFinding compares the table with the snapshot.
func (s *Service) snapshotFinding(about string, i *store.Integration, table actito.Table) doctor.Finding {
	d := i.Snapshot.Differs(&consent.Seen{
		LookedAt: max(consent.TimeOf(s.Now()), i.Snapshot.TakenAt+1), Subscriptions: table.Subscriptions, Attributes: AttributesOf(table),
	})
	if d.Empty() {
		return doctor.Fine(about, "the table is as its snapshot has it")
	}
	var texts []string
	say := func(what string, names []string) {
		if len(names) > 0 {
			texts = append(texts, what+" "+strings.Join(names, ", "))
		}
	}
	say("new subscriptions", d.SubscriptionsAdded)
	say("subscriptions that are gone", d.SubscriptionsRemoved)
	say("new attributes", d.AttributesAdded)
	say("attributes that are gone", d.AttributesRemoved)
	var changed []string
	for _, c := range d.AttributesChanged {
		changed = append(changed, c.Is.Name)
	}
	say("attributes that take something else", changed)
	return doctor.Doubtful(about, "the table is not as its snapshot has it: "+strings.Join(texts, "; "), "Take a new snapshot with POST /v1/marketplace/integrations/"+i.ID+"/refresh, which compares everybody anew.")
}

func (s *Service) webhookFinding(about string, i *store.Integration) doctor.Finding {
	switch {
	case s.PublicURL == "":
		return doctor.Bad(about, "Actito cannot tell of changes, since it is not known where it reaches this server", "Start with --public-url.")
	case i.Webhook.Reason != "":
		return doctor.Bad(about, "Actito does not tell of changes: "+i.Webhook.Reason, "See docs/two-way.md.")
	case !s.webhookView(i).Registered:
		return doctor.Doubtful(about, "Actito's webhooks are not registered yet", "That is tried again by itself. See docs/two-way.md.")
	}
	return doctor.Fine(about, "Actito's webhooks are registered")
}

// look adds what becomes of the assumptions.
func (s *Service) look(ctx context.Context, id, organization string, in *input, ask doctor.Ask, r *doctor.Report) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	p := in.Properties
	r.Look(id, s.Accounts.Fresh(p.BaseURL, in.Authentication.PrivateAPIKey).Look(ctx, actito.Subject{
		Entity: p.EntityID, TableName: p.TableName, KeyAttribute: p.UserUniqueKey, Profile: ask.Profile, WriteTo: ask.WriteTo,
	}))
	if in.Authentication.DidomiAPIKey != "" {
		r.Look(id, s.Didomis.Fresh(s.DidomiURL, organization, in.Authentication.DidomiAPIKey, in.Authentication.DidomiAPISecret).Look(ctx, in.regulation()))
	}
}

// clocks compares our clock with the dates of answers.
type clocks struct {
	now func() time.Time

	mu   sync.Mutex
	ours time.Time
	date time.Time
	took time.Duration
}

func newClocks(now func() time.Time) *clocks { return &clocks{now: now} }

// watch reads the date of the last answer under the context.
func (c *clocks) watch(ctx context.Context) context.Context {
	return outbound.WithWitness(ctx, func(a outbound.Answer) {
		date, err := http.ParseTime(a.Header.Get("Date"))
		if err != nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ours, c.date, c.took = c.now(), date, a.Took
	})
}

// against gives the finding, if an answer had a date.
func (c *clocks) against(address string) []doctor.Finding {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.date.IsZero() {
		return nil
	}
	host := address
	if u, err := url.Parse(address); err == nil {
		host = u.Host
	}
	return []doctor.Finding{doctor.Clock("clock of "+host, c.ours, c.date, c.took)}
}
