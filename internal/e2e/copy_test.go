package e2e_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"consentsync/internal/simulator"
	"consentsync/internal/store/pgtest"
	"consentsync/internal/store/postgres"
)

// finished runs the program to its end and gives what it says.
func finished(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	p := launch(t, args...)
	late := time.NewTimer(3 * time.Minute)
	defer late.Stop()
	select {
	case <-p.ended:
	case <-late.C:
		t.Fatalf("%v does not end: %s%s", args, &p.stdout, &p.stderr)
	}
	return p.cmd.ProcessState.ExitCode(), p.stdout.String(), p.stderr.String()
}

// succeeds wants a command to end well, and gives what it prints.
func succeeds(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := finished(t, args...)
	if code != 0 {
		t.Fatalf("%v ends with %d: %s%s", args, code, stdout, stderr)
	}
	return stdout
}

// fails wants a command to end with 1 and to say why.
func fails(t *testing.T, want string, args ...string) {
	t.Helper()
	if code, stdout, stderr := finished(t, args...); code != 1 || !strings.Contains(stderr, want) {
		t.Errorf("%v ends with %d and says %s%s, want 1 and %q", args, code, stdout, stderr, want)
	}
}

// stopped ends a process as an operator would, and waits for it.
func (p *process) stopped() {
	p.t.Helper()
	p.terminate()
	if code := p.exit(); code != 0 {
		p.t.Fatalf("after SIGTERM the exit code is %d: %s", code, &p.stderr)
	}
}

