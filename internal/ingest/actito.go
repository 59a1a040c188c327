package ingest

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/actito"
	"consentsync/internal/auth"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/reply"
	"consentsync/internal/store"
	"consentsync/internal/telemetry"
)

// Integrations finds the integration that a webhook of Actito's is for.
type Integrations interface {
	OrganizationOf(ctx context.Context, integration string) (string, error)
	Integration(ctx context.Context, k store.IntegrationKey) (*store.Integration, error)
}

// Actito takes Actito's webhooks at /webhooks/actito/{integration_id}. It
// answers 2xx only when what was told is on disk; what it means is found out
// afterwards.
type Actito struct {
	committer    *Committer
	integrations Integrations
	header       string
	secret       func(i *store.Integration, secret string) (bool, error)
	log          *slog.Logger
	counts       *prometheus.CounterVec
	known        familiar
	attempts     auth.Attempts
}

// NewActito makes the handler. header is where Actito sends the secret, and
// secret checks it.
func NewActito(c *Committer, i Integrations, header string, secret func(*store.Integration, string) (bool, error), log *slog.Logger, r prometheus.Registerer) *Actito {
	a := &Actito{committer: c, integrations: i, header: header, secret: secret, log: log, counts: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "consentsync_actito_webhooks_total", Help: "Webhooks of Actito by what became of them.",
	}, []string{"outcome"})}
	if r != nil {
		r.MustRegister(a.counts)
	}
	for _, outcome := range []string{"accepted", consent.Invalid.String(), consent.Unauthorized.String(), consent.Transient.String(), consent.Internal.String()} {
		a.counts.WithLabelValues(outcome)
	}
	return a
}

func (a *Actito) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t, err := a.take(w, r)
	outcome := "accepted"
	if err != nil {
		outcome = consent.KindOf(err).String()
		if k := consent.KindOf(err); k == consent.Internal || k == consent.Transient {
			a.log.ErrorContext(r.Context(), "a webhook of Actito could not be accepted", "error", err)
		}
		reply.Error(w, err)
	} else {
		reply.JSON(w, http.StatusOK, t)
	}
	a.counts.WithLabelValues(outcome).Inc()
	telemetry.Note(r.Context(), slog.String("integration", r.PathValue("integration_id")), slog.String("outcome", outcome), slog.Int("told", t.Told), slog.String("unread", t.Unread))
}

// told is the answer to a webhook.
type told struct {
	Status string `json:"status"`
	Told   int    `json:"told"`
	// Unread says which events of several could not be read, and why. What
	// could be read is accepted nevertheless: it may hold a withdrawal.
	Unread string `json:"unread,omitempty"`
}

func (a *Actito) take(w http.ResponseWriter, r *http.Request) (told, error) {
	i, err := a.authorize(r)
	if err != nil {
		return told{}, err
	}
	body, err := readBody(w, r)
	if err != nil {
		return told{}, err
	}
	news, unread := actito.ParseNews(body, i.Snapshot.SubscriptionNames())
	if len(news) == 0 && unread != nil {
		return told{}, unread
	}
	ctx, span := telemetry.Within(r.Context(), "accept", slog.String("organization", i.Organization), slog.String("integration", i.ID))
	defer span.End()
	batch := make([]store.News, 0, len(news))
	for _, n := range news {
		batch = append(batch, store.News{
			IntegrationKey: store.IntegrationKey{Organization: i.Organization, ID: i.ID}, EventID: n.EventID,
			Canonical: append([]byte(n.Event+" "), n.Canonical...),
			Told: store.Told{
				ProfileID: n.ProfileID, Keys: keysOf(n.Keys, i.Settings.Properties.UserUniqueKey), Subscriptions: n.Subscriptions,
				Created: n.Event == actito.WebhookCreate, Trace: telemetry.PlaceOf(ctx),
			},
		})
	}
	if err := a.committer.Hear(ctx, batch); err != nil {
		span.Fail(consent.KindOf(err).String())
		return told{}, err
	}
	t := told{Status: "accepted", Told: len(batch)}
	if unread != nil {
		t.Unread = consent.MessageOf(unread)
	}
	return t, nil
}

// keysOf keeps the unique key alone: nothing else of the person is needed.
func keysOf(told map[string]string, key string) map[string]string {
	if v := told[key]; v != "" {
		return map[string]string{key: v}
	}
	return nil
}

// authorize finds the integration and checks the secret. Without the secret
// nobody learns whether there is such an integration.
func (a *Actito) authorize(r *http.Request) (*store.Integration, error) {
	secret, id, start := r.Header.Get(a.header), r.PathValue("integration_id"), time.Now()
	i := a.known.get(id)
	ok := false
	var err error
	if i != nil {
		ok, err = a.secret(i, secret)
	}
	if !ok && err == nil {
		// Nobody is refused for what was so a moment ago; and who guesses does not
		// ask the database for each guess. Waits are short: a webhook that is
		// refused for long may be lost.
		limit := auth.Limit{By: id + " " + incoming.Source(r), Free: 20, Longest: 5 * time.Second}
		if wait := a.attempts.Blocked(start, limit); wait > 0 {
			return nil, auth.TooMany(wait)
		}
		if i, ok, err = a.look(r.Context(), id, secret); ok {
			a.attempts.Forget(limit)
		} else if err == nil {
			a.attempts.Failed(start, limit)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, consent.Errorf(consent.Unauthorized, "ingest", "the header %s does not hold the secret of this integration", a.header)
	case !i.Settings.EnableWebhooks:
		return nil, consent.Errorf(consent.Forbidden, "ingest", "enable_webhooks is off for this integration")
	}
	return i, nil
}

// look reads the integration; ok tells that it is there and that the secret is
// its own.
func (a *Actito) look(ctx context.Context, id, secret string) (i *store.Integration, ok bool, err error) {
	began := a.known.begin()
	organization, err := a.integrations.OrganizationOf(ctx, id)
	if err == nil {
		i, err = a.integrations.Integration(ctx, store.IntegrationKey{Organization: organization, ID: id})
	}
	if consent.KindOf(err) == consent.NotFound && err != nil {
		return nil, false, nil
	} else if err != nil {
		return nil, false, err
	}
	if ok, err = a.secret(i, secret); ok && i.Settings.EnableWebhooks {
		a.known.put(i, began)
	}
	return i, ok, err
}

// Forget says that integrations have changed: they are read anew.
func (a *Actito) Forget() { a.known.forget() }
