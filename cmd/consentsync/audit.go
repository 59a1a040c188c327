package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"os"

	"consentsync/internal/audit"
)

type auditCommand struct {
	Verify auditVerifyCommand `cmd:"" help:"Check that no sealed record was removed, changed, reordered, cut off or forged."`
	Export auditExportCommand `cmd:"" help:"Write an organization's audit chain as lines of JSON, to be kept and verified elsewhere."`
}

type auditVerifyCommand struct {
	remote
	File         string   `arg:"" optional:"" help:"An exported chain; without it the chain of the running server is checked, against its records as they are now." type:"path"`
	Organization string   `help:"The organization whose chain is checked on the server; * for what is about all of them." env:"CONSENTSYNC_ORGANIZATION"`
	Key          string   `help:"The public key, as it was noted down, in base64. Without it the one that the chain comes with counts." placeholder:"KEY" env:"CONSENTSYNC_AUDIT_KEY"`
	Checkpoint   []string `help:"A checkpoint that was noted down, which the chain must still hold. May be given several times." placeholder:"NUMBER:HASH"`
}

// Help is shown by --help.
func (auditVerifyCommand) Help() string {
	return "Ends with code 1 if something is wrong, and says where. That the end of a chain was cut off together with the database's own note of it " +
		"shows only against a checkpoint that was noted down elsewhere: keep those that this command prints, or the ones in the server's log."
}

// Validate is called by the parser.
func (a *auditVerifyCommand) Validate() error {
	if a.File == "" && a.Organization == "" {
		return errors.New("--organization: say whose chain is to be checked, or name an exported file")
	}
	return a.checkURL()
}

// Run checks a chain.
func (a *auditVerifyCommand) Run(ctx context.Context, std streams) error {
	var key audit.PublicKey
	if a.Key != "" {
		if err := key.UnmarshalText([]byte(a.Key)); err != nil {
			return fmt.Errorf("--key: %w", err)
		}
	}
	var noted []audit.Checkpoint
	for _, text := range a.Checkpoint {
		c, err := audit.ParseCheckpoint(text)
		if err != nil {
			return fmt.Errorf("--checkpoint: %w", err)
		}
		noted = append(noted, c)
	}
	pages := filePages(a.File)
	if a.File == "" {
		c, err := a.client()
		if err != nil {
			return err
		}
		pages = serverPages(ctx, c, a.Organization)
	}
	var v *audit.Verifier
	for page, err := range pages {
		if err != nil {
			return err
		}
		if v == nil {
			v = audit.NewVerifier(page.Header, key, noted...)
		}
		v.Horizons(page.Horizons)
		for i := range page.Data {
			v.Link(&page.Data[i])
		}
	}
	if v == nil {
		return errors.New("there is nothing in it: it is no exported chain")
	}
	return tellReport(std, v.End(), len(key) > 0)
}

func tellReport(std streams, r audit.Report, pinned bool) error {
	for _, p := range r.Problems {
		std.sayf("%s\n", printable(p.String()))
	}
	if r.More > 0 {
		std.sayf("... and %d more\n", r.More)
	}
	std.sayf("%d records in %d links", r.Records, r.Links)
	if r.Removed > 0 || r.Erased > 0 {
		std.sayf("; %d were kept long enough and are gone, %d are of people who were erased", r.Removed, r.Erased)
	}
	std.sayf(".\nThe key is %s", keyText(r.PublicKey))
	if !pinned {
		std.sayf(", as the chain itself says: give the one that you noted down with --key")
	}
	std.sayf(".\n")
	if n := len(r.Problems); n > 0 {
		return fmt.Errorf("the chain of %s is not as it was sealed: %d problems", printable(r.OrganizationID), int64(n)+r.More)
	}
	if r.Links > 0 {
		std.sayf("All of it is as it was sealed. Note this checkpoint down: %s\n", r.End)
	}
	return nil
}

func keyText(k audit.PublicKey) string {
	text, _ := k.MarshalText() // it never fails
	return string(text)
}

// mostLinks is how many links are asked for at a time.
const mostLinks = "20"

// serverPages reads a chain from a server.
func serverPages(ctx context.Context, c *client, organization string) iter.Seq2[*audit.Page, error] {
	return func(yield func(*audit.Page, error) bool) {
		query := url.Values{"limit": {mostLinks}}
		for {
			page := &audit.Page{}
			_, err := c.ask(ctx, http.MethodGet, "/v1/organizations/"+url.PathEscape(organization)+"/audit?"+query.Encode(), nil, page)
			if !yield(page, err) || err != nil || page.Next == nil {
				return
			}
			query.Set("cursor", *page.Next)
		}
	}
}

// mostLine bounds a line of an exported chain: a link of 256 records.
const mostLine = 16 << 20

// filePages reads an exported chain: its header, then a link in each line.
func filePages(path string) iter.Seq2[*audit.Page, error] {
	return func(yield func(*audit.Page, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(nil, err)
			return
		}
		defer f.Close() //nolint:errcheck // it was only read
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, mostLine)
		page := &audit.Page{}
		for n := 1; lines.Scan(); n++ {
			page.Data = nil
			var into any = &page.Header
			if n > 1 {
				page.Data = make([]audit.Link, 1)
				into = &page.Data[0]
			}
			if err := json.Unmarshal(lines.Bytes(), into); err != nil {
				yield(nil, fmt.Errorf("line %d is not of an exported chain: %w", n, err))
				return
			}
			if !yield(page, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(nil, err)
		}
	}
}

type auditExportCommand struct {
	remote
	Organization string `help:"The organization; * for what is about all of them." env:"CONSENTSYNC_ORGANIZATION" required:""`
}

// Run writes a chain.
func (a *auditExportCommand) Run(ctx context.Context, std streams) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(std.out)
	lines := json.NewEncoder(out)
	first := true
	for page, err := range serverPages(ctx, c, a.Organization) {
		if err != nil {
			return err
		}
		if first {
			first = false
			if err := lines.Encode(page.Header); err != nil {
				return err
			}
		}
		for i := range page.Data {
			if err := lines.Encode(page.Data[i]); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}
