package main

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"consentsync/internal/app"
	"consentsync/internal/simulator"
)

// running starts a server for commands to ask, with its administrator's token in
// its data directory.
func running(t *testing.T, change ...func(*app.Config)) (c *client, data string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	cfg := app.Config{
		Listen: "127.0.0.1:0", Data: data, AllowPrivateNetworks: true, TokenLife: time.Hour,
		DidomiURL: "https://api.didomi.io/v1", ConfirmAfter: time.Hour, ReadbackDelay: time.Minute,
	}
	for _, f := range change {
		f(&cfg)
	}
	a, err := app.Start(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Stop(context.Background()) })
	token, err := os.ReadFile(filepath.Join(data, "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	return &client{url: a.URL(), token: strings.TrimSpace(string(token))}, data
}

// farEnd starts a simulated Actito.
func farEnd(t *testing.T) (actito *simulator.Actito, address string) {
	t.Helper()
	actito = simulator.NewActito(simulator.ActitoOptions{})
	t.Cleanup(actito.Close)
	server := httptest.NewServer(actito)
	t.Cleanup(server.Close)
	return actito, server.URL
}
