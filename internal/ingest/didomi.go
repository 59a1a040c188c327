package ingest

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/reply"
	"consentsync/internal/store"
	"consentsync/internal/telemetry"
)

// mostBody bounds the body of a webhook.
const mostBody = 1 << 20

// Didomi takes Didomi's webhooks at /webhooks/didomi/{organization_id}.
type Didomi struct {
	committer *Committer
	callers   Callers
	log       *slog.Logger
	metrics   *metrics
	missed    func(organization string)
}

// Callers tells for which organization a webhook comes.
type Callers interface {
	Organization(r *http.Request) (string, error)
}

// NewDidomi makes the handler. missed is called when a webhook of an organization
// was not accepted, so that Didomi may never send it again.
func NewDidomi(c *Committer, callers Callers, missed func(organization string), log *slog.Logger, r prometheus.Registerer) *Didomi {
	return &Didomi{committer: c, callers: callers, missed: missed, log: log, metrics: newMetrics(r)}
}

func (d *Didomi) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	receipt, err := d.take(w, r)
	outcome := string(receipt.Outcome)
	if err != nil {
		outcome = consent.KindOf(err).String()
		if k := consent.KindOf(err); k == consent.Internal || k == consent.Transient {
			d.log.ErrorContext(r.Context(), "a webhook could not be accepted", "error", err)
		}
		reply.Error(w, err)
	} else {
		reply.JSON(w, http.StatusOK, map[string]string{"status": "accepted", "outcome": outcome})
	}
	telemetry.Note(r.Context(), slog.String("organization", r.PathValue("organization_id")), slog.String("outcome", outcome))
	if receipt.Event != (store.ID{}) {
		telemetry.Note(r.Context(), slog.String("event", receipt.Event.String()))
	}
	if receipt.Person != (store.PersonKey{}) {
		telemetry.Note(r.Context(), slog.String("person", receipt.Person.String()))
	}
	d.metrics.requests.WithLabelValues(outcome).Inc()
	d.metrics.seconds.Observe(time.Since(start).Seconds())
}

func (d *Didomi) take(w http.ResponseWriter, r *http.Request) (store.Receipt, error) {
	organization := r.PathValue("organization_id")
	if err := d.authorize(r, organization); err != nil {
		if k := consent.KindOf(err); k == consent.Internal || k == consent.Transient {
			d.missed(organization) // it may well have been of theirs
		}
		return store.Receipt{}, err
	}
	receipt, err := d.accept(w, r, organization)
	// What is wrong with a webhook itself no fetch would mend.
	if kind := consent.KindOf(err); err != nil && kind != consent.Invalid && kind != consent.TooLarge {
		d.missed(organization)
	}
	return receipt, err
}

func (d *Didomi) accept(w http.ResponseWriter, r *http.Request, organization string) (store.Receipt, error) {
	body, err := readBody(w, r)
	if err != nil {
		return store.Receipt{}, err
	}
	in, err := Inbound(organization, body)
	if err != nil {
		return store.Receipt{}, err
	}
	in.Live = true
	ctx, span := telemetry.Within(r.Context(), "accept", slog.String("organization", organization), slog.String("type", string(in.Message.Type)))
	defer span.End()
	in.Trace = telemetry.PlaceOf(ctx)
	receipt, err := d.committer.Accept(ctx, in)
	if err != nil {
		span.Fail(consent.KindOf(err).String())
	}
	span.Set(slog.String("outcome", string(receipt.Outcome)))
	return receipt, err
}

func (d *Didomi) authorize(r *http.Request, organization string) error {
	bound, err := d.callers.Organization(r)
	if err != nil {
		return err
	}
	if bound != organization {
		return consent.Errorf(consent.Forbidden, "ingest", "the token or secret belongs to another organization than the address")
	}
	return nil
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	return incoming.Body(w, r, mostBody)
}
