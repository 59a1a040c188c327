package audit

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Register has it told how far behind the sealer is.
func (s *Sealer) Register(r prometheus.Registerer) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "consentsync_audit_unsealed_seconds", Help: "Age of the oldest record that was found and is not sealed into the audit chain; 0 if there is none.",
	}, func() float64 { return s.behind().Seconds() }))
}

// behind is the age of the oldest record that was found and is not sealed.
func (s *Sealer) behind() time.Duration {
	oldest := consent.Time(s.oldest.Load())
	if oldest == 0 {
		return 0
	}
	return max(0, consent.TimeOf(s.Now()).Sub(oldest))
}

// found notes since when records wait: those that are sealed next.
func (w *watch) found(records []store.AuditRecord) {
	w.waits = 0
	for i := range records {
		if at := made(&records[i]); w.waits == 0 || at < w.waits {
			w.waits = at
		}
	}
}

// made is when what a record tells of happened.
func made(r *store.AuditRecord) consent.Time {
	switch {
	case r.Event != nil:
		return r.Event.ArrivedAt
	case r.Change != nil:
		return r.Change.At
	case r.Call.AnsweredAt > 0:
		return r.Call.AnsweredAt
	}
	return r.Call.StartedAt
}
