package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// integrationView is what the tests look at of an integration.
type integrationView struct {
	ID           string
	Status       string
	Reason       string `json:"status_reason"`
	Reprojection *struct {
		State                       string
		People, Withdrawals, Grants int
	}
}

func (b *bundle) integration(id string) (v integrationView) {
	b.t.Helper()
	b.must(http.MethodGet, "/v1/marketplace/integrations/"+id, "", http.StatusOK, &v)
	return v
}

// asking tells whether the re-projection of an integration asks for a yes.
func (b *bundle) asking(id string) bool {
	v := b.integration(id)
	return v.Reprojection != nil && v.Reprojection.State == "asking"
}

// change patches an integration.
func (b *bundle) change(id, patch string) {
	b.t.Helper()
	b.must(http.MethodPatch, "/v1/marketplace/integrations/"+id, patch, http.StatusOK, nil)
}

func (b *bundle) refresh(id string) {
	b.t.Helper()
	b.must(http.MethodPost, "/v1/marketplace/integrations/"+id+"/refresh", "", http.StatusOK, nil)
}

// sendAll posts webhooks side by side and wants all of them accepted.
func (b *bundle) sendAll(payloads []object) {
	b.t.Helper()
	const senders = 16
	queue := make(chan object)
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for p := range queue {
				if status, answer, err := b.try(p); err != nil || status != http.StatusOK {
					b.t.Errorf("a webhook was answered %d: %s %v", status, answer, err)
				}
			}
		})
	}
	for _, p := range payloads {
		queue <- p
	}
	close(queue)
	wg.Wait()
	if b.t.Failed() {
		b.t.FailNow()
	}
}

// stays wants a condition to hold all the time.
func (b *bundle) stays(what string, d time.Duration, condition func() bool) {
	b.t.Helper()
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if !condition() {
			b.t.Fatalf("no longer: %s", what)
		}
		select {
		case <-end.C:
			return
		case <-tick.C:
		}
	}
}

// quiet waits until no call was made for a while.
func (b *bundle) quiet(d time.Duration) {
	b.t.Helper()
	calls, since := b.actito.CallCount(), time.Now()
	b.eventually("no more calls are made", func() bool {
		if n := b.actito.CallCount(); n != calls {
			calls, since = n, time.Now()
		}
		return time.Since(since) >= d
	})
}

// pause lets time pass in which nothing is looked at.
func pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// on tells whether a profile has a subscription.
func (b *bundle) on(email, subscription string) bool {
	p, _ := b.profile(email)
	return p.Subscriptions[subscription]
}

func (b *bundle) synced(email string) bool { return b.person(email).status() == "synced" }

// allSynced tells whether all these people are synced.
func (b *bundle) allSynced(people []string) (all bool) {
	b.unchecked(func() {
		all = !slices.ContainsFunc(people, func(email string) bool { return !b.synced(email) })
	})
	return all
}

// crowd names n people.
func crowd(prefix string, n int) []string {
	people := make([]string, n)
	for i := range people {
		people[i] = fmt.Sprintf("%s%03d@example.com", prefix, i)
	}
	return people
}

// events makes an event.created of each of the people.
func events(people []string, at time.Time, purposes simulator.Choices) []object {
	var list []object
	for _, email := range people {
		list = append(list, event(fmt.Sprintf("%s-%d", email, at.UnixMilli()), email, at, purposes))
	}
	return list
}

// putAll makes a profile of each of the people.
func putAll(t *testing.T, b *bundle, people []string, subscriptions map[string]bool) {
	t.Helper()
	for _, email := range people {
		if _, err := b.actito.PutProfile(simulator.SampleEntity, simulator.SampleTableID, map[string]any{"emailAddress": email}, subscriptions); err != nil {
			t.Fatal(err)
		}
	}
}

// callsFor gives the calls made for one person, of these kinds.
func (b *bundle) callsFor(email string, kinds ...simulator.Kind) []simulator.Call {
	var found []simulator.Call
	for _, c := range b.actito.Calls() {
		for _, k := range kinds {
			if c.Kind == k && c.Key == "emailAddress="+email {
				found = append(found, c)
			}
		}
	}
	return found
}

func encoded(t *testing.T, payload any) io.Reader {
	t.Helper()
	body, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(body)
}
