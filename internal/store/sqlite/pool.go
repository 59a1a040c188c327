package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// pool is connections to the database that keep their statements: a text is
// prepared once for each connection, since to prepare one takes several times
// as long as to look up a row.
type pool struct {
	db *sql.DB

	mu   sync.RWMutex
	kept map[string]*sql.Stmt
}

// mostKept bounds the statements of a pool. There are fewer texts than that; it
// only matters if one were ever made from what somebody asks.
const mostKept = 400

// openPool opens as many connections, at most, as are used at once.
func openPool(dsn string, most int) (*pool, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	return &pool{db: db, kept: make(map[string]*sql.Stmt)}, nil
}

// Close closes the statements and the connections.
func (p *pool) Close() error {
	var errs []error
	for _, s := range p.kept {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, p.db.Close())...)
}

// statement gives what is kept for a text; nil where nothing is.
func (p *pool) statement(text string) *sql.Stmt {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.kept[text]
}

// keep prepares a statement, if it is not kept yet. It needs a connection, and so
// is not called within a transaction.
func (p *pool) keep(ctx context.Context, text string) (*sql.Stmt, error) {
	if s := p.statement(text); s != nil {
		return s, nil
	}
	s, err := p.db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.kept[text]; other != nil {
		return other, s.Close() //nolint:sqlclosecheck // somebody was faster
	}
	if len(p.kept) >= mostKept {
		return nil, s.Close()
	}
	p.kept[text] = s
	return s, nil
}

func (p *pool) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s, err := p.keep(ctx, text) //nolint:sqlclosecheck // Close closes them all
	if err != nil || s == nil {
		return p.db.QueryContext(ctx, text, args...)
	}
	return s.QueryContext(ctx, args...)
}

func (p *pool) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	s, err := p.keep(ctx, text) //nolint:sqlclosecheck // Close closes them all
	if err != nil || s == nil {
		return p.db.QueryRowContext(ctx, text, args...) // a row can tell what is wrong
	}
	return s.QueryRowContext(ctx, args...)
}

// inTx runs f in a transaction, which is rolled back when f fails.
func (p *pool) inTx(ctx context.Context, f func(*transaction) error) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it says so, otherwise there is nothing to save
	t := &transaction{once: tx, pool: p, bound: make(map[string]*sql.Stmt)}
	if err := f(t); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	for _, text := range t.fresh {
		if _, err := p.keep(context.WithoutCancel(ctx), text); err != nil { //nolint:sqlclosecheck // Close closes them all
			break // what was done is done; the next transaction prepares it again
		}
	}
	return nil
}

// transaction runs statements that the pool keeps. What it has to prepare itself
// is kept when it is over.
type transaction struct {
	once  *sql.Tx // for texts that are run once, or made for one use
	pool  *pool
	bound map[string]*sql.Stmt // that end with the transaction
	fresh []string
}

func (t *transaction) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if s := t.bound[text]; s != nil {
		return s, nil
	}
	if kept := t.pool.statement(text); kept != nil {
		s := t.once.StmtContext(ctx, kept)
		t.bound[text] = s
		return s, nil
	}
	s, err := t.once.PrepareContext(ctx, text)
	if err == nil {
		t.bound[text] = s
		t.fresh = append(t.fresh, text)
	}
	return s, err
}

func (t *transaction) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	s, err := t.prepared(ctx, text) //nolint:sqlclosecheck // it ends with the transaction
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

func (t *transaction) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s, err := t.prepared(ctx, text) //nolint:sqlclosecheck // it ends with the transaction
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

func (t *transaction) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	s, err := t.prepared(ctx, text) //nolint:sqlclosecheck // it ends with the transaction
	if err != nil {
		return t.once.QueryRowContext(ctx, text, args...) // fails alike, and a row can tell it
	}
	return s.QueryRowContext(ctx, args...)
}
