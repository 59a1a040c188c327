package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"consentsync/internal/app"
)

type restoreCommand struct {
	From     string `help:"The file that consentsync backup has made. Without it the database is only marked as restored, for one that was brought back by other means." placeholder:"FILE" type:"path" env:"CONSENTSYNC_RESTORE_FROM"`
	Data     string `help:"The data directory, in which there is no database yet." type:"path" placeholder:"DIR" env:"CONSENTSYNC_RESTORE_DATA"`
	Database string `help:"PostgreSQL address of a database that pg_restore or the like has brought back, to be marked as restored before the first start." placeholder:"postgres://..." env:"CONSENTSYNC_RESTORE_DATABASE"`
}

// Help is shown by --help.
func (restoreCommand) Help() string {
	return "What happened after the backup is not in it: people may have withdrawn, and Actito may know. So every integration is paused, with a " +
		"reason that says what to do, and after a resume grants from before the restore are held until somebody says yes. The master key that " +
		"the database was made with has to be there: in CONSENTSYNC_MASTER_KEY, or as master-key in the data directory."
}

func (r *restoreCommand) config() app.RestoreConfig {
	return app.RestoreConfig{File: r.From, Data: r.Data, Database: r.Database, MasterKey: os.Getenv("CONSENTSYNC_MASTER_KEY")}
}

// Validate is called by the parser.
func (r *restoreCommand) Validate() error {
	cfg := r.config()
	return cfg.Validate()
}

// Run brings a backup back.
func (r *restoreCommand) Run(ctx context.Context, std streams) error {
	done, err := app.Restore(ctx, r.config())
	if ctx.Err() != nil {
		return errors.New("interrupted: nothing was restored")
	}
	if err != nil {
		return err
	}
	text := ""
	if r.From != "" {
		text = contentsText(done.Contents) + "\n"
	}
	b := &sheet{width: plainWidth}
	b.para(fmt.Sprintf("The database is there, and marked as restored: %s paused.", of(done.Paused, "integration is", "integrations are")))
	if !done.Opened {
		b.para("There is no master key yet, so whether it opens the database was not checked: put the one that the database was made with into " +
			"CONSENTSYNC_MASTER_KEY, or as master-key, mode 0600, into the data directory, before you start. The same goes for the administrator's token (CONSENTSYNC_ADMIN_TOKEN, admin-token), if it is to stay the same.")
	}
	b.para("Before you resume an integration (POST /v1/marketplace/integrations/ID/resume), read \"After a restore\" in docs/operations.md: " +
		"make sure that no other server delivers for it, and have what people chose since the backup sent again. Grants from before the restore " +
		"stay held until a resume with approve_grants.")
	_, err = io.WriteString(std.out, text+b.String())
	return err
}
