package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"consentsync/internal/simulator"
)

const adminToken = "bench-admin-token"

var programEnv = []string{"CONSENTSYNC_ADMIN_TOKEN=" + adminToken}

// object is any JSON object.
type object = map[string]any

// serve starts the program on a data directory.
func (b *bench) serve(ctx context.Context, data string, flags ...string) (*process, error) {
	flags = append([]string{"serve", "--allow-private-networks", "--log-level", "warn", "--data", data}, flags...)
	return start(ctx, "/readyz", programEnv, b.binary, append(flags, "--listen")...)
}

// serveOn starts the program on a PostgreSQL, with its keys in a directory.
func (b *bench) serveOn(ctx context.Context, data, database string) (*process, error) {
	return start(ctx, "/readyz", programEnv, b.binary,
		"serve", "--allow-private-networks", "--log-level", "warn", "--data", data, "--database", database, "--listen")
}

// client is what Didomi authenticates with.
type client struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// made is what was made in a program that is to be measured.
type made struct {
	Client      client
	Integration string
	Secret      string // that Actito calls with
}

// setUp makes an organization with one integration in a running program, whose
// settings may be changed first.
func setUp(ctx context.Context, url, actitoURL string, change func(object)) (m made, err error) {
	if err := ask(ctx, http.MethodPut, url+"/v1/premium-features/"+organization, object{"actito": true}, nil); err != nil {
		return m, err
	}
	settings := object{
		"type_id":        "actito",
		"authentication": object{"private_api_key": simulator.SampleKey},
		"properties": object{
			"base_url": actitoURL, "entity_id": simulator.SampleEntity, "table_name": simulator.SampleTable().Name, "user_unique_key": "emailAddress",
			"calls_per_minute": 100_000, "concurrency": 4,
		},
		"mappings": []object{
			{"id": "Newsletter", "value": "consents_purposes_newsletter_enabled"},
			{"id": "Promotions", "value": "consents_purposes_promotions_enabled"},
			{"id": "SmsAlerts", "value": "consents_channels_sms_enabled"},
		},
		"upsert_mode": true,
	}
	change(settings)
	var view struct {
		ID      string
		Webhook struct{ Secret string }
	}
	if err := ask(ctx, http.MethodPost, url+"/v1/marketplace/integrations?organization_id="+organization, settings, &view); err != nil {
		return m, err
	}
	m.Integration, m.Secret = view.ID, view.Webhook.Secret
	return m, ask(ctx, http.MethodPost, url+"/v1/organizations/"+organization+"/webhook-clients", nil, &m.Client)
}

// tokenFor asks for an access token as Didomi does.
func tokenFor(ctx context.Context, url string, c client) (string, error) {
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	err := ask(ctx, http.MethodPost, url+"/oauth/token", map[string]any{
		"grant_type": "client_credentials", "client_id": c.ID, "client_secret": c.Secret,
	}, &answer)
	return answer.AccessToken, err
}

func ask(ctx context.Context, method, url string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %s", method, r.URL.Path, resp.Status, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// actito serves a simulated Actito until stop is called.
func actito(ctx context.Context, opts simulator.ActitoOptions) (a *simulator.Actito, url string, stop func(), err error) {
	a = simulator.NewActito(opts)
	url, closeServer, err := listen(ctx, a)
	if err != nil {
		a.Close()
		return nil, "", nil, err
	}
	return a, url, func() {
		closeServer()
		a.Close()
	}, nil
}

// listen serves a handler until stop is called.
func listen(ctx context.Context, h http.Handler) (url string, stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener) //nolint:errcheck // ends with stop
	return "http://" + listener.Addr().String(), func() { _ = server.Close() }, nil
}
