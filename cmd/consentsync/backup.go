package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"consentsync/internal/app"
	"consentsync/internal/store/sqlite"
)

type backupCommand struct {
	Data string `help:"The data directory; a server may run on it." default:"./data" type:"path" env:"CONSENTSYNC_DATA"`
	To   string `help:"The new file that the backup goes into." placeholder:"FILE" type:"path" env:"CONSENTSYNC_BACKUP_TO"`
}

// Help is shown by --help.
func (backupCommand) Help() string {
	return "The backup is what the database holds at one moment, verified and on disk when the command has ended. It holds personal data and " +
		"is readable to its owner alone. Without the master key nobody can use it: keep a copy of the key apart from it. For PostgreSQL use its " +
		"own means, such as pg_dump: see docs/operations.md."
}

// Validate is called by the parser.
func (b *backupCommand) Validate() error {
	if b.To == "" {
		return errors.New("--to: say into which file the backup goes")
	}
	return nil
}

// Run makes a backup of a data directory.
func (b *backupCommand) Run(ctx context.Context, std streams) error {
	c, err := app.Backup(ctx, b.Data, b.To)
	if ctx.Err() != nil {
		return errors.New("interrupted: no backup was made")
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(std.out, contentsText(c)+fmt.Sprintf("\n%s is whole and verified (%s, version %d of the schema).\n"+
		"It is of no use without the master key, which is not in it: keep a copy of that apart.\n", b.To, megabytes(c.Bytes), c.Version))
	return err
}

// contentsText tells what a backup holds.
func contentsText(c sqlite.Contents) string {
	rows := [][]string{{"table", "rows"}}
	for _, t := range c.Rows {
		rows = append(rows, []string{t.Table, count(t.Rows)})
	}
	return strings.Join(aligned(rows), "\n") + "\n"
}

func megabytes(n int64) string { return count((n+999_999)/1_000_000) + " MB" }
