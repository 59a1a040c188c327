// Package postgres is the store on PostgreSQL, for several nodes.
//
// A method that has returned without error has its effect committed, and on
// disk where the server's synchronous_commit is left on. One that returns an
// error of kind Transient has changed nothing, with one exception: when the
// connection is lost during the COMMIT itself, nobody knows. It is reported as
// Transient too, since whatever is sent again is a duplicate by the ledger.
//
// Any number of nodes may call any method at the same time. Transactions run
// at READ COMMITTED and lock what they decide upon, in one order:
//
//	licences, inbox, advisory locks (see accept.go), integrations, imports with
//	their blocks, reprojections, news, ledger, tombstones, events, people, deliveries, load_rows, loads,
//	left_out, counts
//
// each sorted. What still meets in a deadlock is rolled back by the server and
// tried again.
package postgres

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Engine is a pool of connections to the database. It is safe for concurrent
// use.
type Engine struct {
	pool     *pgxpool.Pool
	hasher   *store.Hasher
	now      func() time.Time // for tests; nil is the database's clock
	clock    atomic.Pointer[reading]
	hints    chan struct{}
	warnings []string
	alone    sync.Mutex
	knows    int64         // the newest version of the schema that this program knows
	copying  *pgxpool.Conn // holds the lock of a copy; nil for none
}

// Options are what Open needs besides the address.
type Options struct {
	// Now replaces the database's clock in tests.
	Now func() time.Time
	// Copy opens a database for consentsync copy, though a copy into it be
	// unfinished, and keeps nodes and other copies out.
	Copy bool
	// Flag is what the user gave the address with, for errors; empty is
	// --database.
	Flag string
}

// Open connects to the database and brings the schema up to date. It fails at
// once when there is no server that can be written to, and with
// store.ErrOutdated when the database was changed for newer programs only.
func Open(ctx context.Context, address string, opts Options) (_ *Engine, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", cmp.Or(opts.Flag, "--database"), err)
		}
	}()
	cfg, err := configure(address)
	if err != nil {
		return nil, err
	}
	if opts.Copy { // whole tables are counted
		delete(cfg.ConnConfig.RuntimeParams, "statement_timeout")
	}
	e := &Engine{now: opts.Now, hints: make(chan struct{}, 1)}
	if e.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, err
	}
	defer func() { //nolint:contextcheck // what is given back outlives ctx
		if err != nil {
			_ = e.Close()
		}
	}()
	if err := e.inspect(ctx); err != nil {
		return nil, reason(err)
	}
	admit := e.notCopied
	if opts.Copy {
		admit = e.keepOut
	}
	if err := admit(ctx); err != nil {
		return nil, err
	}
	if err := e.migrate(ctx); err != nil {
		return nil, reason(err)
	}
	now, err := e.Now(ctx)
	if err != nil {
		return nil, err
	}
	e.setClock(now)
	return e, nil
}

// oldest is the first version of PostgreSQL that has all that is used.
const oldest = 130000

// inspect refuses a server that cannot do, and notes what its owner should
// know.
func (e *Engine) inspect(ctx context.Context) error {
	var s settings
	if err := e.pool.QueryRow(ctx, settingsSQL).Scan(&s.version, &s.shown, &s.encoding, &s.commit, &s.fsync); err != nil {
		return err
	}
	e.warnings = s.weak()
	return s.fit()
}

// Warnings tells what of the server's settings weakens what is promised.
func (e *Engine) Warnings() []string { return e.warnings }

// Close gives the connections back.
func (e *Engine) Close() error {
	release(e.copying)
	e.pool.Close()
	return nil
}

// UseHasher sets the keyed hash under which people and messages are stored. It
// is called once, before anything else is asked of the engine.
func (e *Engine) UseHasher(h *store.Hasher) { e.hasher = h }

// clockSQL reads the database's clock as the program counts time.
const clockSQL = `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`

// Now gives the database's clock.
func (e *Engine) Now(ctx context.Context) (now consent.Time, err error) {
	if e.now != nil {
		return consent.TimeOf(e.now()), nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = e.pool.QueryRow(ctx, clockSQL).Scan(&now)
	return now, classify(err)
}

// reading is what the database's clock showed, and when.
type reading struct {
	at    time.Time // with its monotonic part
	clock consent.Time
}

func (e *Engine) setClock(now consent.Time) { e.clock.Store(&reading{time.Now(), now}) }

// Clock is the database's clock, as this node knows it without asking: read at
// every acquisition of leases, and carried on by what has passed since. So
// nodes agree on the time, whatever their own clocks say.
func (e *Engine) Clock() time.Time {
	if e.now != nil {
		return e.now()
	}
	r := e.clock.Load()
	return r.clock.Std().Add(time.Since(r.at))
}

// Ping tells whether the database can be written: it writes a little.
func (e *Engine) Ping(ctx context.Context) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, `UPDATE pings SET at = $1`, int64(tx.now))
		return err
	})
}
