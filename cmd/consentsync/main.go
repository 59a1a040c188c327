// Command consentsync keeps Actito profiles in agreement with the preferences
// collected in Didomi.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	_ "golang.org/x/crypto/x509roots/fallback" // where the system has no certificates, as in an image from scratch
)

// version and commit are set by the linker.
var (
	version = "dev"
	commit  = ""
)

type commands struct {
	Serve       serveCommand       `cmd:"" help:"Take webhooks of Didomi and deliver to Actito."`
	Doctor      doctorCommand      `cmd:"" help:"Say what is wrong with an installation and what to do, whether its server runs or not."`
	Status      statusCommand      `cmd:"" help:"Show what is due on a running server, and how it goes."`
	Apply       applyCommand       `cmd:"" help:"Make an integration what a file says, after showing what would differ and follow."`
	Simulate    simulateCommand    `cmd:"" help:"Say what an integration would make of events in a file, with neither a server nor Actito."`
	Import      importCommand      `cmd:"" help:"Take in what Didomi exports, or files of events, through a running server."`
	CatchUp     catchUpCommand     `cmd:"" name:"catch-up" help:"Have a running server fetch from Didomi what it may have missed."`
	Reconcile   reconcileCommand   `cmd:"" help:"Compare Actito's export of a table with what it should hold, through a running server."`
	ETLTemplate etlTemplateCommand `cmd:"" name:"etl-template" help:"Say what has to be set up in Actito for bulk loads, with a sample file."`
	Keys        keysCommand        `cmd:"" help:"Keys of the API, and of the secrets at rest."`
	Copy        copyCommand        `cmd:"" help:"Move everything from a data directory to PostgreSQL, or back."`
	Backup      backupCommand      `cmd:"" help:"Back up a data directory, also while a server runs on it."`
	Restore     restoreCommand     `cmd:"" help:"Bring a backup back, with every integration paused."`
	Compact     compactCommand     `cmd:"" help:"Write the database of a data directory anew, without traces of what was removed."`
	Audit       auditCommand       `cmd:"" help:"Export and verify the audit chain."`
	Demo        demoCommand        `cmd:"" help:"Run everything with both ends simulated and traffic flowing."`
	Simulator   simulatorCommand   `cmd:"" help:"Run a simulated Actito to try a configuration against."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// sayf writes to the output. Where nobody reads it any more there is nobody to
// be told.
func (s streams) sayf(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format, args...) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// run executes one command and gives the exit code: 0 for success, 1 when it
// failed, 2 when it was called wrongly.
func run(ctx context.Context, args []string, std streams) int {
	var c commands
	complain := func(words ...any) { _, _ = fmt.Fprintln(std.err, words...) }
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("consentsync"),
		kong.Description("Keeps Actito profiles in agreement with the preferences collected in Didomi.\n\n"+
			"Every flag of serve can also be set as an environment variable CONSENTSYNC_<FLAG>; the help of the other commands names theirs. "+
			"CONSENTSYNC_ADMIN_TOKEN sets the platform administrator's token and CONSENTSYNC_MASTER_KEY the key that protects the secrets; "+
			"when unset, both are made at first start and kept in the data directory."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(std),
		kong.Writers(std.out, std.err),
		kong.Exit(func(code int) { exited = code }),
	)
	if err != nil {
		complain("consentsync:", err)
		return 1
	}
	k, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		complain("consentsync:", err)
		complain("Run 'consentsync --help' for what there is.")
		return 2
	}
	err = k.Run()
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return 0
	case misused(err):
		complain("consentsync:", err)
		return 2
	}
	complain("consentsync:", err)
	return 1
}
