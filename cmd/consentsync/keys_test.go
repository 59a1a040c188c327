package main

import (
	"net/http"
	"strings"
	"testing"
)

// Keys of the API are made, used, listed and revoked, and those that seal
// secrets changed. The test sets variables, so that it cannot run beside others.
func TestKeys(t *testing.T) {
	ctx := t.Context()
	c, _ := running(t)
	t.Setenv("CONSENTSYNC_URL", c.url)
	t.Setenv("CONSENTSYNC_ADMIN_TOKEN", c.token)
	says := func(got ran, want ...string) string {
		t.Helper()
		for _, w := range want {
			if got.code != 0 || !strings.Contains(got.out, w) {
				t.Fatalf("no %q in %+v", w, got)
			}
		}
		return strings.TrimSpace(got.out)
	}
	key := says(command(t, "", "keys", "add", "--organization", "*", "--name", "nightly report", "--role", "viewer"), "csk_")
	id, _, _ := strings.Cut(key, ".")
	says(command(t, "", "keys", "list", "--organization", "*"), id, "viewer", "nightly report", "never")
	program := &client{url: c.url, token: key}
	if _, err := program.ask(ctx, http.MethodGet, "/v1/licences", nil, nil); err != nil {
		t.Error(err)
	}
	if got := command(t, "", "keys", "list", "--organization", "*"); strings.Contains(got.out, "never") || strings.Contains(got.out, key) {
		t.Errorf("after it was used: %+v", got)
	}
	command(t, "", "keys", "add", "--organization", "nobody", "--name", "x").refuses(t, 1, "there is no organization")
	command(t, "", "keys", "add", "--organization", "*", "--name", "x", "--days", "1000").refuses(t, 1, "expires_in_days")
	says(command(t, "", "keys", "revoke", "--organization", "*", id), "worth nothing")
	command(t, "", "keys", "revoke", "--organization", "*", id).refuses(t, 1, "no such key")
	if _, err := program.ask(ctx, http.MethodGet, "/v1/licences", nil, nil); err == nil {
		t.Error("a revoked key is let in")
	}
	before := says(command(t, "", "keys", "status"), "master key", "key         1")
	says(command(t, "", "keys", "rotate"), "key         2", "retired     1")
	if after := says(command(t, "", "keys", "rotate", "--master"), "key         2"); strings.Split(after, "\n")[0] == strings.Split(before, "\n")[0] {
		t.Errorf("the master key is the same: %s", after)
	}
}
