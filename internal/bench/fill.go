package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"consentsync/internal/auth"
	"consentsync/internal/consent"
	"consentsync/internal/simulator"
	"consentsync/internal/store"
	"consentsync/internal/store/sqlite"
)

// filled is a database with people in it.
type filled struct {
	dir    string
	People int
	made
}

// database gives a database with one integration, paused, and people of whom
// each has one event and a delivery that is settled.
func (b *bench) database(ctx context.Context) (filled, error) {
	f := filled{dir: b.data, People: b.people}
	if f.dir == "" {
		f.dir = filepath.Join(b.dir, "data")
	}
	note := filepath.Join(f.dir, "bench.json")
	text, err := os.ReadFile(note)
	if err == nil {
		err = json.Unmarshal(text, &f)
		if err == nil && f.People != b.people {
			err = fmt.Errorf("%s was filled with %d people", f.dir, f.People)
		}
		return f, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := b.prepare(ctx, &f); err != nil {
		return f, err
	}
	progress("filling the store with %d people", f.People)
	if err := fill(ctx, f); err != nil {
		return f, fmt.Errorf("fill: %w", err)
	}
	if text, err = json.Marshal(f); err != nil {
		return f, err
	}
	return f, os.WriteFile(note, text, 0o600)
}

// prepare makes the organization and its integration with the program itself.
func (b *bench) prepare(ctx context.Context, f *filled) (err error) {
	_, actitoURL, stop, err := actito(ctx, simulator.ActitoOptions{})
	if err != nil {
		return err
	}
	defer stop()
	p, err := b.serve(ctx, f.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	return setUpPaused(ctx, p, actitoURL, f)
}

// setUpPaused makes the organization and its integration, which is paused.
func setUpPaused(ctx context.Context, p *process, actitoURL string, f *filled) (err error) {
	f.made, err = setUp(ctx, p.url, actitoURL, func(in object) { in["enable_webhooks"] = true })
	if err != nil {
		return err
	}
	return ask(ctx, "POST", p.url+"/v1/marketplace/integrations/"+f.Integration+"/pause", nil, nil)
}

// fill accepts an event of each person, of yesterday, past HTTP, and settles the
// delivery.
func fill(ctx context.Context, f filled) error {
	w, err := newWebhooks(f.People)
	if err != nil {
		return err
	}
	yesterday := time.Now().Add(-24 * time.Hour)
	return inStore(ctx, f.dir, func(e *sqlite.Engine, hasher *store.Hasher) error {
		return acceptAll(ctx, e, w, func(int) time.Time { return yesterday }, func(batch []store.Inbound) error {
			return settle(ctx, e, hasher, f.Integration, batch)
		})
	})
}

// inStore opens the database of a program that does not run, for f.
func inStore(ctx context.Context, dir string, f func(*sqlite.Engine, *store.Hasher) error) (err error) {
	e, err := sqlite.Open(ctx, dir, sqlite.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	masters, err := auth.MasterSource{Dir: dir}.Load(ctx)
	if err != nil {
		return err
	}
	keys, err := auth.OpenKeyring(ctx, e, masters...)
	if err != nil {
		return err
	}
	hasher := store.NewHasher(keys.Hash)
	e.UseHasher(hasher)
	background, stop := context.WithCancel(ctx)
	var tasks errgroup.Group
	tasks.Go(func() error { return e.Checkpoints(background) })
	defer func() {
		stop()
		err = errors.Join(err, tasks.Wait())
	}()
	return f(e, hasher)
}

// acceptAll accepts a webhook of each person, of the time that at gives, and
// calls after for each batch.
func acceptAll(ctx context.Context, e *sqlite.Engine, w *webhooks, at func(person int) time.Time, after func([]store.Inbound) error) error {
	const size = 256
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // made-up people
	for first := 0; first < w.people; first += size {
		var batch []store.Inbound
		for person := first; person < min(first+size, w.people); person++ {
			in, err := inbound(w.of(nil, r, person, at(person)))
			if err != nil {
				return err
			}
			batch = append(batch, in)
		}
		if _, err := e.Accept(ctx, batch); err != nil {
			return err
		}
		if err := after(batch); err != nil {
			return err
		}
		if at := first + len(batch); at*10/w.people != first*10/w.people {
			progress("%3d %%", at*100/w.people)
		}
	}
	return ctx.Err()
}

// settle says that a batch needs no call.
func settle(ctx context.Context, e *sqlite.Engine, hasher *store.Hasher, integration string, batch []store.Inbound) error {
	settled := make([]store.Settled, len(batch))
	for n, in := range batch {
		settled[n] = store.Settled{Version: 1, DeliveryKey: store.DeliveryKey{
			Organization: organization, Integration: integration, Target: store.TargetActito,
			Person: hasher.Person(organization, consent.Subject{OrganizationUserID: in.Message.OrganizationUserID}),
		}}
	}
	leases, err := e.Acquire(ctx, "bench")
	if err != nil {
		return err
	}
	if len(leases) != 1 {
		return fmt.Errorf("%d leases, want 1", len(leases))
	}
	return e.Settle(ctx, leases[0], settled)
}

// inbound reads a webhook that payload.go made. It is no decoder: that is not
// what is measured here.
func inbound(body []byte) (store.Inbound, error) {
	type choice struct {
		ID      string
		Enabled *bool
	}
	var w struct {
		Regulation string
		Parameters struct {
			Entity struct {
				ID        string
				CreatedAt time.Time `json:"created_at"`
				Consents  struct{ Purposes, Channels []choice }
				User      struct {
					ID                 string
					OrganizationUserID string `json:"organization_user_id"`
					Country            json.RawMessage
					Metadata           map[string]json.RawMessage
				}
			}
		}
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return store.Inbound{}, err
	}
	e := &w.Parameters.Entity
	m := &consent.Message{
		Type: consent.EventCreated, EntityID: e.ID, Regulation: w.Regulation, CreatedAt: consent.TimeOf(e.CreatedAt),
		DidomiUserID: e.User.ID, OrganizationUserID: e.User.OrganizationUserID, Country: e.User.Country, Metadata: e.User.Metadata,
	}
	said := func(list []choice, of func(id string) consent.Choice) {
		for _, c := range list {
			if c.Enabled != nil {
				m.Choices = append(m.Choices, consent.Said{Choice: of(c.ID), Enabled: *c.Enabled})
			}
		}
	}
	said(e.Consents.Channels, func(id string) consent.Choice { return consent.Choice{Kind: consent.OfChannel, Channel: id} })
	said(e.Consents.Purposes, func(id string) consent.Choice { return consent.Choice{Kind: consent.OfPurpose, Purpose: id} })
	return store.Inbound{Organization: organization, Message: m, Canonical: body, Payload: body}, nil
}
