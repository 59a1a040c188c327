package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"consentsync/internal/app"
	"consentsync/internal/assumption"
	"consentsync/internal/doctor"
)

// unchecked are the settings of serve, without the check that keeps it from
// starting: what they lack is a finding.
type unchecked app.Config

type doctorCommand struct {
	unchecked
	URL          string `help:"Address of the running server. Without it the one that --listen names is asked, and if none answers there, all is looked at from here." placeholder:"URL" env:"CONSENTSYNC_URL" name:"url"`
	Organization string `help:"Look at the integrations of this organization alone." env:"CONSENTSYNC_ORGANIZATION"`
	Integration  string `help:"Look at this integration alone." placeholder:"ID" env:"CONSENTSYNC_INTEGRATION"`
	Live         bool   `help:"Look too whether what is assumed about Didomi and Actito holds for these accounts. Some 20 calls an integration, which change nothing." env:"CONSENTSYNC_DOCTOR_LIVE"`
	Profile      string `help:"Key of a profile in Actito that exists, such as your own: it is read, and nothing of it is shown." placeholder:"KEY" env:"CONSENTSYNC_DOCTOR_PROFILE"`
	WriteTo      string `help:"Key of a profile made for tests: its subscriptions are written as they are, and with one that does not exist. Needs --integration or --file." placeholder:"KEY" env:"CONSENTSYNC_DOCTOR_WRITE_TO" name:"write-to"`
	File         string `help:"Look at the accounts of an integration in a file, the body that creates it, without a server and without data; - for the standard input." short:"f" placeholder:"FILE" env:"CONSENTSYNC_DOCTOR_FILE"`
	JSON         bool   `help:"Print the findings as JSON, as the API answers." name:"json" env:"CONSENTSYNC_DOCTOR_JSON"`
}

// Help is shown by --help.
func (doctorCommand) Help() string {
	return "Takes the flags and variables of serve, and looks at what a server would start with. A server that runs is asked to look at itself. " +
		"Nothing is changed, and no secret is printed. Ends with code 1 if something failed or an assumption is refuted, else with 0. docs/doctor.md tells more."
}

// Validate is called by the parser.
func (d *doctorCommand) Validate() error {
	if d.URL != "" {
		if err := (&remote{URL: d.URL}).checkURL(); err != nil {
			return err
		}
	}
	ask := d.ask()
	if d.File != "" {
		ask.IntegrationID = d.File // which integration is known
	}
	for field, problem := range ask.Problems() {
		flag := map[string]string{"profile": "--profile", "write_to": "--write-to"}[field]
		return fmt.Errorf("%s: %s", flag, strings.NewReplacer("add live", "add --live", "integration_id", "--integration").Replace(problem))
	}
	return nil
}

func (d *doctorCommand) ask() doctor.Ask {
	return doctor.Ask{OrganizationID: d.Organization, IntegrationID: d.Integration, Live: d.Live || d.File != "", Profile: d.Profile, WriteTo: d.WriteTo}
}

// Run looks at the installation and prints what it finds.
func (d *doctorCommand) Run(ctx context.Context, std streams) error {
	cfg := app.Config(d.unchecked)
	complete(&cfg)
	r, err := d.look(ctx, std, cfg)
	if err != nil {
		return err
	}
	if d.JSON {
		var text []byte
		if text, err = json.MarshalIndent(r, "", "  "); err == nil {
			std.sayf("%s\n", text)
		}
	} else {
		width, _ := terminal(std.out)
		_, err = io.WriteString(std.out, diagnosis(r, max(width, plainWidth)))
	}
	if err == nil && !r.Well {
		err = errors.New("something has to be done: see what failed")
	}
	return err
}

func (d *doctorCommand) look(ctx context.Context, std streams, cfg app.Config) (*doctor.Report, error) {
	ask := d.ask()
	if d.File != "" {
		name, body, err := readFile(d.File, std.in)
		if err != nil {
			return nil, err
		}
		r, err := app.ExamineFile(ctx, cfg, body, ask)
		if err != nil {
			return nil, inFile(name, err)
		}
		return r, nil
	}
	if d.URL != "" {
		return d.fromServer(ctx, d.URL, ask)
	}
	r, asked := d.fromServer(ctx, ownAddress(d.Listen), ask)
	if asked == nil {
		return r, nil
	}
	r, err := app.Examine(ctx, cfg, ask)
	switch {
	case errors.Is(err, app.ErrServed):
		r.Add(doctor.Bad("server", "one runs on the data directory, and cannot be asked: "+asked.Error(), "Give its address with --url."))
	case err != nil:
		return nil, err
	case !errors.Is(asked, errNoServer) && r.Count(doctor.Failed) > 0:
		r.Add(doctor.Doubtful("server", "the one at "+ownAddress(d.Listen)+" could not be asked: "+asked.Error(), "Give its address with --url, if it is yours."))
	}
	return r, nil
}

// fromServer has a server look at itself.
func (d *doctorCommand) fromServer(ctx context.Context, url string, ask doctor.Ask) (*doctor.Report, error) {
	c, err := (&remote{URL: url, Data: d.Data}).client()
	if err != nil {
		return nil, err
	}
	c.patience = longAnswer
	var r doctor.Report
	_, err = c.ask(ctx, http.MethodPost, "/v1/doctor", ask, &r)
	return &r, err
}

// ownAddress is where a server that listens so is reached from its own machine.
func ownAddress(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "http://" + listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// from says who has looked.
var from = map[string]string{
	"server": "The server looked at itself.",
	"here":   "No server was asked: this was looked at from here.",
	"file":   "The accounts of the file were looked at, and no installation.",
}

// diagnosis writes a report for people.
func diagnosis(r *doctor.Report, width int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s consentsync %s, %s\n\n", from[r.LookedFrom], printable(r.Version), minuteOf(r.At))
	for _, f := range r.Findings {
		line(&b, width, string(f.Status), printable(f.About+": "+f.Says), printable(f.Do))
	}
	for i, a := range r.Assumptions {
		if i == 0 || a.IntegrationID != r.Assumptions[i-1].IntegrationID {
			whose := ""
			if a.IntegrationID != "" {
				whose = ", for integration " + printable(a.IntegrationID)
			}
			fmt.Fprintf(&b, "\nWhat is assumed about both ends%s:\n\n", whose)
		}
		line(&b, width, string(a.Result), printable(fmt.Sprintf("%s (%s): %s", a.ID, a.Sure, a.Seen)), printable(a.Do))
	}
	fmt.Fprintf(&b, "\n%s, %s.", of(r.Count(doctor.Failed), "finding failed", "findings failed"), of(r.Count(doctor.Warning), "warning", "warnings"))
	if len(r.Assumptions) > 0 {
		count := func(result assumption.Result) (n int) {
			for _, a := range r.Assumptions {
				if a.Result == result {
					n++
				}
			}
			return n
		}
		fmt.Fprintf(&b, " Of %s %d are confirmed, %d refuted, %d unknown.",
			of(len(r.Assumptions), "assumption", "assumptions"), count(assumption.Confirmed), count(assumption.Refuted), count(assumption.Unknown))
	}
	b.WriteString("\n")
	return b.String()
}

// line writes what was found, and below it what to do.
func line(b *strings.Builder, width int, status, says, do string) {
	const margin = 11
	lines := wrap(says, width-margin)
	if do != "" {
		lines = slices.Concat(lines, wrap("> "+do, width-margin))
	}
	for i, text := range lines {
		if i > 0 {
			status = ""
		}
		fmt.Fprintf(b, "%-*s%s\n", margin, status, text)
	}
}