// withKey makes a directory with the master key of another.
func withKey(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	key, err := os.ReadFile(filepath.Join(from, "master-key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "master-key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tables finds the lines of the tables in what consentsync copy prints.
var tables = regexp.MustCompile(`(?m)^[a-z_]+ +[\d,]+ +[0-9a-f]{64}$`)

// told gives what the program tells of people: their state and their history.
func (b *bundle) told(people []string) map[string]string {
	b.t.Helper()
	all := map[string]string{}
	for _, email := range people {
		for _, path := range []string{"", "/trace"} {
			status, answer := b.ask(http.MethodGet, "/v1/users/"+email+path+"?organization_id="+organization, "")
			if status != http.StatusOK {
				b.t.Fatalf("%s is answered %d: %s", email, status, answer)
			}
			all[email+path] = string(answer)
		}
	}
	return all
}

// An installation moves from SQLite to PostgreSQL and back, though the copies
// are killed on the way: nothing of it is other than it was, no call is made for
// what Actito has, and what was due is delivered.
func TestCopyThereAndBack(t *testing.T) {
	t.Parallel()
	b, server := setupProcess(t, simulator.ActitoOptions{CallsPerMinute: -1})
	id := b.integrate(nil)
	people := crowd("moved", 60)
	before := time.Now().Add(-time.Hour)
	b.sendAll(events(people, before, simulator.Choices{"newsletter": yes(), "promotions": no()}))
	b.eventually("all are synced", func() bool { return b.allSynced(people) })
	b.must(http.MethodPost, "/v1/marketplace/integrations/"+id+"/pause", "", http.StatusOK, nil)
	due := crowd("due", 3)
	b.sendAll(events(due, before, simulator.Choices{"newsletter": yes()}))
	everybody := append(due, people...)
	want := b.told(everybody)

	home := b.cfg.Data
	address := pgtest.Database(t)
	fails(t, "is in use by another consentsync process", "copy", "--from", home, "--to", address)
	server.stopped()
	killedBeforeCalls(t, home, address)
	b.cfg.Database = address
	if p := b.spawn(); p.exit() != 1 || !strings.Contains(p.stderr.String(), "unfinished copy") {
		t.Errorf("a server starts on half a copy: %s", &p.stderr)
	}
	there := succeeds(t, "copy", "--from", home, "--to", address)
	if !strings.Contains(there, "had been copied before an interruption") {
		t.Errorf("it was not resumed: %s", there)
	}
	fails(t, "complete copy of this installation already", "copy", "--from", home, "--to", address)

	second := withKey(t, home)
	killedAnywhere(t, "copy", "--from", address, "--to", second)
	back := succeeds(t, "copy", "--from", address, "--to", withKey(t, home))
	if n := len(tables.FindAllString(there, -1)); n < 15 {
		t.Errorf("only %d tables are told: %s", n, there)
	}
	if diff := cmp.Diff(tables.FindAllString(there, -1), tables.FindAllString(back, -1)); diff != "" {
		t.Errorf("the hashes there and back differ:\n%s", diff)
	}

	calls := b.actito.CallCount()
	for _, place := range []struct{ data, database string }{{home, address}, {second, ""}} {
		b.cfg.Data, b.cfg.Database = place.data, place.database
		server = b.spawn()
		b.url = server.ready()
		if diff := cmp.Diff(want, b.told(everybody)); diff != "" {
			t.Errorf("what is told of people has changed:\n%s", diff)
		}
		b.send(event("after-"+place.database, people[0], before, simulator.Choices{"newsletter": yes()})) // with the token of before
		b.stays("no call is made", time.Second, func() bool { return b.actito.CallCount() == calls })
		if place.database != "" {
			server.stopped()
		}
	}
	b.must(http.MethodPost, "/v1/marketplace/integrations/"+id+"/resume", "", http.StatusOK, nil)
	b.eventually("what was due is delivered", func() bool { return b.allSynced(everybody) && b.on(due[0], "Newsletter") && b.on(due[2], "Newsletter") })
	b.quiet(time.Second)
	for _, c := range b.actito.Calls()[calls:] {
		if email := strings.TrimPrefix(c.Key, "emailAddress="); slices.Contains(people, email) {
			t.Errorf("a call was made for %s, of whom nothing was due", email)
		}
	}
	b.send(event("withdrawn", people[1], time.Now(), simulator.Choices{"newsletter": no()}))
	b.eventually("a withdrawal takes effect", func() bool { return !b.on(people[1], "Newsletter") })
}

// killedBeforeCalls kills a copy when it has come to the calls, which are locked.
func killedBeforeCalls(t *testing.T, dir, address string) {
	t.Helper()
	e, err := postgres.Open(t.Context(), address, postgres.Options{}) // makes the tables
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE calls IN SHARE ROW EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	p := launch(t, "copy", "--from", dir, "--to", address)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; n == 0; <-tick.C {
		select {
		case <-p.ended:
			t.Fatalf("it has ended: %s%s", &p.stdout, &p.stderr)
		default:
		}
		if err := tx.QueryRow(t.Context(), "SELECT count(*) FROM deliveries").Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	p.kill()
}

// killedAnywhere runs a command, kills it again and again, ever later, and lets
// it end at last.
func killedAnywhere(t *testing.T, args ...string) {
	t.Helper()
	kills := 0
	for wait := 20 * time.Millisecond; ; wait += time.Duration(rand.IntN(100)) * time.Millisecond {
		p := launch(t, args...)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			p.kill()
			kills++
			continue
		case <-p.ended:
		}
		timer.Stop()
		// It may have been killed after the end, before it could say so.
		if code := p.cmd.ProcessState.ExitCode(); code != 0 && !strings.Contains(p.stderr.String(), "complete copy of this installation already") {
			t.Fatalf("after %d kills it ends with %d: %s%s", kills, code, &p.stdout, &p.stderr)
		}
		t.Logf("killed %d times", kills)
		return
	}
}

// Without the key with which a database was made nothing is copied.
func TestCopyWithoutTheKey(t *testing.T) {
	t.Parallel()
	b, server := setupProcess(t, simulator.ActitoOptions{})
	server.stopped()
	address := pgtest.Database(t)
	key := filepath.Join(b.cfg.Data, "master-key")
	if err := os.WriteFile(key, []byte(strings.Repeat("A", 43)+"="), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, "the database was made with the master key", "copy", "--from", b.cfg.Data, "--to", address)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	fails(t, "set CONSENTSYNC_MASTER_KEY", "copy", "--from", b.cfg.Data, "--to", address)
	if _, err := os.Stat(key); err == nil {
		t.Error("a master key was made")
	}
	nowhere := filepath.Join(t.TempDir(), "none")
	if err := os.Mkdir(nowhere, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(nowhere, "master-key"), []byte(strings.Repeat("A", 43)+"="), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, "--from: there is no database in", "copy", "--from", nowhere, "--to", address)
	if entries, err := os.ReadDir(nowhere); err != nil || len(entries) != 1 {
		t.Errorf("a database was made: %v, %v", entries, err)
	}
}
