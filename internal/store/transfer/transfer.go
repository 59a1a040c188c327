// Package transfer copies an installation from one database into another, of
// whatever engine.
//
// It guarantees that the target ends up with every row of store.Tables as the
// source has it, or with a mark that keeps servers from starting on it: rows and
// the note of how far the copy is are written in one transaction, so that after
// a crash at any moment it goes on where it was; and the mark goes only when
// both sides, read anew, have the same counts and hashes. The source is only
// read. Memory is bounded, however large the tables are.
package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"consentsync/internal/store"
)

// Database is what a copy needs of an engine, which has to be opened so that
// nobody else can start on it.
type Database interface {
	// Idle fails while a server runs on the database, with what to do.
	Idle(ctx context.Context) error
	CountRows(ctx context.Context, t *store.Table) (int64, error)
	ReadRows(ctx context.Context, t *store.Table, after []any, limit int) ([]store.CopyRow, error)
	CopyState(ctx context.Context) (*store.CopyState, error)
	BeginCopy(ctx context.Context, source string) error
	WriteRows(ctx context.Context, t *store.Table, rows []store.CopyRow, s store.CopyState) error
	EndCopy(ctx context.Context) error
}

// Progress is how far a copy is.
type Progress struct {
	Verifying bool // the rows are there, and both sides are read
	Table     string
	Done, All int64 // rows
}

// Options are what Copy needs besides the databases.
type Options struct {
	// PageRows is the most rows of a transaction; zero is 2000.
	PageRows int
	// Report is called after every page; nil for nobody.
	Report func(Progress)
}

const usualPageRows = 2000

// Result is what was copied.
type Result struct {
	Tables []Sum
	// Resumed is how many rows an earlier attempt had copied already.
	Resumed int64
	// Replaced counts the texts with bytes that PostgreSQL cannot hold. They are
	// what its engine makes of them.
	Replaced int64
}

// Rows counts those of all tables.
func (r *Result) Rows() (n int64) {
	for _, s := range r.Tables {
		n += s.Rows
	}
	return n
}

// Copy copies all of one database into the other, which is empty or holds the
// beginning of the same copy.
func Copy(ctx context.Context, from, to Database, o Options) (*Result, error) {
	if o.PageRows == 0 {
		o.PageRows = usualPageRows
	}
	if o.Report == nil {
		o.Report = func(Progress) {}
	}
	c := &copying{from: from, to: to, Options: o}
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	for i := range store.Tables {
		if err := c.table(ctx, &store.Tables[i]); err != nil {
			return nil, fmt.Errorf("copying %s: %w", store.Tables[i].Name, err)
		}
	}
	if err := c.verify(ctx); err != nil {
		return nil, err
	}
	if err := from.Idle(ctx); err != nil {
		return nil, fmt.Errorf("the source was used during the copy: %w", err)
	}
	return &c.result, to.EndCopy(ctx)
}

type copying struct {
	Options
	from, to Database
	state    store.CopyState
	all      int64 // rows of the source
	result   Result
}

// begin looks whether the copy can be made, and where it goes on.
func (c *copying) begin(ctx context.Context) error {
	switch s, err := c.from.CopyState(ctx); {
	case err != nil:
		return fmt.Errorf("the source cannot be read: %w", err)
	case s != nil:
		return errors.New("the source is an unfinished copy itself: finish that first")
	}
	if err := c.from.Idle(ctx); err != nil {
		return fmt.Errorf("the source is in use: %w", err)
	}
	if err := c.to.Idle(ctx); err != nil {
		return fmt.Errorf("the target is in use: %w", err)
	}
	source, err := identity(ctx, c.from)
	if err != nil {
		return err
	}
	s, err := c.to.CopyState(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("the target cannot be read: %w", err)
	case s == nil:
		s = &store.CopyState{Source: source}
		if err := c.to.BeginCopy(ctx, source); err != nil {
			if there, _ := identity(ctx, c.to); there == source {
				return errors.New("the target holds a complete copy of this installation already: start the server on it, or empty it to copy again")
			}
			return fmt.Errorf("the target cannot take the copy: %w", err)
		}
	case s.Source != source:
		return errors.New("the target holds an unfinished copy of another installation: empty it, or give another target")
	}
	c.state, c.result.Resumed = *s, s.Rows
	for i := range store.Tables {
		n, err := c.from.CountRows(ctx, &store.Tables[i])
		if err != nil {
			return fmt.Errorf("counting %s: %w", store.Tables[i].Name, err)
		}
		c.all += n
	}
	return nil
}

