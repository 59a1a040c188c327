package app

import (
	"context"
	"fmt"
	"time"

	"consentsync/internal/outbound"
	"consentsync/internal/telemetry"
)

// flushTime bounds how long the last spans may take at shutdown.
const flushTime = 3 * time.Second

// openTraces begins to make traces, if somebody wants them. The collector is the
// operator's, and may be on a private address.
func (a *App) openTraces(ctx context.Context) (err error) {
	counts := telemetry.NewSpanCounts(a.metrics)
	if a.cfg.Traces == "" {
		return nil
	}
	a.traces, err = telemetry.NewTraces(ctx, telemetry.TraceOptions{
		URL: a.cfg.Traces, Headers: a.cfg.TracesHeaders, Ratio: a.cfg.TracesRatio, Node: a.cfg.plainName(), Version: a.cfg.Version,
		Client: outbound.New(outbound.Options{AllowPrivateNetworks: true, UserAgent: "consentsync", Timeout: 10 * time.Second}),
		Log:    a.log, Counts: counts,
	})
	if err != nil {
		return fmt.Errorf("--traces: %w", err)
	}
	return nil
}

// flushTraces exports the last spans. They are worth no error.
func (a *App) flushTraces(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	if err := a.traces.Close(ctx); err != nil {
		a.log.WarnContext(ctx, "the last traces could not be exported", "error", err)
	}
}
