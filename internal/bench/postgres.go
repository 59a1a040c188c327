package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/app"
	"consentsync/internal/simulator"
	"consentsync/internal/store/pgtest"
	"consentsync/internal/store/transfer"
)

// onPostgres is what was measured of the program on PostgreSQL.
type onPostgres struct {
	people       []int // in the stores that statements are compared on: few, many
	statements   [2][]statement
	walked       [2]int64 // rows that were read by walking through tables that grow
	server       string   // its version
	ours, sqlite figures
	one, three   figures // three nodes with the clients of one each
	thin         figures // three nodes with the clients of one in all
	disk         int64   // bytes of the database for a person with one event
	log          int64   // bytes of the write-ahead log for an event, on one node
}

// fewPeople are in the store that the one with all people is compared with.
const fewPeople = 10_000

// postgres measures the program on PostgreSQL: beside itself on SQLite, three
// nodes beside one, and what its statements cost as the store grows.
func (b *bench) postgres(ctx context.Context, r *report) (err error) {
	server, err := pgtest.Start("shared_buffers=256MB", "shared_preload_libraries=pg_stat_statements", "track_io_timing=on") //nolint:contextcheck // Stop ends it
	if err != nil {
		return err
	}
	defer server.Stop()
	p := &r.postgres
	p.people = []int{min(fewPeople, b.people/10), b.people}
	var large database
	_, actitoURL, stop, err := actito(ctx, simulator.ActitoOptions{CallsPerMinute: -1})
	if err != nil {
		return err
	}
	defer stop()
	for i, people := range p.people {
		if large, err = b.pgDatabase(ctx, server, actitoURL, people); err != nil {
			return err
		}
		if p.statements[i], p.walked[i], err = b.statements(ctx, large); err != nil {
			return err
		}
	}
	if err := large.read(ctx, &p.server, `SELECT current_setting('server_version')`); err != nil {
		return err
	}
	if err := large.read(ctx, &p.disk, `SELECT pg_database_size(current_database())`); err != nil {
		return err
	}
	p.disk /= int64(large.People)
	if err := b.engines(ctx, large, p); err != nil {
		return err
	}
	return b.nodes(ctx, large, p)
}

// database is a PostgreSQL database with people in it; the keys are in the
// directory.
type database struct {
	filled
	url    string
	source filled // the SQLite database that it is a copy of
}

// pgDatabase makes a database like that of the part accept: SQLite's is filled,
// which takes less long, and copied as consentsync copy does.
func (b *bench) pgDatabase(ctx context.Context, server *pgtest.Server, actitoURL string, people int) (d database, err error) {
	name := fmt.Sprintf("people%d", people)
	d = database{url: server.URL(name)}
	if err := server.Exec(ctx, "postgres", `CREATE DATABASE `+name); err != nil {
		return d, err
	}
	if err := server.Exec(ctx, name, `CREATE EXTENSION pg_stat_statements`); err != nil {
		return d, fmt.Errorf("%w (Debian's package postgresql has it; elsewhere it may be one of its own, postgresql-contrib)", err)
	}
	if d.source, err = b.sourceOf(ctx, name, people, actitoURL); err != nil {
		return d, err
	}
	progress("copying it to PostgreSQL")
	if _, err := app.Copy(ctx, app.CopyConfig{From: d.source.dir, To: d.url, Report: func(transfer.Progress) {}}); err != nil {
		return d, err
	}
	d.filled = d.source
	d.dir = filepath.Join(b.dir, name+"-nodes")
	key, err := os.ReadFile(filepath.Join(d.source.dir, "master-key"))
	if err != nil {
		return d, err
	}
	if err := errors.Join(os.Mkdir(d.dir, 0o700), os.WriteFile(filepath.Join(d.dir, "master-key"), key, 0o600)); err != nil {
		return d, err
	}
	// As autovacuum would, some minutes later.
	return d, server.Exec(ctx, name, `VACUUM ANALYZE`)
}

// sourceOf gives the SQLite database to be copied: the one that is kept, if it has as
// many people.
func (b *bench) sourceOf(ctx context.Context, name string, people int, actitoURL string) (filled, error) {
	if b.data != "" && people == b.people {
		return b.database(ctx)
	}
	f := filled{dir: filepath.Join(b.dir, name), People: people}
	p, err := b.serve(ctx, f.dir)
	if err != nil {
		return f, err
	}
	if err := errors.Join(setUpPaused(ctx, p, actitoURL, &f), p.stop()); err != nil {
		return f, err
	}
	progress("filling a store with %d people", people)
	return f, fill(ctx, f)
}

