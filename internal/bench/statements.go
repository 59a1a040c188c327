package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// statement is what one statement cost, in all its calls.
type statement struct {
	ID    int64
	Text  string
	Calls int64
	Rows  int64
	Pages int64         // of the database that it looked at, in memory or not
	Took  time.Duration // within the server
}

// units are what its cost is divided by: rows where it deals with many at once,
// since how many share a batch is chance, otherwise calls.
func (s statement) units() float64 { return float64(max(s.Calls, s.Rows)) }

func (s statement) pages() float64 { return float64(s.Pages) / s.units() }

func (s statement) each() time.Duration { return time.Duration(float64(s.Took) / s.units()) }

// The work of which statements are counted.
const (
	workEvents  = 4000
	workClients = 8
	workLooks   = 200 // at people, through the API
)

// statements has the program do some of everything, with people chosen at
// random, and tells what the statements of it cost, and how many rows were read
// by walking through tables that grow with people and events.
func (b *bench) statements(ctx context.Context, d database) (all []statement, walked int64, err error) {
	progress("the statements' cost at %d people", d.People)
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is written by it
	if _, err := conn.Exec(ctx, `SELECT pg_stat_statements_reset(), pg_stat_reset()`); err != nil {
		return nil, 0, err
	}
	if err := b.work(ctx, d); err != nil {
		return nil, 0, err
	}
	// What connections counted is told when they end, a moment after.
	if err := wait(ctx, time.Second); err != nil {
		return nil, 0, err
	}
	rows, err := conn.Query(ctx, `SELECT s.queryid, s.query, s.calls, s.rows, s.shared_blks_hit + s.shared_blks_read, (s.total_exec_time * 1e6)::bigint
		FROM pg_stat_statements s JOIN pg_database b ON b.oid = s.dbid WHERE b.datname = current_database() AND s.query NOT LIKE '%pg_stat_%'`)
	if err != nil {
		return nil, 0, err
	}
	if all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[statement]); err != nil {
		return nil, 0, err
	}
	err = conn.QueryRow(ctx, `SELECT coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_user_tables
		WHERE relname IN ('people', 'events', 'payloads', 'ledger', 'tombstones', 'deliveries', 'calls', 'inbox', 'news', 'load_rows')`).Scan(&walked)
	return all, walked, err
}

