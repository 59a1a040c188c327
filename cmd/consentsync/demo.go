package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"consentsync/internal/app"
	"consentsync/internal/integration"
	"consentsync/internal/mail"
	"consentsync/internal/simulator"
	"consentsync/internal/store"
)

const (
	demoOrganization = "demo"
	demoToken        = "demo-admin-token"
)

type demoCommand struct {
	Listen   string        `help:"Address to listen on." default:"127.0.0.1:8080" placeholder:"HOST:PORT" env:"CONSENTSYNC_LISTEN"`
	People   int           `help:"People who make choices." default:"50" env:"CONSENTSYNC_PEOPLE"`
	Pace     time.Duration `help:"Mean time between consent events." default:"2s" env:"CONSENTSYNC_PACE"`
	Duration time.Duration `help:"Stop after this time; 0 goes on until interrupted." default:"0s" env:"CONSENTSYNC_DURATION"`
}

// Run starts a simulated Actito, the real program on an empty data directory,
// and a simulated Didomi that sends it webhooks.
func (d *demoCommand) Run(ctx context.Context, std streams) error {
	if d.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.Duration)
		defer cancel()
	}
	actito := simulator.NewActito(simulator.ActitoOptions{Latency: 30 * time.Millisecond})
	defer actito.Close()
	actitoURL, stop, err := serveOn(ctx, "127.0.0.1:0", actito)
	if err != nil {
		return err
	}
	defer stop()
	data, err := os.MkdirTemp("", "consentsync-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data) //nolint:errcheck // a temporary directory
	cfg := app.Config{
		Listen: d.Listen, Data: filepath.Join(data, "data"), AllowPrivateNetworks: true, TokenLife: time.Hour, AdminToken: demoToken,
		DidomiURL: "https://api.didomi.io/v1", ConfirmAfter: time.Hour, ReadbackDelay: 30 * time.Second, LogLevel: "error",
	}
	a, err := app.Start(ctx, cfg, cfg.Logger(std.err))
	if err != nil {
		return err
	}
	defer a.Stop(context.WithoutCancel(ctx)) //nolint:errcheck // the demo ends
	admin := &client{url: a.URL(), token: demoToken}
	credentials, id, err := setUp(ctx, admin, actitoURL)
	if err != nil {
		return err
	}
	std.sayf("consentsync %s, with Didomi and Actito simulated. Interrupt to stop.\n\n", version)
	std.sayf("  console   %s (makes you its administrator)\n", a.FirstInvitation())
	std.sayf("  health    curl %s/readyz\n", a.URL())
	std.sayf("  a person  curl -H 'Authorization: Bearer %s' '%s/v1/users/PERSON?organization_id=%s'\n", demoToken, a.URL(), demoOrganization)
	std.sayf("  history   curl -H 'Authorization: Bearer %s' '%s/v1/users/PERSON/trace?organization_id=%s'\n", demoToken, a.URL(), demoOrganization)
	std.sayf("  Actito    curl %s/_simulator/profiles\n", actitoURL)
	std.sayf("  outbox    curl %s/_simulator/outbox (the messages that Actito has sent)\n", actitoURL)
	std.sayf("  budget    CONSENTSYNC_ADMIN_TOKEN=%s %s status --url %s --organization %s\n\n", demoToken, os.Args[0], a.URL(), demoOrganization)
	didomi := simulator.NewDidomi(simulator.DidomiOptions{
		Target: a.URL() + "/webhooks/didomi/" + demoOrganization, TokenURL: a.URL() + "/oauth/token", ClientID: credentials.ID, ClientSecret: credentials.Secret,
	})
	return d.traffic(ctx, std, didomi, actito, func(ctx context.Context) []string {
		var p integration.PlanView
		if _, err := admin.ask(ctx, http.MethodGet, integrations+"/"+id+"/plan", nil, &p); err != nil {
			return []string{err.Error()}
		}
		return budgetLines(&p)
	})
}

// traffic sends made-up consent events until ctx ends and prints what reaches
// Actito, with the time that it took from the choice, and now and then what the
// budget is spent on.
func (d *demoCommand) traffic(ctx context.Context, std streams, didomi *simulator.Didomi, actito *simulator.Actito, budget func(context.Context) []string) error {
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1)) //nolint:gosec // made-up traffic
	people := simulator.NewTraffic(simulator.TrafficOptions{People: d.People, Organization: demoOrganization, Rand: random})
	for i := range people.People() {
		if p := people.Person(i); i%4 != 0 { // the others are created when they first choose
			if _, err := actito.PutProfile(simulator.SampleEntity, simulator.SampleTableID, map[string]any{"emailAddress": p.ID}, nil); err != nil {
				return err
			}
		}
	}
	chosen := newStopwatch()
	actito.OnChange(func(c simulator.Change) {
		if c.Kind == simulator.KindMail {
			return // told as a message
		}
		key := fmt.Sprint(c.After.Attributes["emailAddress"])
		std.sayf("%s  Actito  %-7s %-34s %s%s\n", time.Now().Format("15:04:05"), c.Kind, key, differences(c), chosen.since(key))
	})
	actito.OnSent(func(m simulator.Sent) {
		std.sayf("%s  Actito  message %-34s %s, %s\n", time.Now().Format("15:04:05"), m.Recipient(), m.Campaign, m.Way)
	})
	var sent atomic.Int64
	summary := func(when string) {
		std.sayf("          %s: %d events accepted, %d calls made to Actito\n", when, sent.Load(), actito.CallCount())
		for _, line := range budget(context.WithoutCancel(ctx)) {
			std.sayf("          %s\n", line)
		}
	}
	report := time.NewTicker(20 * time.Second)
	defer report.Stop()
	for {
		event := people.Next()
		key, choices := describe(event)
		chosen.start(key)
		std.sayf("%s  Didomi  event   %-34s %s\n", time.Now().Format("15:04:05"), key, choices)
		if err := didomi.Send(ctx, event); err == nil {
			sent.Add(1)
		} else if ctx.Err() == nil {
			std.sayf("          the event was not accepted: %v\n", err)
		}
		wait := time.NewTimer(time.Duration((0.2 + 1.6*random.Float64()) * float64(d.Pace)))
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				std.sayf("\n")
				summary("in all")
				return nil
			case <-report.C:
				summary("so far")
			case <-wait.C:
				waiting = false
			}
		}
	}
}

