package layout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// TestLayout holds this module to the rules.
func TestLayout(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	problems, err := check(os.DirFS(root), rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Error(problem)
	}
}

// moduleRoot finds the folder of the module's go.mod, from the test's own upwards.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module "+module+"\n") {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatalf("no go.mod of module %s above the test", module)
		}
		dir = parent
	}
}

// TestCheck shows that each rule fails when it is broken, and only then.
func TestCheck(t *testing.T) {
	t.Parallel()

	const doc = "// Package x is here.\npackage x\n"
	imports := func(path string) string { return doc + "import _ \"" + path + "\"\n" }
	long := doc + strings.Repeat("\n", maxLines)

	tests := []struct {
		name, file, text string
		want             string // in the one problem; none when empty
	}{
		{"consent, standard library", "internal/consent/x.go", imports("encoding/json"), ""},
		{"consent, third party", "internal/consent/x.go", imports("golang.org/x/text/cases"), `x.go: imports "golang.org/x/text/cases"`},
		{"consent, our own", "internal/consent/x.go", imports("consentsync/internal/telemetry"), "standard library only"},
		{"consent, cgo", "internal/consent/x.go", imports("C"), `imports "C"`},
		{"consent, its own folder", "internal/consent/x.go", imports("consentsync/internal/consent/sub"), ""},
		{"below consent, consent", "internal/consent/sub/x.go", imports("consentsync/internal/consent"), ""},
		{"consent, a test", "internal/consent/x_test.go", imports("pgregory.net/rapid"), ""},

		{"didomi, store", "internal/didomi/x.go", imports("consentsync/internal/store"), `imports "consentsync/internal/store"`},
		{"didomi, a name that only begins alike", "internal/didomi/x.go", imports("consentsync/internal/storage"), ""},
		{"actito, below deliver", "internal/actito/x.go", imports("consentsync/internal/deliver/plan"), "clients of the outside"},
		{"actito, a test", "internal/actito/x_test.go", imports("consentsync/internal/ingest"), "clients of the outside"},
		{"actito, consent", "internal/actito/x.go", imports("consentsync/internal/consent"), ""},
		{"outbound, api", "internal/outbound/x.go", imports("consentsync/internal/api"), "clients of the outside"},

		{"ingest, deliver", "internal/ingest/x.go", imports("consentsync/internal/deliver"), "accepting an event"},
		{"ingest, audit", "internal/ingest/x.go", imports("consentsync/internal/audit"), "nobody waits for it"},
		{"ingest, didomi", "internal/ingest/x.go", imports("consentsync/internal/didomi"), ""},
		{"ingest, an engine", "internal/ingest/x.go", imports("consentsync/internal/store/sqlite"), "only app chooses an engine"},
		{"ingest, an engine in a test", "internal/ingest/x_test.go", imports("consentsync/internal/store/sqlite"), ""},

		{"deliver, actito", "internal/deliver/x.go", imports("consentsync/internal/actito"), "only the Target"},
		{"below deliver, didomi", "internal/deliver/plan/x.go", imports("consentsync/internal/didomi"), "only the Target"},
		{"deliver, an engine", "internal/deliver/x.go", imports("consentsync/internal/store/postgres"), "only app chooses an engine"},
		{"deliver, its own folder", "internal/deliver/x.go", imports("consentsync/internal/deliver/plan"), ""},

		{"app, an engine", "internal/app/x.go", imports("consentsync/internal/store/postgres"), ""},
		{"cmd, an engine", "cmd/consentsync/x.go", imports("consentsync/internal/store/postgres"), ""},
		{"one engine, the other", "internal/store/sqlite/x.go", imports("consentsync/internal/store/postgres"), "do not know each other"},
		{"storetest, an engine", "internal/store/storetest/x.go", imports("consentsync/internal/store/sqlite"), "only app chooses an engine"},
		{"console, app", "internal/console/x.go", imports("consentsync/internal/app"), "app wires everything"},
		{"cmd, app", "cmd/consentsync/x.go", imports("consentsync/internal/app"), ""},

		{"app, simulator", "internal/app/x.go", imports("consentsync/internal/simulator"), "the simulator is for"},
		{"cmd, simulator", "cmd/consentsync/x.go", imports("consentsync/internal/simulator"), ""},
		{"a test, simulator", "internal/deliver/x_test.go", imports("consentsync/internal/simulator"), ""},
		{"testify in a test", "internal/api/x_test.go", imports("github.com/stretchr/testify/require"), "go-cmp"},
		{"whatever the build tags", "internal/didomi/x.go", "//go:build plan9\n\n" + imports("consentsync/internal/store"), "clients of the outside"},

		{"a long file", "internal/api/x.go", long, "internal/api/x.go: 602 lines"},
		{"a long test", "internal/api/x_test.go", long, ""},
		{"a long generated file", "internal/api/x.go", "// Code generated by x. DO NOT EDIT.\n\n" + long, ""},
		{"no package comment", "internal/api/x.go", "package x\n", "internal/api: package x has no package comment"},
		{"a comment that is none", "internal/api/x.go", "// Helpers.\npackage x\n", "no package comment"},
		{"a command's comment", "cmd/consentsync/x.go", "// Consentsync keeps two ends alike.\npackage main\n", ""},
		{"a folder of tests, with comment", "internal/e2e/x_test.go", "// Package e2e runs it all.\npackage e2e_test\n", ""},
		{"a folder of tests, without", "internal/e2e/x_test.go", "package e2e\n", "no package comment"},

		{"test data", "internal/api/testdata/x.go", "package x\n", ""},
		{"another module", "tools/x.go", "package x\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			problems, err := check(fstest.MapFS{
				tt.file:        {Data: []byte(tt.text)},
				"tools/go.mod": {Data: []byte("module consentsync/tools\n")},
			}, rules)
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" {
				if len(problems) > 0 {
					t.Errorf("problems %q, want none", problems)
				}
				return
			}
			if len(problems) != 1 || !strings.Contains(problems[0], tt.want) {
				t.Errorf("problems %q, want one with %q", problems, tt.want)
			}
		})
	}
}

// TestCheckNothing shows that a module without packages is no problem: the
// table names some before they exist.
func TestCheckNothing(t *testing.T) {
	t.Parallel()
	problems, err := check(fstest.MapFS{}, rules)
	if err != nil || len(problems) > 0 {
		t.Errorf("check of an empty module: %q, %v; want nothing", problems, err)
	}
}