// work accepts events, delivers them, and looks at people.
func (b *bench) work(ctx context.Context, d database) (err error) {
	s, err := b.node(ctx, d)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	itself := s.url + "/v1/marketplace/integrations/" + d.Integration
	if err := ask(ctx, http.MethodPost, itself+"/resume", nil, nil); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ask(ctx, http.MethodPost, itself+"/pause", nil, nil)) }()
	clients, inner := errgroup.WithContext(ctx)
	for n := range workClients {
		clients.Go(func() error {
			r := rand.New(rand.NewPCG(uint64(d.People), uint64(n))) //nolint:gosec // made-up traffic
			for range workEvents / workClients {
				if err := s.post(inner, s.next(nil, r)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := clients.Wait(); err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(uint64(d.People), 99)) //nolint:gosec // made-up traffic
	for range workLooks {
		person := fmt.Sprintf("/v1/users/person.%07d@example.com", r.IntN(d.People))
		for _, path := range []string{person + "?", person + "/trace?", "/v1/marketplace/integrations?", "/v1/marketplace/integrations/" + d.Integration + "/plan?", "/v1/licences?"} {
			if err := ask(ctx, http.MethodGet, s.url+path+"organization_id="+organization, nil, nil); err != nil {
				return err
			}
		}
	}
	return wait(ctx, 10*time.Second) // it goes on delivering
}

// postgresLines are those of the part postgres.
func (r *report) postgresLines(line func(...any)) {
	p := &r.postgres
	if len(p.ours.perSecond) == 0 {
		return
	}
	var ratios []float64
	for i := range p.ours.perSecond {
		ratios = append(ratios, p.ours.perSecond[i]/p.sqlite.perSecond[i])
	}
	line("durable accepts a second on PostgreSQL, beside SQLite, median", fmt.Sprintf("%.0f", median(p.ours.perSecond)), fmt.Sprintf("%.0f", median(p.sqlite.perSecond)),
		fmt.Sprintf("**%.2f** (%.2f to %.2f)", median(ratios), slices.Min(ratios), slices.Max(ratios)), fmt.Sprintf("at least %.1f", leastPostgres), yes(median(ratios) >= leastPostgres))
	line("the same until all are merged", fmt.Sprintf("%.0f", median(p.ours.sustained)), fmt.Sprintf("%.0f", median(p.sqlite.sustained)),
		fmt.Sprintf("%.2f", median(p.ours.sustained)/median(p.sqlite.sustained)), "", "")
	share := float64(p.three.cpu) / float64(p.one.cpu)
	line("processor time of three nodes for an event, beside one node", short(p.three.cpu), short(p.one.cpu), fmt.Sprintf("%.2f", share),
		fmt.Sprintf("at most %.1f", mostOfThree), yes(share <= mostOfThree))
	line("the same, with the one's clients shared among the three", short(p.thin.cpu), short(p.one.cpu), fmt.Sprintf("%.2f", float64(p.thin.cpu)/float64(p.one.cpu)), "", "")
	line("rows read by walking through tables that grow", p.walked[1], p.walked[0], "", "at most 0", yes(p.walked[0] == 0 && p.walked[1] == 0))
	if grown := p.grown(); len(grown) > 0 {
		most := grown[0]
		line(fmt.Sprintf("pages for a row or call of the statement that grew most, %d people beside %d", p.people[1], p.people[0]),
			fmt.Sprintf("%.1f", most.many.pages()), fmt.Sprintf("%.1f", most.few.pages()), fmt.Sprintf("%.2f", most.ratio()),
			fmt.Sprintf("at most %.0f", mostGrowth), yes(most.ratio() <= mostGrowth))
	}
}

// compared is a statement at few people and at many.
type compared struct{ few, many statement }

func (c compared) ratio() float64 { return max(1, c.many.pages()) / max(1, c.few.pages()) }

// grown compares the statements that both stores were asked often enough, those
// first whose pages grew most.
func (p *onPostgres) grown() (all []compared) {
	const often = 50
	for _, few := range p.statements[0] {
		// The same text has the same id in one database alone.
		at := slices.IndexFunc(p.statements[1], func(s statement) bool { return s.Text == few.Text })
		if at >= 0 && few.Calls >= often && p.statements[1][at].Calls >= often {
			all = append(all, compared{few, p.statements[1][at]})
		}
	}
	slices.SortFunc(all, func(x, y compared) int { return cmp.Compare(y.ratio(), x.ratio()) })
	return all
}

// shownStatements is how many statements are shown: those that take most time.
const shownStatements = 20

// postgresNotes is the table of statements.
func (r *report) postgresNotes() string {
	p := &r.postgres
	if len(p.ours.perSecond) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nPostgreSQL %s. Rounds: %.0f; SQLite %.0f; of one node %.0f, of three %.0f and %.0f.\n\n",
		p.server, p.ours.perSecond, p.sqlite.perSecond, p.one.perSecond, p.three.perSecond, p.thin.perSecond)
	fmt.Fprintf(&b, "A person with one event takes %d bytes of the database; an event then writes %d bytes of write-ahead log.\n\n", p.disk, p.log)
	fmt.Fprintf(&b, "Pages and time for a row or call of the statements that take most time, at %d and at %d people:\n\n", p.people[0], p.people[1])
	fmt.Fprintf(&b, "| statement | pages | pages | time | time |\n| --- | --- | --- | --- | --- |\n")
	all := p.grown()
	slices.SortFunc(all, func(x, y compared) int { return cmp.Compare(y.many.Took, x.many.Took) })
	for _, c := range all[:min(len(all), shownStatements)] {
		fmt.Fprintf(&b, "| `%s` | %.1f | %.1f | %s | %s |\n", brief(c.many.Text), c.few.pages(), c.many.pages(), short(c.few.each()), short(c.many.each()))
	}
	return b.String()
}

// brief is the beginning of a statement in one line.
func brief(text string) string {
	line := strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", "¦")
	if letters := []rune(line); len(letters) > 90 {
		line = string(letters[:90]) + "…"
	}
	return line
}
