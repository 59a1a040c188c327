package app

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"

	"consentsync/internal/backfill"
	"consentsync/internal/consent"
	"consentsync/internal/ingest"
	"consentsync/internal/integration"
	"consentsync/internal/store"
	"consentsync/internal/store/sqlite"
)

// Offline is a simulation over events of a file.
type Offline struct {
	*backfill.Simulation
	Events   int64
	Outcomes map[consent.Outcome]int64
	// Refused counts the events that cannot be read, and Why says it of the first
	// few.
	Refused int64
	Why     []string
}

const (
	mostWhy      = 10
	offlineBatch = 256
	mostKeys     = 500 // of metadata that are assumed to be attributes
)

// SimulateOffline tells what an integration would make of webhooks of Didomi,
// were they all that is known. It calls nobody. The webhooks are merged as a
// server merges them, in a database of its own in a temporary directory, which
// is removed when it returns.
func SimulateOffline(ctx context.Context, f *integration.File, webhooks iter.Seq2[[]byte, error]) (_ *Offline, err error) {
	dir, err := os.MkdirTemp("", "consentsync-simulate-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	engine, err := sqlite.Open(ctx, dir, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	engine.UseHasher(store.NewHasher([]byte("of a simulation, which keeps nothing")))
	o := &Offline{Outcomes: map[consent.Outcome]int64{}}
	keys, err := o.accept(ctx, engine, f.OrganizationID, webhooks)
	if err != nil {
		return nil, err
	}
	of, assumptions := f.Simulated(keys)
	if o.Simulation, err = backfill.Simulate(ctx, engine, of, func() bool { return false }); err != nil {
		return nil, err
	}
	o.Assumptions = append(o.Assumptions, assumptions...)
	return o, nil
}

// accept merges the webhooks and gives the keys of metadata in them.
func (o *Offline) accept(ctx context.Context, engine *sqlite.Engine, organization string, webhooks iter.Seq2[[]byte, error]) ([]string, error) {
	keys := map[string]bool{}
	var batch []store.Inbound
	flush := func() error {
		receipts, err := engine.Accept(ctx, batch)
		for _, r := range receipts {
			o.Outcomes[r.Outcome]++
		}
		batch = batch[:0]
		return err
	}
	for body, err := range webhooks {
		if err != nil {
			return nil, err
		}
		o.Events++
		in, err := ingest.Inbound(organization, body)
		if err == nil {
			err = store.Check(in.Message)
		}
		if err != nil {
			o.refuse(err)
			continue
		}
		for key := range in.Message.Metadata {
			if len(keys) < mostKeys {
				keys[key] = true
			}
		}
		if batch = append(batch, in); len(batch) == offlineBatch {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return slices.Sorted(maps.Keys(keys)), flush()
}

func (o *Offline) refuse(err error) {
	o.Refused++
	if len(o.Why) < mostWhy {
		o.Why = append(o.Why, fmt.Sprintf("event %d: %s", o.Events, consent.MessageOf(err)))
	}
}
