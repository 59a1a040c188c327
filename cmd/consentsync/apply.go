package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"consentsync/internal/backfill"
	"consentsync/internal/integration"
)

type applyCommand struct {
	remote
	File         string `help:"The integration as JSON, as the API takes it; - for the standard input. $${NAME} in its authentication stands for an environment variable." short:"f" required:"" placeholder:"FILE" env:"CONSENTSYNC_APPLY_FILE"`
	Organization string `help:"Whose integration it is, if the file does not say organization_id." env:"CONSENTSYNC_ORGANIZATION"`
	Yes          bool   `help:"Do not ask." env:"CONSENTSYNC_APPLY_YES"`
	DryRun       bool   `help:"Show the difference and what would follow, and change nothing." env:"CONSENTSYNC_APPLY_DRY_RUN"`
}

// Validate is called by the parser.
func (a *applyCommand) Validate() error {
	if a.File == "-" && !a.Yes && !a.DryRun {
		return errors.New("--yes: is needed, or --dry-run, where the file comes from the standard input: nobody can be asked")
	}
	return a.checkURL()
}

// applying is one integration of a file on its way to the server.
type applying struct {
	*client
	file *integration.File
	body map[string]any // as it is in the file, its variables filled in
	// current is what the server has; nil if it is new.
	current *shownIntegration
}

// shownIntegration is an answer that shows an integration.
type shownIntegration struct {
	integration.View
	whole map[string]any
}

// Run brings an integration of the server to what a file says, after it has
// shown what would differ and what would follow, and asked.
func (a *applyCommand) Run(ctx context.Context, std streams) error {
	if in, _ := std.in.(*os.File); !a.Yes && !a.DryRun && !isTerminal(in) {
		return &misuse{"--yes: is needed, or --dry-run, where there is no terminal: nobody can be asked"}
	}
	name, body, err := readFile(a.File, std.in)
	if err != nil {
		return err
	}
	p, err := a.prepare(name, body)
	if err != nil {
		return err
	}
	if err := p.find(ctx); err != nil {
		return err
	}
	differences := p.differences()
	b := &sheet{width: plainWidth}
	b.para(p.title())
	if len(differences) == 0 {
		b.say("difference", "none")
		std.sayf("%s", b.String())
		return nil
	}
	b.block("difference", differences)
	simulation, err := p.simulate(ctx)
	if err != nil {
		return err
	}
	b.simulation(simulation)
	std.sayf("%s", b.String())
	if a.DryRun {
		return nil
	}
	if !a.Yes && !agreed(std) {
		return errors.New("nothing was changed")
	}
	return p.apply(ctx, std)
}

// prepare reads the file.
func (a *applyCommand) prepare(name string, text []byte) (*applying, error) {
	text, err := expandSecrets(text)
	if err != nil {
		return nil, inFile(name, err)
	}
	f, err := integration.ReadFile(text)
	if err != nil {
		return nil, inFile(name, err)
	}
	f.OrganizationID = cmp.Or(f.OrganizationID, a.Organization)
	if f.OrganizationID == "" && f.ID == "" {
		return nil, fmt.Errorf("%s: organization_id: is required, or --organization", name)
	}
	if a.Organization != "" && a.Organization != f.OrganizationID {
		return nil, fmt.Errorf("%s: organization_id: is %q, and --organization is %q", name, f.OrganizationID, a.Organization)
	}
	p := &applying{file: f}
	if err := json.Unmarshal(text, &p.body); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if p.client, err = a.client(); err != nil {
		return nil, err
	}
	p.patience = longAnswer
	return p, nil
}

// find looks for the integration that the file is about: by its id, else by
// organization, entity and table.
func (p *applying) find(ctx context.Context) error {
	if p.file.ID != "" {
		var err error
		p.current, err = p.show(ctx, p.file.ID)
		if notFound(err) {
			return fmt.Errorf("there is no integration %q: correct the id in the file, or leave it out", p.file.ID)
		}
		return err
	}
	all, err := listIntegrations(ctx, p.client, p.file.OrganizationID)
	if err != nil {
		return err
	}
	var ids []string
	ours := p.file.Properties
	for _, i := range all {
		if i.Properties.EntityID == ours.EntityID && i.Properties.TableName == ours.TableName {
			ids = append(ids, i.ID)
		}
	}
	switch len(ids) {
	case 0:
		return nil
	case 1:
		p.current, err = p.show(ctx, ids[0])
		return err
	}
	return fmt.Errorf("organization %q has several integrations on the table %q: say in the file which one it is, with one of the ids %s",
		p.file.OrganizationID, ours.TableName, strings.Join(ids, ", "))
}

func (p *applying) show(ctx context.Context, id string) (*shownIntegration, error) {
	query := ""
	if p.file.OrganizationID != "" {
		query = "?organization_id=" + url.QueryEscape(p.file.OrganizationID)
	}
	var text json.RawMessage
	if _, err := p.ask(ctx, http.MethodGet, integrations+"/"+url.PathEscape(id)+query, nil, &text); err != nil {
		return nil, err
	}
	s := &shownIntegration{}
	return s, errors.Join(json.Unmarshal(text, &s.View), json.Unmarshal(text, &s.whole))
}

func (p *applying) title() string {
	at := p.file.Properties.EntityID + " / " + p.file.Properties.TableName
	if p.current == nil {
		return "a new integration of " + p.file.OrganizationID + "  " + at
	}
	return p.current.ID + "  " + at
}

func (p *applying) simulate(ctx context.Context) (*backfill.Simulation, error) {
	var s backfill.Simulation
	path, body := p.address("/simulate")
	_, err := p.ask(ctx, http.MethodPost, path, body, &s)
	return &s, err
}

// address gives where the integration is simulated, or made or changed, and
// with what.
func (p *applying) address(action string) (path string, body any) {
	if p.current == nil {
		return integrations + action + "?organization_id=" + url.QueryEscape(p.file.OrganizationID), p.body
	}
	return integrations + "/" + url.PathEscape(p.current.ID) + action, p.patch()
}

// apply makes or changes the integration, unless somebody else changed it since
// it was shown.
func (p *applying) apply(ctx context.Context, std streams) error {
	method := http.MethodPost
	if p.current != nil {
		method = http.MethodPatch
		now, err := p.show(ctx, p.current.ID)
		if err != nil {
			return err
		}
		if now.Revision != p.current.Revision {
			return errors.New("the integration was changed meanwhile, so that what was shown does not hold: start again. Nothing was changed")
		}
	}
	path, body := p.address("")
	var v integration.View
	if _, err := p.ask(ctx, method, path, body, &v); err != nil {
		return err
	}
	std.sayf("%s is %s\n", v.ID, v.Status)
	if v.Webhook != nil && v.Webhook.Secret != "" {
		std.sayf("Actito calls %s with %s: %s, which is shown this once\n", v.Webhook.URL, v.Webhook.Header, v.Webhook.Secret)
	}
	return nil
}

// agreed asks whether to go on.
func agreed(std streams) bool {
	std.sayf("Apply this? [y/N] ")
	line, _ := bufio.NewReader(std.in).ReadString('\n') // the end of the input is no yes
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}