// read reads one value.
func (d database) read(ctx context.Context, into any, query string) error {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was written
	return conn.QueryRow(ctx, query).Scan(into)
}

// logged is how many bytes of write-ahead log the server has ever written.
func (d database) logged(ctx context.Context) (bytes int64, err error) {
	err = d.read(ctx, &bytes, `SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint`)
	return bytes, err
}

// merged waits until nothing that was accepted is left in the inbox.
func (d database) merged(ctx context.Context) error {
	for {
		var waiting bool
		if err := d.read(ctx, &waiting, `SELECT EXISTS (SELECT 1 FROM inbox WHERE lane < 2)`); err != nil || !waiting {
			return err
		}
		if err := wait(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// engines compares the program on PostgreSQL with itself on SQLite, each on a
// store of as many people, in turn.
func (b *bench) engines(ctx context.Context, d database, p *onPostgres) (err error) {
	embedded, err := b.ours(ctx, d.source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, embedded.stop()) }()
	shared, err := b.node(ctx, d)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shared.stop()) }()
	for n := range b.rounds {
		for _, s := range []*side{shared, embedded} {
			if err := s.measure(ctx, b.round); err != nil {
				return err
			}
		}
		progress("round %d: PostgreSQL %.0f/s, with all merged %.0f/s, SQLite %.0f/s, ratio %.2f", n+1,
			shared.perSecond[n], shared.sustained[n], embedded.perSecond[n], shared.perSecond[n]/embedded.perSecond[n])
	}
	p.ours, p.sqlite = shared.figures(), embedded.figures()
	return nil
}

// node starts a node and gives clients that post to it.
func (b *bench) node(ctx context.Context, d database) (*side, error) {
	p, err := b.serveOn(ctx, d.dir, d.url)
	if err != nil {
		return nil, err
	}
	s, err := b.side(ctx, p, d.filled)
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	s.drain = d.merged
	return s, nil
}

// nodes compares the processor time that three nodes use for an event with that
// of one, in turn: each of them under as many clients as the one, and all under
// as many together, of which each then shares a commit among fewer.
func (b *bench) nodes(ctx context.Context, d database, p *onPostgres) error {
	kinds := []struct {
		kept           *side
		nodes, clients int
	}{{nodes: 1, clients: b.clients}, {nodes: 3, clients: 3 * b.clients}, {nodes: 3, clients: b.clients}}
	for n := range b.rounds {
		for i := range kinds {
			k := &kinds[i]
			s, err := b.someNodes(ctx, d, k.nodes, k.clients)
			if err != nil {
				return err
			}
			if k.kept != nil { // the figures of the rounds before
				s.keep(k.kept)
			}
			k.kept = s
			log, err := d.logged(ctx)
			if err != nil {
				return errors.Join(err, s.stopAll())
			}
			sent := s.sent.Load()
			if err := errors.Join(s.measure(ctx, b.round), s.stopAll()); err != nil {
				return err
			}
			if k.nodes == 1 {
				after, err := d.logged(ctx)
				if err != nil {
					return err
				}
				p.log = (after - log) / max(1, s.sent.Load()-sent)
			}
			progress("round %d: %d nodes, %d clients: %.0f/s, %s of processor time an event", n+1, k.nodes, k.clients, s.perSecond[n], s.figures().cpu)
		}
	}
	p.one, p.three, p.thin = kinds[0].kept.figures(), kinds[1].kept.figures(), kinds[2].kept.figures()
	return nil
}

// someNodes starts nodes, and gives clients that post to them by turns.
func (b *bench) someNodes(ctx context.Context, d database, nodes, clients int) (*side, error) {
	s, err := b.node(ctx, d)
	if err != nil {
		return nil, err
	}
	s.load = newLoad(s.targets[0], s.header, clients, s.next)
	for len(s.others) < nodes-1 {
		p, err := b.serveOn(ctx, d.dir, d.url)
		if err != nil {
			return nil, errors.Join(err, s.stopAll())
		}
		s.others = append(s.others, p)
		s.targets = append(s.targets, p.url+"/webhooks/didomi/"+organization)
	}
	return s, nil
}

// keep adds the figures of rounds before.
func (s *side) keep(before *side) {
	s.perSecond, s.sustained, s.latencies, s.cpu = before.perSecond, before.sustained, before.latencies, before.cpu
	s.sent.Store(before.sent.Load())
}

func (s *side) stopAll() error {
	err := s.stop()
	for _, p := range s.others {
		err = errors.Join(err, p.stop())
	}
	return err
}
