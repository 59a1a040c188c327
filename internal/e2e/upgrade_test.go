package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/simulator"
)

// A made-up change of the schema, in the two steps that docs/operations.md asks
// for: the column detail of the calls is to be called note. The versions of it
// are far ahead of the real ones.
const (
	expandNote = `-- +goose Up
-- +goose StatementBegin
ALTER TABLE calls ADD COLUMN note text NOT NULL DEFAULT '';
-- Programs of the version before go on writing and reading detail.
CREATE FUNCTION calls_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP = 'UPDATE' AND NEW.note IS DISTINCT FROM OLD.note OR TG_OP = 'INSERT' AND NEW.note <> '' THEN
    NEW.detail := NEW.note;
  ELSE
    NEW.note := NEW.detail;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER calls_note BEFORE INSERT OR UPDATE ON calls FOR EACH ROW EXECUTE FUNCTION calls_note();
UPDATE calls SET note = detail;
-- +goose StatementEnd
`
	contractNote = `-- +goose Up
-- +goose StatementBegin
SELECT contract(900);
DROP TRIGGER calls_note ON calls;
DROP FUNCTION calls_note;
ALTER TABLE calls DROP COLUMN detail;
-- +goose StatementEnd
`
	migrationsDir = "internal/store/postgres/migrations/"
)

// next builds the program of the version that reads and writes the new column,
// afterNext the one that takes the old column away.
var (
	next      = variant("next", renamed, map[string]string{migrationsDir + "0900_note.sql": expandNote})
	afterNext = variant("after-next", renamed, map[string]string{
		migrationsDir + "0900_note.sql": expandNote, migrationsDir + "0901_no_detail.sql": contractNote,
	})
)

// renamed has PostgreSQL's statements say note.
func renamed(path, text string) string {
	if !strings.HasPrefix(path, "internal/store/") || strings.HasPrefix(path, "internal/store/sqlite/") {
		return text
	}
	return strings.NewReplacer("excluded.outcome, detail = excluded.detail", "excluded.outcome, note = excluded.note", "outcome, detail", "outcome, note").Replace(text)
}

// Nodes of one version and of the next run side by side while the schema is
// expanded, and then while it is contracted; what would break a node that runs
// is refused.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := setupNodes(t, simulator.ActitoOptions{CallsPerMinute: -1, Latency: 20 * time.Millisecond, Seed: seed}, 2)
	one, two := c.nodes[0], c.nodes[1]
	c.integrate(nil)
	c.actito.Inject(simulator.Fault{Effect: simulator.EffectStatus, Status: 503, Probability: 0.02}) // so that calls have a detail
	s := startSoak(t, c.bundle, seed)
	refused := func(build func() (string, error), want string) {
		t.Helper()
		p := c.spawnOf(build)
		if code := p.exit(); code != 1 || !strings.Contains(p.stderr.String(), want) {
			t.Errorf("exit code %d, it says %q, want %q", code, &p.stderr, want)
		}
	}
	pause(time.Second)
	c.restart(one, next) // expands
	pause(time.Second)
	two.process.kill()
	c.start(two) // a node of the old version is started on the new schema
	c.letHold(two)
	pause(time.Second)
	refused(afterNext, "nodes of an older version are running")
	c.restart(two, next)
	pause(time.Second)
	c.restart(one, afterNext) // contracts
	c.letHold(two)
	pause(time.Second)
	refused(program, "was changed for a newer consentsync: run that version")
	c.restart(two, afterNext)
	pause(time.Second)
	s.finish()
	c.actito.ClearFaults()
	s.checkAcknowledged()
	s.checkEnd()
	s.checkOrder()
	t.Logf("%d events of %d people acknowledged in %d posts, %d calls", s.sent.Load(), len(s.people), s.posts.Load(), c.actito.CallCount())

	for _, n := range c.nodes {
		if said := n.process.complaints(); said != "" {
			t.Errorf("a node said: %s", said)
		}
	}

	// A node that was out of reach while others contracted ends by itself.
	c.exec(`UPDATE compatibility SET oldest = 902`)
	for _, n := range c.nodes {
		if code := n.process.exit(); code != 1 || !strings.Contains(n.process.stderr.String(), "run that version") {
			t.Errorf("an outdated node: exit code %d, it says %q", code, &n.process.stderr)
		}
	}
}

// exec runs a statement in the nodes' database.
func (c *cluster) exec(statement string) {
	c.t.Helper()
	conn, err := pgx.Connect(c.t.Context(), c.nodes[0].database)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := conn.Exec(c.t.Context(), statement); err != nil {
		c.t.Error(err)
	}
	if err := conn.Close(c.t.Context()); err != nil {
		c.t.Error(err)
	}
}
