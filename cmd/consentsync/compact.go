package main

import (
	"context"
	"errors"

	"consentsync/internal/app"
)

type compactCommand struct {
	Data string `help:"The data directory; no server may run on it." default:"./data" type:"path" env:"CONSENTSYNC_DATA"`
}

// Help is shown by --help.
func (compactCommand) Help() string {
	return "What is removed is overwritten at once, but the file may keep copies of rows in parts of it that are not used, and does not shrink. " +
		"Afterwards it holds nothing but what there is: run it when people were erased who must not be found by looking into the file itself. " +
		"Meanwhile it needs as much space again. Interrupted, it has changed nothing."
}

// Run compacts a data directory.
func (c *compactCommand) Run(ctx context.Context, std streams) error {
	before, after, err := app.Compact(ctx, c.Data)
	if ctx.Err() != nil {
		return errors.New("interrupted: nothing was changed")
	}
	if err != nil {
		return err
	}
	std.sayf("%s holds nothing but what there is: %s, before %s.\n", c.Data, megabytes(after), megabytes(before))
	return nil
}
