package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"consentsync/internal/simulator"
)

// The burst of which the calls to Actito are counted.
const (
	burstPeople = 100
	burstEvents = 10 // of each
)

// calls counts the calls to Actito that a burst of events costs: of people whom
// the program has never delivered, of the same people once it has, and when the
// same state comes once more. The profiles exist in Actito beforehand.
func (b *bench) calls(ctx context.Context, r *report) (err error) {
	sim, actitoURL, stop, err := actito(ctx, simulator.ActitoOptions{Latency: 50 * time.Millisecond, CallsPerMinute: -1})
	if err != nil {
		return err
	}
	defer stop()
	people := simulator.NewTraffic(simulator.TrafficOptions{People: burstPeople})
	for i := range burstPeople {
		if _, err := sim.PutProfile(simulator.SampleEntity, simulator.SampleTableID, map[string]any{"emailAddress": people.Person(i).ID}, nil); err != nil {
			return err
		}
	}
	p, err := b.serve(ctx, filepath.Join(b.dir, "calls"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	made, err := setUp(ctx, p.url, actitoURL, func(object) {})
	if err != nil {
		return err
	}
	token, err := tokenFor(ctx, p.url, made.Client)
	if err != nil {
		return err
	}
	burst := &burst{load: newLoad(p.url+"/webhooks/didomi/"+organization, bearer(token), b.clients, nil), people: people}
	random := rand.New(rand.NewPCG(rand.Uint64(), 1)) //nolint:gosec // made-up traffic
	first, _, err1 := burst.make(random, time.Now().Add(-2*time.Hour))
	second, again, err2 := burst.make(random, time.Now().Add(-time.Hour))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	progress("counting calls to Actito")
	for _, part := range []struct {
		bodies [][]byte
		result *counted
	}{{first, &r.first}, {second, &r.second}, {again, &r.again}} {
		sim.ResetCounters()
		if err := burst.send(ctx, part.bodies); err != nil {
			return err
		}
		for i := range burstPeople {
			if err := p.synced(ctx, people.Person(i).ID); err != nil {
				return err
			}
		}
		*part.result = counted{len(part.bodies), sim.CallCount()}
	}
	return nil
}

// counted is how many calls some events cost.
type counted struct{ events, calls int }

type burst struct {
	*load
	people *simulator.Traffic
}

// make gives the events of a burst in random order, then one event of each
// person that says once more what is in force after the burst.
func (b *burst) make(r *rand.Rand, start time.Time) (bodies, again [][]byte, err error) {
	for i := range burstPeople {
		last := map[string]*bool{}
		for n := range burstEvents {
			e := b.event(r, i, start.Add(time.Duration(n)*time.Minute))
			for name, on := range map[string]bool{"newsletter": r.IntN(2) == 0, "promotions": r.IntN(2) == 0} {
				e.Purposes[name], last[name] = &on, &on
			}
			body, err := json.Marshal(simulator.EventCreated(organization, e))
			if err != nil {
				return nil, nil, err
			}
			bodies = append(bodies, body)
		}
		e := b.event(r, i, time.Now())
		e.Purposes = last
		body, err := json.Marshal(simulator.EventCreated(organization, e))
		if err != nil {
			return nil, nil, err
		}
		again = append(again, body)
	}
	r.Shuffle(len(bodies), func(i, j int) { bodies[i], bodies[j] = bodies[j], bodies[i] })
	return bodies, again, nil
}

func (b *burst) event(r *rand.Rand, person int, at time.Time) simulator.Event {
	p := b.people.Person(person)
	return simulator.Event{
		ID: fmt.Sprintf("%016x", r.Uint64()), DidomiUserID: p.DidomiUserID, OrganizationUserID: p.ID, CreatedAt: at, Purposes: simulator.Choices{},
		Metadata: map[string]any{"firstName": p.FirstName, "lastName": p.LastName, "shop": p.Shop, "age": p.Age},
	}
}

// send posts the bodies as fast as they are taken.
func (l *load) send(ctx context.Context, bodies [][]byte) error {
	clients, ctx := errgroup.WithContext(ctx)
	clients.SetLimit(l.clients)
	for _, body := range bodies {
		clients.Go(func() error { return l.post(ctx, body) })
	}
	return clients.Wait()
}

// synced waits until a person's delivery is done.
func (p *process) synced(ctx context.Context, person string) error {
	for {
		var view struct{ Integrations []struct{ Status string } }
		if err := ask(ctx, http.MethodGet, p.url+"/v1/users/"+person+"?organization_id="+organization, nil, &view); err != nil {
			return err
		}
		if len(view.Integrations) == 1 && view.Integrations[0].Status == "synced" {
			return nil
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}