// identity names an installation: by its keys, which no other has.
func identity(ctx context.Context, d Database) (string, error) {
	keys, err := d.ReadRows(ctx, &store.Tables[0], nil, 100)
	if err != nil {
		return "", fmt.Errorf("the source cannot be read: %w", err)
	}
	if len(keys) == 0 {
		return "", errors.New("the source is empty: no server was ever started on it")
	}
	h := sha256.New()
	for _, k := range keys {
		h.Write(encode(k))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// table copies what is not there yet of a table.
func (c *copying) table(ctx context.Context, t *store.Table) error {
	switch at := position(c.state.Table); {
	case position(t.Name) < at:
		return nil
	case position(t.Name) > at:
		c.state.Table, c.state.After = t.Name, nil
	}
	after, err := store.DecodeKey(c.state.After)
	if err != nil {
		return err
	}
	for {
		c.Report(Progress{Table: t.Name, Done: c.state.Rows, All: c.all})
		page, err := c.from.ReadRows(ctx, t, after, c.PageRows)
		if err != nil || len(page) == 0 {
			return err
		}
		last := page[len(page)-1]
		after = slices.Clone(last[:len(t.Key)]) // as the source orders them
		if c.state.After, err = t.EncodeKey(last); err != nil {
			return err
		}
		c.state.Rows += int64(len(page))
		for _, row := range page {
			plain(row)
		}
		if err := c.to.WriteRows(ctx, t, page, c.state); err != nil {
			return err
		}
	}
}

// position is that of a table in the order of the copy; the empty name's is
// before all.
func position(table string) int {
	return slices.IndexFunc(store.Tables, func(t store.Table) bool { return t.Name == table })
}

// plain makes the texts of a row ones that every engine can hold, and counts
// those that it had to change.
func plain(row store.CopyRow) (changed int64) {
	for i, v := range row {
		if s, is := v.(string); is {
			if p := store.PlainText(s); p != s {
				row[i] = p
				changed++
			}
		}
	}
	return changed
}

// verify reads both sides anew and compares them.
func (c *copying) verify(ctx context.Context) error {
	var done int64
	var wrong []string
	for i := range store.Tables {
		t := &store.Tables[i]
		var was, is Sum
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() (err error) {
			was, err = sum(ctx, c.from, t, c.PageRows, func(n int64) {
				c.Report(Progress{Verifying: true, Table: t.Name, Done: done + n, All: c.all})
			})
			return err
		})
		g.Go(func() (err error) {
			is, err = sum(ctx, c.to, t, c.PageRows, func(int64) {})
			return err
		})
		if err := g.Wait(); err != nil {
			return fmt.Errorf("verifying %s: %w", t.Name, err)
		}
		done += was.Rows
		if was.Rows != is.Rows || was.Hash != is.Hash {
			wrong = append(wrong, fmt.Sprintf("%s: %s in the source, %s in the target", t.Name, was, is))
		}
		c.result.Replaced += was.replaced
		c.result.Tables = append(c.result.Tables, is)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("the copy is not like the source, which has changed since the copy was begun: no server will start on the target. "+
			"Empty the target and copy again, with no server on the source. What differs:\n%s", strings.Join(wrong, "\n"))
	}
	return nil
}
