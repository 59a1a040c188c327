package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"consentsync/internal/actito"
	"consentsync/internal/consent"
	"consentsync/internal/integration"
	"consentsync/internal/store"
)

type etlTemplateCommand struct {
	File         string   `help:"The integration as JSON: the body that creates it or the answer that shows it; - for the standard input." short:"f" placeholder:"FILE" env:"CONSENTSYNC_ETL_FILE"`
	Key          string   `help:"Without a file: the unique key of the table." placeholder:"ATTRIBUTE" env:"CONSENTSYNC_ETL_KEY"`
	Subscription []string `help:"Without a file: a subscription that is mapped; once for each." placeholder:"NAME" sep:"none" env:"CONSENTSYNC_ETL_SUBSCRIPTION"`
	UpsertMode   bool     `help:"Without a file: whether profiles are created where there are none, as upsert_mode has it." env:"CONSENTSYNC_ETL_UPSERT_MODE"`
	Out          string   `help:"Where the sample goes, instead of the standard output." placeholder:"FILE" env:"CONSENTSYNC_ETL_OUT"`
}

// Validate is called by the parser.
func (e *etlTemplateCommand) Validate() error {
	byHand := e.Key != "" || len(e.Subscription) > 0 || e.UpsertMode
	switch {
	case e.File != "" && byHand:
		return errors.New("--file: names the integration; leave out --key, --subscription and --upsert-mode")
	case e.File == "" && !byHand:
		return errors.New("--file: say which integration with -f integration.json, or give --key and --subscription")
	}
	return nil
}

// Run writes a sample of the files that bulk loads hand to Actito, and tells
// what has to be set up there for them.
func (e *etlTemplateCommand) Run(ctx context.Context, std streams) error {
	s, err := e.settings(std.in)
	if err != nil {
		return err
	}
	var sample strings.Builder
	load := sampleLoad(s)
	if err := load.WriteText(ctx, &sample); err != nil {
		return err
	}
	if e.Out != "" {
		err = os.WriteFile(e.Out, []byte(sample.String()), 0o600)
	} else {
		_, err = io.WriteString(std.out, sample.String())
	}
	if err != nil {
		return fmt.Errorf("the sample cannot be written: %w", err)
	}
	_, err = io.WriteString(std.err, etlSettings(s, load.Subscriptions))
	return err
}

// settings gives the part of an integration that matters to an ETL.
func (e *etlTemplateCommand) settings(in io.Reader) (store.Settings, error) {
	if e.File == "" {
		return e.byHand()
	}
	name, body, err := readFile(e.File, in)
	if err != nil {
		return store.Settings{}, err
	}
	s, err := integration.ReadSettings(body)
	if err != nil {
		return s, inFile(name, err)
	}
	fields := required(s, "properties.user_unique_key", "mappings")
	maps.Copy(fields, consent.CheckMappings(s.Mappings, nil))
	return s, problems(name+": ", fields)
}

// byHand makes the settings of the flags. Names that differ in case only are
// the same to Actito.
func (e *etlTemplateCommand) byHand() (store.Settings, error) {
	s := store.Settings{UpsertMode: e.UpsertMode, Properties: store.Properties{UserUniqueKey: e.Key}}
	for _, name := range e.Subscription {
		s.Mappings = append(s.Mappings, consent.Mapping{ID: name})
	}
	fields := required(s, "--key", "--subscription")
	for i, name := range e.Subscription {
		same := func(other string) bool { return strings.EqualFold(other, name) }
		switch {
		case strings.TrimSpace(name) == "":
			fields["--subscription"] = "is empty: give the name that Actito shows"
		case slices.ContainsFunc(e.Subscription[:i], same):
			fields["--subscription"] = fmt.Sprintf("%q is given twice", name)
		}
	}
	return s, problems("", fields)
}

// required names what is missing without which there is no file.
func required(s store.Settings, key, subscriptions string) map[string]string {
	fields := map[string]string{}
	if strings.TrimSpace(s.Properties.UserUniqueKey) == "" {
		fields[key] = "is required: the unique attribute by which a profile is found"
	}
	if len(s.Mappings) == 0 {
		fields[subscriptions] = "is required: at least one subscription"
	}
	return fields
}

// problems makes one error of what is wrong, a line for each field.
func problems(where string, fields map[string]string) error {
	if len(fields) == 0 {
		return nil
	}
	var lines []string
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		lines = append(lines, where+field+": "+fields[field])
	}
	return errors.New(strings.Join(lines, "\n"))
}

// sampleLoad is a load of two people who do not exist. Each column holds both
// values, so that whoever sets up the ETL sees what may come.
func sampleLoad(s store.Settings) actito.Load {
	load := actito.Load{KeyAttribute: s.Properties.UserUniqueKey}
	for _, m := range s.Mappings {
		load.Subscriptions = append(load.Subscriptions, m.ID)
	}
	slices.Sort(load.Subscriptions) // as a load has them
	keys := []string{"100001", "100002"}
	if strings.Contains(strings.ToLower(load.KeyAttribute), "mail") {
		keys = []string{"anna@example.com", "ben@example.com"}
	}
	load.Rows = func(yield func(actito.LoadRow, error) bool) {
		for n, key := range keys {
			row := actito.LoadRow{Key: key}
			for i := range load.Subscriptions {
				row.On = append(row.On, (n+i)%2 == 0)
			}
			if !yield(row, nil) {
				return
			}
		}
	}
	return load
}

// etlSettings says in words what the ETL has to be.
func etlSettings(s store.Settings, subscriptions []string) string {
	b := &sheet{width: plainWidth}
	where := ""
	if p := s.Properties; p.TableName != "" {
		where = " of the table " + p.TableName + " in the entity " + p.EntityID
	}
	b.para("Set up one ETL in Actito for bulk loads" + where + ":")
	b.para("")
	b.say("file", "a CSV in a zip (profiles.csv in profiles.zip), UTF-8 without BOM, lines end with CR LF")
	b.say("separator", "comma; a cell that holds one stands in double quotes")
	b.say("header", "the first line, as in the sample")
	b.say("key column", s.Properties.UserUniqueKey+", the unique key by which a profile is found")
	for i, name := range subscriptions {
		label := ""
		if i == 0 {
			label = "columns"
		}
		b.say(label, fmt.Sprintf("%s -> the subscription %s, TRUE or FALSE", actito.SubscriptionColumn(name), name))
	}
	if s.UpsertMode {
		b.say("mode", "create or update, since upsert_mode is on")
	} else {
		b.say("mode", "update only, since upsert_mode is off. Once it is so, properties.etl_updates_only: true may be set: then people "+
			"go by bulk too of whom it is not known whether they have a profile")
	}
	b.say("empty cells", "never occur: every row has a value in every column")
	b.say("size", fmt.Sprintf("at most %d MB a file", actito.MaxLoadBytes/1_000_000))
	b.say("runs", "at most 24 a day for a table, of which at least 2 are left to you. No schedule: each run is started through the API")
	b.say("its id", "goes into properties.etl_id of the integration, which switches the bulk lane on")
	b.para("")
	b.para("A file holds only the columns that its people need: the key, and any of the subscriptions above. The ETL has to take files with " +
		"any subset of these columns, and to leave alone what a file does not have.")
	b.para("That an ETL of Actito does so is an assumption that nobody could check on a real account: try it with a file that lacks a " +
		"column, and if it is refused, or empties the subscription, leave properties.etl_id empty.")
	return b.String()
}
