package actito

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"consentsync/internal/consent"
	"consentsync/internal/simulator"
)

// listening is a receiver of webhooks that keeps what it is told.
func listening(t *testing.T, known []string) (url string, told func() []News) {
	t.Helper()
	var mu sync.Mutex
	var all []News
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		news, err := ParseNews(body, known)
		if err != nil || r.Header.Get("X-Secret") != "s3cret" {
			t.Errorf("%s, secret %q: %v", body, r.Header.Get("X-Secret"), err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, news...)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []News {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

func TestWebhookAgainstTheSimulator(t *testing.T) {
	t.Parallel()
	sim, c := simulated(t, simulator.ActitoOptions{AllowHTTPWebhooks: true})
	table, err := c.Structure(t.Context(), simulator.SampleEntity, simulator.SampleTableID)
	if err != nil {
		t.Fatal(err)
	}
	url, told := listening(t, table.Subscriptions)
	want := Subscription{
		TableID: table.ID, Event: WebhookUpdatedSubscription, TargetURL: url,
		Headers: map[string]string{"X-Secret": "old"}, Active: true,
	}
	if want.ID, err = c.CreateWebhook(t.Context(), simulator.SampleEntity, want); err != nil {
		t.Fatal(err)
	}
	list, err := c.Webhooks(t.Context(), simulator.SampleEntity)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, list, []Subscription{want})

	want.Headers["X-Secret"] = "s3cret"
	if err := c.ReplaceWebhook(t.Context(), simulator.SampleEntity, want); err != nil {
		t.Fatal(err)
	}
	ref := Ref{Entity: simulator.SampleEntity, TableID: table.ID, KeyAttribute: "emailAddress", Key: "jane@example.com"}
	if err := c.Create(t.Context(), ref, Change{Subscriptions: map[string]bool{"Newsletter": true, "SmsAlerts": true}}); err != nil {
		t.Fatal(err)
	}
	// Every form says the same.
	wants := []map[string]bool{{"Newsletter": true, "SmsAlerts": true}}
	on := true
	for _, o := range []simulator.WebhookOptions{
		{},
		{Shape: simulator.ShapeArray, Values: simulator.ValuesText, UniqueKeys: true},
		{Shape: simulator.ShapeDataArray, Values: simulator.ValuesDigits, NoID: true, NoEventType: true},
		{Duplicate: 1},
	} {
		sim.SettleWebhooks()
		sim.DeliverWebhooks(o)
		on = !on
		if err := c.Update(t.Context(), ref, Change{Subscriptions: map[string]bool{"Newsletter": on}}); err != nil {
			t.Fatal(err)
		}
		wants = append(wants, map[string]bool{"Newsletter": on})
	}
	sim.SettleWebhooks()
	got := told()
	if len(got) != 6 {
		t.Fatalf("told %+v", got)
	}
	for i, subscriptions := range append(wants, wants[4]) {
		n := got[i]
		wantEqual(t, n.Subscriptions, subscriptions)
		if n.ProfileID != "1" || (n.EventID == "") != (i == 3) || (n.Event == "") != (i == 3) || (n.Keys["emailAddress"] == ref.Key) != (i == 2) {
			t.Errorf("%d: %+v", i, n)
		}
	}
	if got[4].EventID != got[5].EventID || string(got[4].Canonical) != string(got[5].Canonical) {
		t.Errorf("the same told twice: %+v", got[4:])
	}

	if err := c.DeleteWebhook(t.Context(), simulator.SampleEntity, want.ID); err != nil {
		t.Fatal(err)
	}
	wantKind(t, c.DeleteWebhook(t.Context(), simulator.SampleEntity, want.ID), consent.NotFound)
	wantKind(t, c.ReplaceWebhook(t.Context(), simulator.SampleEntity, want), consent.NotFound)
}

func TestManyWebhooksAgainstTheSimulator(t *testing.T) {
	t.Parallel()
	for shape, want := range map[simulator.HeadersShape]map[string]string{
		simulator.HeadersShown: {"X-Secret": "s3cret"}, simulator.HeadersMasked: nil, simulator.HeadersAbsent: nil,
	} {
		_, c := simulated(t, simulator.ActitoOptions{WebhookHeaders: shape})
		s := Subscription{
			TableID: simulator.SampleTableID, Event: WebhookCreate, TargetURL: "https://sync.example.com",
			Headers: map[string]string{"X-Secret": "s3cret"},
		}
		for range webhookPage + 1 {
			if _, err := c.CreateWebhook(t.Context(), simulator.SampleEntity, s); err != nil {
				t.Fatal(err)
			}
		}
		list, err := c.Webhooks(t.Context(), simulator.SampleEntity)
		if err != nil || len(list) != webhookPage+1 {
			t.Fatalf("%d listed, %v", len(list), err)
		}
		for i, listed := range list {
			s.ID, s.Headers = fmt.Sprint(i+1), want
			wantEqual(t, listed, s)
		}
	}
}

func TestWebhooksWithoutTheRight(t *testing.T) {
	t.Parallel()
	sim, c := simulated(t, simulator.ActitoOptions{})
	sim.AddKey(simulator.SampleKey, simulator.RightReadProfiles)
	_, err := c.CreateWebhook(t.Context(), simulator.SampleEntity, Subscription{
		TableID: simulator.SampleTableID, Event: WebhookCreate, TargetURL: "https://sync.example.com",
	})
	wantKind(t, err, consent.Forbidden)
	_, err = c.Webhooks(t.Context(), simulator.SampleEntity)
	wantKind(t, err, consent.Forbidden)
}