// describe tells who chose what in an event.
func describe(event map[string]any) (key, choices string) {
	var e struct {
		Parameters struct {
			Entity struct {
				User struct {
					OrganizationUserID string `json:"organization_user_id"`
				} `json:"user"`
				Consents struct {
					Purposes, Channels []struct {
						ID      string `json:"id"`
						Enabled *bool  `json:"enabled"`
					}
				} `json:"consents"`
			} `json:"entity"`
		} `json:"parameters"`
	}
	body, _ := json.Marshal(event)
	_ = json.Unmarshal(body, &e)
	var said []string
	for _, c := range append(e.Parameters.Entity.Consents.Purposes, e.Parameters.Entity.Consents.Channels...) {
		if c.Enabled != nil {
			said = append(said, sign(*c.Enabled)+c.ID)
		}
	}
	return e.Parameters.Entity.User.OrganizationUserID, strings.Join(said, " ")
}

func sign(on bool) string {
	if on {
		return "+"
	}
	return "-"
}

// differences tells what a change did to the subscriptions, and how many
// attributes it touched.
func differences(c simulator.Change) string {
	var said []string
	for name, on := range c.After.Subscriptions {
		if was, had := c.Before.Subscriptions[name]; was != on || !had {
			if on || c.Before.ID != 0 {
				said = append(said, sign(on)+name)
			}
		}
	}
	slices.Sort(said)
	attributes := 0
	for name, value := range c.After.Attributes {
		if fmt.Sprint(c.Before.Attributes[name]) != fmt.Sprint(value) && name != "updateMoment" {
			attributes++
		}
	}
	if attributes > 0 {
		said = append(said, fmt.Sprintf("%d attributes", attributes))
	}
	if len(said) == 0 {
		return "nothing new to it" // such as a first refusal of what was off
	}
	return strings.Join(said, " ")
}

type webhookClient struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// setUp does what the README tells a new user to do by hand. It gives the
// credentials of Didomi and the id of the integration.
func setUp(ctx context.Context, admin *client, actitoURL string) (credentials webhookClient, id string, err error) {
	if _, err := admin.ask(ctx, http.MethodPut, "/v1/premium-features/"+demoOrganization, map[string]any{"actito": true}, nil); err != nil {
		return credentials, "", err
	}
	in := map[string]any{
		"type_id":        "actito",
		"authentication": map[string]any{"private_api_key": simulator.SampleKey},
		"properties": map[string]any{
			"base_url": actitoURL, "entity_id": simulator.SampleEntity, "table_name": simulator.SampleTable().Name, "user_unique_key": "emailAddress",
		},
		"mappings": []map[string]any{
			{"id": "Newsletter", "value": "consents_purposes_newsletter_enabled"},
			{"id": "Promotions", "value": "consents_purposes_promotions_enabled"},
			{"id": "SmsAlerts", "value": "consents_channels_sms_enabled"},
			{"id": "PartnerOffers", "value": "consents_channels_email_enabled"},
		},
		"upsert_mode": true, "enable_emailing": true,
	}
	var created listed
	if _, err := admin.ask(ctx, http.MethodPost, integrations+"?organization_id="+demoOrganization, in, &created); err != nil {
		return credentials, "", err
	}
	confirmation := map[string]any{
		"type_id": "actito", "email_type": mail.ConfirmConsentChanged, "properties": map[string]any{"email_campaign_name": simulator.SampleConfirmation},
	}
	if _, err := admin.ask(ctx, http.MethodPost, "/v1/marketplace/emails?organization_id="+demoOrganization, confirmation, nil); err != nil {
		return credentials, "", err
	}
	_, err = admin.ask(ctx, http.MethodPost, "/v1/organizations/"+demoOrganization+"/webhook-clients", nil, &credentials)
	return credentials, created.ID, err
}

// budgetLines tells in few words what is due and what the calls were spent on.
func budgetLines(p *integration.PlanView) []string {
	line := "saved: " + savedText(p.Spent)
	if p.Licence != nil {
		line = "pace: " + paceOf(p.Licence) + "; " + line
	}
	var due []string
	for _, class := range store.ClassNames {
		due = append(due, people(p.Due[class].People)+" "+class)
	}
	waiting := "due: " + strings.Join(due, ", ")
	if total(p.Due) > 0 {
		waiting += "; one by one all is done in " + spell(seconds(p.Lanes.Single.DrainSeconds))
	}
	return []string{line, waiting}
}

// serveOn serves a handler until stop is called.
func serveOn(ctx context.Context, address string, h http.Handler) (url string, stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener) //nolint:errcheck // ends with stop
	return "http://" + listener.Addr().String(), func() { _ = server.Close() }, nil
}
