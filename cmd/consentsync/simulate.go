package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"consentsync/internal/app"
	"consentsync/internal/didomi"
	"consentsync/internal/integration"
)

type simulateCommand struct {
	File         string `help:"The integration as JSON: the body that creates it or the answer that shows it, whose snapshot counts then; - for the standard input." short:"f" required:"" placeholder:"FILE" env:"CONSENTSYNC_SIMULATE_FILE"`
	Events       string `help:"Webhooks of Didomi, or events or users as its API shows them: a JSON array, or one after another (NDJSON); - for the standard input." required:"" placeholder:"FILE" env:"CONSENTSYNC_SIMULATE_EVENTS"`
	Organization string `help:"Whose the events are; otherwise as the integration or the first event says." env:"CONSENTSYNC_ORGANIZATION"`
	JSON         bool   `help:"Print the figures as JSON, as the API answers." name:"json" env:"CONSENTSYNC_SIMULATE_JSON"`
}

// Validate is called by the parser.
func (s *simulateCommand) Validate() error {
	if s.File == "-" && s.Events == "-" {
		return errors.New("--events: only one of the two can come from the standard input")
	}
	return nil
}

// Run tells what an integration would make of the events of a file. It asks
// neither a server nor Actito.
func (s *simulateCommand) Run(ctx context.Context, std streams) error {
	name, body, err := readFile(s.File, std.in)
	if err != nil {
		return err
	}
	f, err := integration.ReadFile(body)
	if err != nil {
		return inFile(name, err)
	}
	events, err := s.open(std.in)
	if err != nil {
		return err
	}
	defer events.Close()
	if s.Organization != "" {
		f.OrganizationID = s.Organization
	}
	o, err := app.SimulateOffline(ctx, f, claimed(f, eventFile(events)))
	if err != nil {
		return fmt.Errorf("--events: %w", err)
	}
	if o.Events == o.Refused {
		return fmt.Errorf("--events: none of its %s can be read: %v", of(o.Events, "event", "events"), o.Why)
	}
	if s.JSON {
		text, err := json.MarshalIndent(o.Simulation, "", "  ")
		if err == nil {
			_, err = fmt.Fprintf(std.out, "%s\n", text)
		}
		s.complain(std, o)
		return err
	}
	width, _ := terminal(std.out)
	b := &sheet{width: max(width, plainWidth)}
	b.say("events", fmt.Sprintf("%s were read, %s refused", of(o.Events, "event", "events"), count(o.Refused)))
	b.simulation(o.Simulation)
	_, err = io.WriteString(std.out, b.String())
	s.complain(std, o)
	return err
}

func (s *simulateCommand) complain(std streams, o *app.Offline) {
	for _, why := range o.Why {
		_, _ = fmt.Fprintln(std.err, "refused:", printable(why))
	}
	if more := o.Refused - int64(len(o.Why)); more > 0 {
		_, _ = fmt.Fprintf(std.err, "refused: %d more\n", more)
	}
}

func (s *simulateCommand) open(in io.Reader) (io.ReadCloser, error) {
	if s.Events == "-" {
		return io.NopCloser(in), nil
	}
	f, err := os.Open(s.Events)
	if err != nil {
		return nil, fmt.Errorf("--events: %w", err)
	}
	return f, nil
}

// claimed makes webhooks of what a file holds, once the first of them that says so
// has told whose they are.
func claimed(f *integration.File, values iter.Seq2[[]byte, error]) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for raw, err := range values {
			webhook, organization, _, _ := didomi.ParseRow(raw) // what is wrong with it is said when it is read
			f.OrganizationID = cmp.Or(f.OrganizationID, organization)
			if !yield(webhook, err) {
				return
			}
		}
	}
}
