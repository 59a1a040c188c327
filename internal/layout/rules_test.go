package layout

import "slices"

// module is the path this module's own imports begin with.
const module = "consentsync"

// maxLines is the most a source file may have; generated files and tests are exempt.
const maxLines = 600

// A rule forbids imports. Folders are given from the module's root and stand
// for everything below them. Our own packages are written as folders, those of
// others as import paths.
type rule struct {
	in     []string // folders it binds; none: the whole module
	except []string // folders it does not bind
	tests  bool     // whether it binds test files too
	never  []string // what may not be imported, with everything below it
	why    string   // what a person who broke it is told
}

// anythingButStd, in never, stands for every package outside the standard
// library, save those in the folders that the rule binds.
const anythingButStd = "anything but the standard library"

var (
	engines = []string{"internal/store/sqlite", "internal/store/postgres"}

	// programs are what starts the whole thing: the command, and the two
	// packages that drive it as a user would.
	programs = []string{"cmd", "internal/bench", "internal/e2e"}
)

// rules is the import table. Tests are bound by the rules between layers: a
// test that needs two layers belongs in internal/e2e. They are free to use an
// engine or the simulator where their package's own layer allows it.
var rules = []rule{
	{
		in:    []string{"internal/consent"},
		never: []string{anythingButStd},
		why:   "the domain is pure and imports the standard library only",
	},
	{
		in:    []string{"internal/didomi", "internal/actito", "internal/outbound"},
		tests: true,
		never: []string{"internal/store", "internal/deliver", "internal/ingest", "internal/api", "internal/app"},
		why:   "clients of the outside know nothing of what is done with what they fetch",
	},
	{
		in:    []string{"internal/ingest"},
		tests: true,
		never: []string{"internal/deliver"},
		why:   "accepting an event must not depend on delivering it",
	},
	{
		in:    []string{"internal/ingest", "internal/deliver"},
		tests: true,
		never: []string{"internal/audit"},
		why:   "the audit looks at what was committed; nobody waits for it",
	},
	{
		in:    []string{"internal/deliver"},
		tests: true,
		never: []string{"internal/ingest", "internal/api", "internal/actito", "internal/didomi"},
		why:   "delivery knows only the Target it declares itself",
	},
	{
		except: slices.Concat(engines, programs, []string{"internal/app"}),
		never:  engines,
		why:    "only app chooses an engine; others declare the contract they need",
	},
	{
		in:    []string{"internal/store/sqlite"},
		never: []string{"internal/store/postgres"},
		why:   "the engines do not know each other",
	},
	{
		in:    []string{"internal/store/postgres"},
		never: []string{"internal/store/sqlite"},
		why:   "the engines do not know each other",
	},
	{
		except: slices.Concat(programs, []string{"internal/app"}),
		never:  []string{"internal/app"},
		why:    "app wires everything, so nothing but a program may know it",
	},
	{
		except: slices.Concat(programs, []string{"internal/simulator"}),
		never:  []string{"internal/simulator"},
		why:    "the simulator is for the demo and for tests",
	},
	{
		except: []string{"internal/telemetry"},
		tests:  true,
		never:  []string{"go.opentelemetry.io"},
		why:    "what a span may hold is decided in internal/telemetry alone",
	},
	{
		tests: true,
		never: []string{"github.com/stretchr/testify"},
		why:   "tests use the standard library and go-cmp",
	},
}
