package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// load is what clients do at once: each posts a webhook, waits for the answer
// and posts the next, on a connection of its own.
type load struct {
	targets []string    // by turns
	header  http.Header // what the sender authenticates with
	clients int
	next    func(b []byte, r *rand.Rand) []byte // appends a webhook
	turn    atomic.Uint64
	http    *http.Client
	sent    atomic.Int64 // accepted ones, those of warming up included
}

func newLoad(target string, header http.Header, clients int, next func([]byte, *rand.Rand) []byte) *load {
	return &load{
		targets: []string{target}, header: header, clients: clients, next: next,
		http: &http.Client{
			Transport: &http.Transport{MaxIdleConnsPerHost: steadyClients * clients, MaxConnsPerHost: steadyClients * clients, DisableCompression: true},
			Timeout:   30 * time.Second,
		},
	}
}

// bearer is how Didomi authenticates.
func bearer(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

// round is what was seen in some time of load.
type round struct {
	perSecond float64
	latencies []time.Duration
}

const warmUp = time.Second

// run puts the server under load and measures for a time after warming up.
func (l *load) run(ctx context.Context, measured time.Duration) (round, error) {
	var measuring, over atomic.Bool
	latencies := make([][]time.Duration, l.clients)
	clients, ctx := errgroup.WithContext(ctx)
	for i := range l.clients {
		clients.Go(func() error {
			r := rand.New(rand.NewPCG(rand.Uint64(), uint64(i))) //nolint:gosec // made-up traffic
			var body []byte
			for !over.Load() {
				body = l.next(body[:0], r)
				began := time.Now()
				if err := l.post(ctx, body); err != nil {
					return err
				}
				if measuring.Load() && !over.Load() {
					latencies[i] = append(latencies[i], time.Since(began))
				}
			}
			return nil
		})
	}
	clients.Go(func() error {
		defer over.Store(true)
		if err := wait(ctx, warmUp); err != nil {
			return err
		}
		measuring.Store(true)
		return wait(ctx, measured)
	})
	if err := clients.Wait(); err != nil {
		return round{}, err
	}
	all := slices.Concat(latencies...)
	return round{float64(len(all)) / measured.Seconds(), all}, nil
}

func (l *load) post(ctx context.Context, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.targets[l.turn.Add(1)%uint64(len(l.targets))], bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header = l.header.Clone()
	r.Header.Set("Content-Type", "application/json")
	resp, err := l.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("a webhook was answered %s: %s", resp.Status, answer)
	}
	l.sent.Add(1)
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
