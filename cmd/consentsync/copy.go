package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"consentsync/internal/app"
	"consentsync/internal/store/transfer"
)

type copyCommand struct {
	From string `help:"What is copied: a data directory, or a PostgreSQL address. No server may run on it." placeholder:"DIR|postgres://..." env:"CONSENTSYNC_COPY_FROM"`
	To   string `help:"Where to: a PostgreSQL address with an empty database, or an empty directory." placeholder:"postgres://...|DIR" env:"CONSENTSYNC_COPY_TO"`
}

// Help is shown by --help.
func (copyCommand) Help() string {
	return "Stop every server on the source first. A copy that was interrupted, however, goes on when the same command is run again; " +
		"no server starts on the target before the copy is complete. In the end both sides are read anew and compared, and the rows and " +
		"the hash of each table are printed. The master key is read from CONSENTSYNC_MASTER_KEY or from the data directory, to check that " +
		"the copy can be opened."
}

func (c *copyCommand) config() app.CopyConfig {
	return app.CopyConfig{From: c.From, To: c.To, MasterKey: os.Getenv("CONSENTSYNC_MASTER_KEY")}
}

// Validate is called by the parser.
func (c *copyCommand) Validate() error {
	cfg := c.config()
	return cfg.Validate()
}

// Run copies an installation from one engine to the other.
func (c *copyCommand) Run(ctx context.Context, std streams) error {
	cfg := c.config()
	columns, _ := terminal(std.err)
	line := &progressLine{statusLine: statusLine{out: std.err, columns: columns, now: time.Now}}
	cfg.Report = line.show
	result, err := app.Copy(ctx, cfg)
	line.end()
	if ctx.Err() != nil {
		return errors.New("interrupted: run the same command again, and the copy goes on where it was")
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(std.out, copyText(result)+nextSteps(cfg))
	return err
}

// copyText tells what was copied.
func copyText(r *transfer.Result) string {
	var b strings.Builder
	rows := [][]string{{"table", "rows", "hash (the same on both sides)"}}
	for _, s := range r.Tables {
		rows = append(rows, []string{s.Table, count(s.Rows), s.Hash.String()})
	}
	for _, line := range aligned(rows) {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintf(&b, "\nCopied and verified: %s.\n", of(r.Rows(), "row", "rows"))
	if r.Resumed > 0 {
		fmt.Fprintf(&b, "%s of them had been copied before an interruption.\n", count(r.Resumed))
	}
	if r.Replaced > 0 {
		fmt.Fprintf(&b, "%s held bytes that PostgreSQL cannot hold: there are replacement characters instead.\n", of(r.Replaced, "text", "texts"))
	}
	return b.String()
}

// nextSteps says what is left to the user: the secrets that are in no database,
// and that one of the two must stay stopped.
func nextSteps(c app.CopyConfig) string {
	dir, start := c.Directory(), "--data "+c.To
	key := "Have the master key and the administrator's token of the nodes in the new server's environment (CONSENTSYNC_MASTER_KEY, CONSENTSYNC_ADMIN_TOKEN), or as the files master-key and admin-token, mode 0600, in " + dir + "."
	if dir == c.From {
		start = "--database ADDRESS" // without the password that may stand in it
		key = "The master key and the administrator's token are in no database: give every node CONSENTSYNC_MASTER_KEY and CONSENTSYNC_ADMIN_TOKEN, which are the content of master-key and admin-token in " + dir + " unless you have set them before."
	}
	b := &sheet{width: plainWidth}
	b.para("")
	b.para("What is left to you:")
	b.para("1. " + key)
	b.para("2. Start: consentsync serve " + start)
	b.para("3. Keep the source stopped, and remove it once you are content: two servers would both deliver, and undo each other's work.")
	return b.String()
}

// progressLine tells how far a copy is.
type progressLine struct {
	statusLine
	verifying bool
	began     time.Time
	first     int64 // rows that were there when the phase began
}

func (l *progressLine) show(p transfer.Progress) {
	now := l.now()
	if l.began.IsZero() || p.Verifying != l.verifying {
		l.verifying, l.began, l.first, l.shown = p.Verifying, now, p.Done, time.Time{}
	}
	l.say(func() string { return progressText(p, p.Done-l.first, now.Sub(l.began)) })
}

// progressText writes how far a copy is; fresh rows took some time.
func progressText(p transfer.Progress, fresh int64, took time.Duration) string {
	verb := "copying"
	if p.Verifying {
		verb = "verifying"
	}
	text := fmt.Sprintf("%s %s: %s of %s (%s)", verb, p.Table, count(p.Done), of(p.All, "row", "rows"), percent(p.Done, p.All))
	if fresh <= 0 || took < time.Second {
		return text
	}
	rate := float64(fresh) / took.Seconds()
	return fmt.Sprintf("%s, %s a second, %s left", text, count(int64(rate)), spell(seconds(float64(p.All-p.Done)/rate)))
}
