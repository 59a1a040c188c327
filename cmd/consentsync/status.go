package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"consentsync/internal/consent"
	"consentsync/internal/integration"
)

type statusCommand struct {
	remote
	Organization string        `help:"Show the integrations of this organization." env:"CONSENTSYNC_ORGANIZATION"`
	Integration  string        `help:"Show this integration alone." placeholder:"ID" env:"CONSENTSYNC_INTEGRATION"`
	Once         bool          `help:"Print once and end; so it is too when the output is no terminal." env:"CONSENTSYNC_ONCE"`
	Every        time.Duration `help:"How often to look." default:"2s" env:"CONSENTSYNC_EVERY"`
}

// Validate is called by the parser.
func (s *statusCommand) Validate() error {
	if s.Organization == "" && s.Integration == "" {
		return errors.New("--organization: say which organization, or with --integration which integration is to be shown")
	}
	if err := s.checkURL(); err != nil {
		return err
	}
	if s.Every < time.Second {
		return errors.New("--every: must be 1s or longer")
	}
	return nil
}

// Run shows what is due and how it goes, of each integration, until ctx ends.
func (s *statusCommand) Run(ctx context.Context, std streams) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	size := func() (columns, rows int) { return terminal(std.out) }
	if columns, _ := size(); !s.Once && columns > 0 {
		return s.watch(ctx, c, std.out, size)
	}
	seen, err := s.look(ctx, c)
	if err != nil {
		return err
	}
	_, err = io.WriteString(std.out, seen.text(plainWidth))
	return err
}

// plainWidth is how wide the text is where no terminal says so.
const plainWidth = 80

// isTerminal tells whether somebody can be asked.
func isTerminal(f *os.File) bool {
	if f == nil {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// terminal gives the size of a terminal, and 0 of what is none.
func terminal(w io.Writer) (columns, rows int) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	if size.Col == 0 { // some do not know
		return plainWidth, 0
	}
	return int(size.Col), int(size.Row)
}

// watch looks again and again. A server that cannot be reached at first is an
// error; one that goes away later is waited for, with what was seen last left
// on the screen.
func (s *statusCommand) watch(ctx context.Context, c *client, out io.Writer, size func() (columns, rows int)) error {
	ticker := time.NewTicker(s.Every)
	defer ticker.Stop()
	var last *sight
	for {
		seen, err := s.look(ctx, c)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && last == nil:
			return err
		case err == nil:
			last = seen
		}
		columns, rows := size()
		if err := draw(out, last.text(columns), err, columns, rows); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// clearScreen puts the cursor into the corner and clears what is below it.
const clearScreen = "\x1b[H\x1b[2J"

// draw writes one screen at once, so that it does not flicker. What does not fit
// is cut off at the end: otherwise the terminal would scroll the beginning away.
func draw(out io.Writer, text string, trouble error, columns, rows int) error {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if trouble != nil {
		warning := wrap("What follows is old: "+printable(trouble.Error()), max(columns, 60))
		lines = append(append(warning, ""), lines...)
	}
	if rows > 2 && len(lines) >= rows {
		hidden := len(lines) - (rows - 2)
		lines = append(lines[:rows-2], fmt.Sprintf("... and %d lines more than this terminal is high", hidden))
	}
	_, err := io.WriteString(out, clearScreen+strings.Join(lines, "\n")+"\n")
	return err
}

// listed is what is shown of an integration beside its plan.
type listed struct {
	ID             string `json:"id"`
	OrganizationID string `json:"organization_id"`
	Status         string `json:"status"`
	StatusReason   string `json:"status_reason"`
	Properties     struct {
		EntityID  string `json:"entity_id"`
		TableName string `json:"table_name"`
	} `json:"properties"`
	Reprojection *integration.ReprojectionView `json:"reprojection"`
	Snapshot     struct {
		LookedAt consent.Time              `json:"looked_at"`
		Differs  *consent.SchemaDifference `json:"differs"`
	} `json:"snapshot"`
	plan integration.PlanView
}

// look asks the server for all that is shown.
func (s *statusCommand) look(ctx context.Context, c *client) (*sight, error) {
	seen := &sight{server: s.URL}
	var found []listed
	var err error
	if s.Integration != "" {
		found, err = s.one(ctx, c)
	} else {
		found, err = s.all(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	for _, i := range found {
		seen.at, err = c.ask(ctx, http.MethodGet, integrations+"/"+url.PathEscape(i.ID)+"/plan", nil, &i.plan)
		switch {
		case notFound(err) && s.Integration == "": // it was deleted since the list was read
		case err != nil:
			return nil, err
		default:
			seen.integrations = append(seen.integrations, i)
		}
	}
	if len(seen.integrations) == 0 {
		return nil, fmt.Errorf("organization %q has no integrations, or there is no such organization: check --organization", s.Organization)
	}
	return seen, nil
}

const integrations = "/v1/marketplace/integrations"

func (s *statusCommand) one(ctx context.Context, c *client) ([]listed, error) {
	path := integrations + "/" + url.PathEscape(s.Integration)
	within := ""
	if s.Organization != "" {
		path += "?organization_id=" + url.QueryEscape(s.Organization)
		within = " in organization " + s.Organization
	}
	var i listed
	_, err := c.ask(ctx, http.MethodGet, path, nil, &i)
	if notFound(err) {
		return nil, fmt.Errorf("there is no integration %q%s: check --integration, or show all of an organization with --organization alone", s.Integration, within)
	}
	return []listed{i}, err
}

// all reads every page of the organization's integrations.
func (s *statusCommand) all(ctx context.Context, c *client) ([]listed, error) {
	return listIntegrations(ctx, c, s.Organization)
}

func listIntegrations(ctx context.Context, c *client, organization string) ([]listed, error) {
	var found []listed
	query := url.Values{"organization_id": {organization}, "limit": {"100"}}
	for {
		var page struct {
			Data []listed `json:"data"`
			Next string   `json:"next"`
		}
		if _, err := c.ask(ctx, http.MethodGet, integrations+"?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		found = append(found, page.Data...)
		if page.Next == "" {
			return found, nil
		}
		query.Set("cursor", page.Next)
	}
}
