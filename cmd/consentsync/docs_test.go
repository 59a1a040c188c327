package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"consentsync/internal/api"
	"consentsync/internal/app"
	"consentsync/internal/docs"
	"consentsync/internal/doctor"
	"consentsync/internal/store"
)

const root = "../../"

func model(t *testing.T) *kong.Application {
	t.Helper()
	parser, err := kong.New(&commands{}, kong.Name("consentsync"))
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model
}

func apiDocument(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestWrittenDocuments compares the pages that follow from the code with what
// follows, or writes them, which `make docs` does.
func TestWrittenDocuments(t *testing.T) {
	t.Parallel()
	doc := apiDocument(t)
	var secrets []docs.Variable
	for _, s := range app.Secrets {
		secrets = append(secrets, docs.Variable{Name: s.Variable, Help: s.Help})
	}
	configuration, err := docs.Configuration(model(t), "serve", secrets, doc)
	if err != nil {
		t.Fatal(err)
	}
	routes, err := docs.API(doc, func(pattern string) string {
		role, overAll := api.Takes(pattern)
		if overAll {
			return fmt.Sprintf("%s in all organizations (`%s`)", role, store.Everywhere)
		}
		return string(role)
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"docs/configuration.md": configuration, "docs/api.md": routes, "docs/assumptions.md": doctor.Assumptions()} {
		if os.Getenv("CONSENTSYNC_WRITE_DOCS") != "" {
			if err := os.WriteFile(root+name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(root + name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is not as the code is: run make docs (-code +page):\n%.4000s", name, diff)
		}
	}
}

// readable are the pages that people read, by name.
func readable(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob(root + "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, name := range append(names, root+"README.md", root+"CONTRIBUTING.md", root+"SECURITY.md", root+"CHANGELOG.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found[strings.TrimPrefix(name, root)] = string(text)
	}
	if len(found) < 20 {
		t.Fatalf("only %d pages were found", len(found))
	}
	return found
}

// said gives what a page says in code: the lines of its commands, and what
// stands between backticks.
func said(t *testing.T, name, text string) []string {
	t.Helper()
	fences, err := docs.Fences(name, text)
	if err != nil {
		t.Fatal(err)
	}
	all := docs.Spans(text)
	for _, f := range fences {
		if f.Language() == "sh" {
			all = append(all, strings.Split(strings.ReplaceAll(f.Text, "\\\n", " "), "\n")...)
		}
	}
	return all
}

// Whatever a page says of a command, a flag, a variable, a target of make, a
// script or a route is there, whether or not a test runs it.
func TestWhatDocumentsNameIsThere(t *testing.T) {
	t.Parallel()
	program := model(t)
	flags, variables := map[string]bool{"--read-only": true}, map[string]bool{"CONSENTSYNC_SCREENS": true} // of docker, and of make screens
	for _, c := range program.Leaves(false) {
		for _, f := range c.Flags {
			flags["--"+f.Name] = true
			for _, v := range f.Envs {
				variables[v] = true
			}
		}
	}
	for _, s := range app.Secrets {
		variables[s.Variable] = true
	}
	makefile, err := os.ReadFile(root + "Makefile")
	if err != nil {
		t.Fatal(err)
	}
	routes := apiDocument(t)
	var (
		variable = regexp.MustCompile(`CONSENTSYNC_[A-Z_]*[A-Z]`)
		flag     = regexp.MustCompile(`^--[a-z][a-z-]*`)
		target   = regexp.MustCompile(`^make ([a-z-]+)`)
		script   = regexp.MustCompile(`^scripts/[a-z-]+`)
		call     = regexp.MustCompile(`^(GET|POST|PUT|PATCH|DELETE) (…?/[^ ?\x60]*)`)
	)
	checked := 0
	for name, text := range readable(t) {
		for _, v := range variable.FindAllString(text, -1) {
			if !variables[v] {
				t.Errorf("%s: there is no variable %s", name, v)
			}
		}
		for _, s := range said(t, name, text) {
			s = strings.TrimSpace(s)
			if f := flag.FindString(s); f != "" && !flags[f] {
				t.Errorf("%s: no command has the flag %s", name, f)
			}
			if m := target.FindStringSubmatch(s); m != nil && !regexp.MustCompile(`(?m)^`+m[1]+`:`).Match(makefile) {
				t.Errorf("%s: there is no target for %s", name, s)
			}
			if f := script.FindString(s); f != "" {
				if _, err := os.Stat(root + f); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if m := call.FindStringSubmatch(s); m != nil && ours(m[2]) && !hasRoute(routes, m[1], m[2]) {
				t.Errorf("%s: there is no route %s %s", name, m[1], m[2])
			}
			for _, words := range calls(s) {
				checked++
				if err := understood(program.Node, words); err != nil {
					t.Errorf("%s: %s: %v", name, s, err)
				}
			}
		}
	}
	if checked < 40 {
		t.Errorf("only %d commands were found", checked)
	}
}

// ours tells whether an address is one of this program's, not of Didomi's or
// Actito's.
func ours(path string) bool {
	return slices.ContainsFunc([]string{"/v1/", "/oauth/", "/webhooks/didomi", "/webhooks/actito", "/healthz", "/readyz", "/metrics", "/openapi.yaml", "…/"}, func(prefix string) bool {
		return strings.HasPrefix(path, prefix)
	})
}

// hasRoute tells whether there is a route of that address, of which "…" may
// leave out the beginning, and whose parts in braces stand for anything.
func hasRoute(doc *openapi3.T, method, path string) bool {
	rest, cut := strings.CutPrefix(path, "…")
	parts := strings.Split(strings.Trim(rest, "/"), "/")
	for known, item := range doc.Paths.Map() {
		have := strings.Split(strings.Trim(known, "/"), "/")
		if cut && len(have) > len(parts) {
			have = have[len(have)-len(parts):]
		}
		if item.GetOperation(method) != nil && slices.EqualFunc(have, parts, func(h, p string) bool {
			return h == p || strings.HasPrefix(h, "{") && (!cut || strings.HasPrefix(p, "{"))
		}) {
			return true
		}
	}
	return false
}

var (
	shellWord = regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`)
	endsCall  = regexp.MustCompile(`^([|>&;#]|2>|&&)`)
)

// calls gives the words of each call of the program in a line.
func calls(line string) [][]string {
	var all [][]string
	var one []string
	calling, first := false, true
	for _, word := range append(shellWord.FindAllString(line, -1), ";") {
		switch {
		case endsCall.MatchString(word):
			if calling {
				all = append(all, one)
			}
			calling, first, one = false, true, nil
		case calling:
			if word != "…" { // and so on
				one = append(one, word)
			}
		default:
			calling = first && (word == "consentsync" || word == "bin/consentsync")
			first = false
		}
	}
	return all
}

// understood tells whether the program has the command that the words call, and
// whether that has the flags.
func understood(node *kong.Node, words []string) error {
	for i := 0; i < len(words); i++ {
		word := words[i]
		name, _, given := strings.Cut(word, "=")
		switch {
		case strings.HasPrefix(word, "-") && word != "-":
			if name == "--help" {
				continue
			}
			at := slices.IndexFunc(node.Flags, func(f *kong.Flag) bool {
				return name == "--"+f.Name || f.Short != 0 && name == "-"+string(f.Short)
			})
			if at < 0 {
				return fmt.Errorf("there is no flag %s", name)
			}
			if !given && !node.Flags[at].IsBool() {
				i++ // its value
			}
		case len(node.Children) > 0:
			at := slices.IndexFunc(node.Children, func(c *kong.Node) bool { return c.Name == word })
			if at < 0 {
				return fmt.Errorf("there is no command %q", word)
			}
			node = node.Children[at]
		case len(node.Positional) == 0:
			return fmt.Errorf("%s takes no %q", node.Name, word)
		}
	}
	return nil
}

// Links between documents lead somewhere, to a heading where they say so.
func TestLinksOfDocuments(t *testing.T) {
	t.Parallel()
	all := readable(t)
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	checked := 0
	for name, text := range all {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			to, heading, _ := strings.Cut(m[1], "#")
			if strings.Contains(m[1], "://") {
				continue
			}
			checked++
			target := name
			if to != "" {
				target = filepath.Join(filepath.Dir(name), to)
			}
			if _, err := os.Stat(root + target); err != nil {
				t.Errorf("%s: %s: %v", name, m[1], err)
			} else if heading != "" && !slices.Contains(anchors(all[target]), heading) {
				t.Errorf("%s: %s has no heading #%s", name, target, heading)
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d links were found", checked)
	}
}

func anchors(text string) []string {
	var all []string
	for line := range strings.SplitSeq(text, "\n") {
		if heading := strings.TrimLeft(line, "#"); heading != line {
			all = append(all, docs.Anchor(heading))
		}
	}
	return all
}

// The environment of the unit, as the example has it, is one that serve takes.
// The test sets variables, so that it cannot run beside others.
func TestExampleOfAnEnvironment(t *testing.T) {
	text, err := os.ReadFile(root + "examples/consentsync.env")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, c := range model(t).Children {
		if c.Name == "serve" {
			for _, f := range c.Flags {
				for _, v := range f.Envs {
					known[v] = true
				}
			}
		}
	}
	for _, s := range app.Secrets {
		known[s.Variable] = true
	}
	for _, m := range regexp.MustCompile(`(?m)^#?(CONSENTSYNC_[A-Z_]+)=(.*)$`).FindAllStringSubmatch(string(text), -1) {
		if !known[m[1]] {
			t.Errorf("serve has no variable %s", m[1])
		}
		t.Setenv(m[1], m[2])
	}
	parser, err := kong.New(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"serve"}); err != nil {
		t.Error(err)
	}
}
