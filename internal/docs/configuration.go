package docs

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/getkin/kin-openapi/openapi3"
)

// Variable is a setting that is taken from the environment alone.
type Variable struct{ Name, Help string }

// Configuration writes docs/configuration.md: every flag of every command, what
// only the environment holds, and every setting that stands in the body of a
// request. server is the command that takes the secrets.
func Configuration(program *kong.Application, server string, secrets []Variable, doc *openapi3.T) (string, error) {
	w := &configurationPage{schemas: schemas{home: "api.md"}, program: program.Name, doc: doc}
	w.line("# Configuration\n")
	w.line(written, "from the flags of the program and the [OpenAPI document](api.md)")
	w.para("What is wrong is refused at start, or with the request, and the message names the setting and says what to do. " +
		"Files to begin with are in [examples](../examples), and tests load them.")
	w.para("A flag wins over its variable. Durations are written like `90s`, `30m` or `1h30m`. Of a list, the entries are apart by commas, unless it says otherwise.")
	commands := program.Leaves(true)
	for _, c := range commands {
		if c.Name == server {
			w.server(c, secrets)
		}
	}
	w.settings()
	w.line("## The other commands\n")
	for _, c := range commands {
		if c.Name != server {
			w.command(c)
		}
	}
	return strings.TrimRight(w.String(), "\n") + "\n", w.failed
}

type configurationPage struct {
	page
	schemas
	program string
	doc     *openapi3.T
	failed  error
}

func (w *configurationPage) server(c *kong.Node, secrets []Variable) {
	w.line("## The server\n")
	w.para(code(w.program+" "+c.Path()) + ": " + c.Help)
	w.flags(c)
	w.line("### Secrets\n")
	w.para("These are in the environment alone, since others can see a command line.")
	var rows [][]string
	for _, s := range secrets {
		rows = append(rows, []string{code(s.Name), s.Help})
	}
	w.table([]string{"variable", "what it is"}, rows)
}

func (w *configurationPage) command(c *kong.Node) {
	w.line("### `%s %s`\n", w.program, c.Path())
	w.para(c.Help + " " + c.Detail)
	var rows [][]string
	for _, p := range c.Positional {
		rows = append(rows, []string{code(p.Name), valueKind(p), yes(p.Required), p.Help})
	}
	w.table([]string{"argument", "type", "required", "what it is"}, rows)
	w.flags(c)
}

// byDefault is how the help of a flag says what holds without it, where that is
// no value.
var byDefault = regexp.MustCompile(` *\(default: ([^)]*)\)$`)

func (w *configurationPage) flags(c *kong.Node) {
	var rows [][]string
	for _, f := range c.Flags {
		if f.Hidden || f.Name == "help" {
			continue
		}
		flag := code(strings.TrimSpace("--" + f.Name + " " + f.Tag.PlaceHolder))
		if f.Short != 0 {
			flag += ", " + code("-"+string(f.Short))
		}
		help, without := f.Help, ""
		switch m := byDefault.FindStringSubmatch(help); {
		case m != nil:
			help, without = byDefault.ReplaceAllString(help, ""), m[1]
		case f.Required:
			without = "required"
		case f.HasDefault && f.Default != "":
			without = code(f.Default)
		case f.IsBool():
			without = "off"
		}
		rows = append(rows, []string{flag, codes(f.Envs), valueKind(f.Value), without, help})
	}
	w.table([]string{"flag", "variable", "type", "default", "what it does"}, rows)
}

func codes(words []string) string {
	var all []string
	for _, word := range words {
		all = append(all, code(word))
	}
	return strings.Join(all, ", ")
}

// valueKind tells in words what a flag or an argument takes.
func valueKind(v *kong.Value) string {
	if v.Enum != "" {
		var words []string
		for _, word := range v.EnumSlice() {
			words = append(words, code(word))
		}
		return alternatives(words)
	}
	kind := func(t reflect.Type) string {
		switch {
		case t == reflect.TypeFor[time.Duration]():
			return "duration"
		case t.Kind() == reflect.Bool:
			return "switch"
		case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
			return "whole number"
		case t.Kind() == reflect.Float64:
			return "number"
		}
		return "text"
	}
	t := v.Target.Type()
	if t.Kind() == reflect.Slice {
		return "list of " + kind(t.Elem()) + "s"
	}
	if v.Tag != nil && v.Tag.Type == "path" {
		return "path"
	}
	return kind(t)
}

// settings writes the tables of what is set by requests.
func (w *configurationPage) settings() {
	w.line("## An integration\n")
	w.para("The body of `POST /v1/marketplace/integrations`, a file for `consentsync apply`, or the form of the [console](console.md). " +
		"A change takes the same fields, of which those that are left out stay as they are, or get their default again with `apply`.")
	w.object("IntegrationInput", "")
	w.part("AuthenticationInput", "authentication")
	w.part("PropertiesInput", "properties")
	w.part("Mapping", "mappings[]")
	w.para("Every path that `value` may be is in [mapping.md](mapping.md).")
	w.line("## Messages\n")
	w.para("The body of `POST /v1/marketplace/emails`, for each type of message: see [emailing.md](emailing.md).")
	w.object("EmailInput", "")
	w.part("EmailProperties", "properties")
	w.line("## An organization\n")
	w.para("The body of `PATCH /v1/organizations/{organization_id}/privacy`: see [audit.md](audit.md).")
	w.object("PrivacyChange", "")
}

func (w *configurationPage) part(schema, path string) {
	w.line("### `%s`\n", path)
	w.object(schema, path+".")
}

func (w *configurationPage) object(schema, prefix string) {
	ref := w.doc.Components.Schemas[schema]
	if ref == nil {
		w.failed = fmt.Errorf("the OpenAPI document has no schema %s", schema)
		return
	}
	w.para(ref.Value.Description)
	w.table([]string{"setting", "type", "required", "what it does"}, w.fields(prefix, ref))
}
