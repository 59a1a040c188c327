package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"consentsync/internal/backfill"
)

type catchUpCommand struct {
	remote
	Organization string `help:"Whose consents are fetched." required:"" env:"CONSENTSYNC_ORGANIZATION"`
	Since        string `help:"Pass over people who have not changed since this time, such as 2026-11-02T09:00:00Z; otherwise since the last good point." placeholder:"TIME" env:"CONSENTSYNC_CATCH_UP_SINCE"`
	All          bool   `help:"Fetch everybody." env:"CONSENTSYNC_CATCH_UP_ALL"`
	Show         bool   `help:"Only show how it stands." env:"CONSENTSYNC_CATCH_UP_SHOW"`
	NoWait       bool   `help:"Do not wait until it is done." env:"CONSENTSYNC_CATCH_UP_NO_WAIT"`
}

// Help is shown by --help.
func (catchUpCommand) Help() string {
	return "The server fetches from Didomi what it may have missed, with the credentials that an integration has for Didomi's API. " +
		"It does so by itself after a time away and after errors; this asks for it now. It may be interrupted: the server goes on."
}

// Validate is called by the parser.
func (c *catchUpCommand) Validate() error {
	if _, err := time.Parse(time.RFC3339, c.Since); c.Since != "" && err != nil {
		return errors.New("--since: must be a time such as 2026-11-02T09:00:00Z")
	}
	if c.Since != "" && c.All {
		return errors.New("--all: stands alone, without --since")
	}
	return c.checkURL()
}

// Run has a running server fetch, and shows how far it is.
func (c *catchUpCommand) Run(ctx context.Context, std streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	path := "/v1/organizations/" + url.PathEscape(c.Organization) + "/catch-up"
	var v backfill.CatchUpView
	get := func() error {
		_, err := api.ask(ctx, http.MethodGet, path, nil, &v)
		return err
	}
	if c.Show {
		if err := get(); err != nil {
			return err
		}
		std.sayf("%s", catchUpText(&v))
		return nil
	}
	in := map[string]any{"all": c.All}
	if c.Since != "" {
		in = map[string]any{"since": c.Since}
	}
	if _, err := api.ask(ctx, http.MethodPost, path, in, &v); err != nil {
		return err
	}
	columns, _ := terminal(std.err)
	line := &statusLine{out: std.err, columns: columns, now: time.Now}
	for v.Running && v.LastError == "" && !c.NoWait {
		line.say(func() string {
			return fmt.Sprintf("fetching: %s read, %s changed", of(v.Users, "user", "users"), count(v.Changed))
		})
		select {
		case <-ctx.Done():
			line.end()
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
		if err := get(); err != nil {
			line.end()
			return err
		}
	}
	line.end()
	std.sayf("%s", catchUpText(&v))
	if v.LastError != "" {
		return errors.New("it does not go on for now; the server tries again by itself")
	}
	return nil
}

// catchUpText says how a catch-up stands.
func catchUpText(v *backfill.CatchUpView) string {
	b := &sheet{width: plainWidth}
	when := "under way"
	switch {
	case v.StartedAt == nil:
		when = "never"
	case v.EndedAt != nil:
		when = "ended " + v.EndedAt.Std().Format("2006-01-02 15:04:05 UTC")
	}
	b.say("catch-up", when)
	if v.Reason != "" {
		b.say("reason", string(v.Reason))
		since := "everything"
		if v.Since != nil {
			since = v.Since.Std().Format("2006-01-02 15:04:05 UTC")
		}
		b.say("since", since)
		b.say("read", fmt.Sprintf("%s, %s changed since, %s fetched as proof", of(v.Users, "user", "users"), count(v.Changed), of(v.Events, "event", "events")))
	}
	if v.Unreadable > 0 {
		b.say("unreadable", count(v.Unreadable)+": the server's log says why")
	}
	if v.LastError != "" {
		b.say("failed", v.LastError)
	}
	if v.GoodAt != nil {
		b.say("complete", "up to "+v.GoodAt.Std().Format("2006-01-02 15:04:05 UTC"))
	}
	if !v.Possible {
		b.say("note", "no integration has credentials for Didomi's API")
	}
	return b.String()
}
