package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"consentsync/internal/simulator"
	"consentsync/internal/store/pgtest"
)

// A backup of a data directory, made while the server runs, is brought back into
// another.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "backup.db")
	restoreStory(t, "",
		func(b *bundle) {
			said := succeeds(t, "backup", "--data", b.cfg.Data, "--to", file)
			if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 || !strings.Contains(said, "whole and verified") {
				t.Errorf("the backup is %v, %v: %s", info, err, said)
			}
		},
		func(b *bundle) {
			fails(t, "is not empty (consentsync.db", "restore", "--from", file, "--data", b.cfg.Data)
			stranger := t.TempDir()
			if err := os.WriteFile(filepath.Join(stranger, "master-key"), []byte(strings.Repeat("A", 43)+"="), 0o600); err != nil {
				t.Fatal(err)
			}
			fails(t, "the database was made with the master key", "restore", "--from", file, "--data", stranger)
			b.cfg.Data = withKey(t, b.cfg.Data)
			said := succeeds(t, "restore", "--from", file, "--data", b.cfg.Data)
			if !strings.Contains(said, "1 integration is paused") || strings.Contains(said, "There is no master key") {
				t.Errorf("it says %s", said)
			}
		})
}

// A PostgreSQL database is brought back with pg_dump and pg_restore, and marked.
func TestDumpAndRestore(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "backup.dump")
	bin, err := pgtest.Binaries()
	if err != nil {
		t.Fatal(err)
	}
	tool := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), filepath.Join(bin, name), args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	restoreStory(t, pgtest.Database(t),
		func(b *bundle) { tool("pg_dump", "--format=custom", "--file="+file, b.cfg.Database) },
		func(b *bundle) {
			b.cfg.Database = pgtest.Database(t)
			tool("pg_restore", "--exit-on-error", "--dbname="+b.cfg.Database, file)
			said := succeeds(t, "restore", "--database", b.cfg.Database)
			if !strings.Contains(said, "1 integration is paused") {
				t.Errorf("it says %s", said)
			}
		})
}

// restoreStory is what happens after a backup, is lost, and must not be undone:
// the state that comes back knows of none of it.
func restoreStory(t *testing.T, database string, backup, restore func(b *bundle)) {
	t.Helper()
	b := newBundle(t, simulator.ActitoOptions{CallsPerMinute: -1})
	b.cfg.Database = database
	server := b.spawn()
	b.url = server.ready()
	b.enrol()
	id := b.integrate(nil)
	address := "/v1/marketplace/integrations/" + id
	said := func(what, who string, at time.Time, newsletter *bool) {
		t.Helper()
		b.send(event(what+"-"+who, who, at, simulator.Choices{"newsletter": newsletter}))
	}
	const ana, ben, cleo, dan = "ana@example.com", "ben@example.com", "cleo@example.com", "dan@example.com"
	before := time.Now().Add(-time.Hour)
	said("before", ana, before, yes())
	said("before", cleo, before, no())
	b.eventually("what was said before is in effect", func() bool { return b.synced(ana) && b.synced(cleo) && b.on(ana, "Newsletter") })
	b.must(http.MethodPost, address+"/pause", "", http.StatusOK, nil)
	said("before", ben, before, yes()) // is due when the backup is made
	said("before", dan, before, yes())

	backup(b)

	b.must(http.MethodPost, address+"/resume", "", http.StatusOK, nil)
	b.eventually("what was due is in effect", func() bool { return b.on(ben, "Newsletter") && b.on(dan, "Newsletter") })
	said("meanwhile", ana, time.Now(), no())
	said("meanwhile", ben, time.Now(), no())
	said("meanwhile", cleo, time.Now(), yes())
	inEffect := func() bool { return !b.on(ana, "Newsletter") && !b.on(ben, "Newsletter") && b.on(cleo, "Newsletter") }
	b.eventually("what was said meanwhile is in effect", inEffect)
	server.kill()

	restore(b)
	server = b.spawn()
	b.url = server.ready()
	var view struct {
		Status   string
		Reason   string `json:"status_reason"`
		Restored *struct {
			At         time.Time
			GrantsHeld bool `json:"grants_held"`
		}
	}
	b.must(http.MethodGet, address, "", http.StatusOK, &view)
	if view.Status != "paused" || !strings.Contains(view.Reason, "restored from a backup") || view.Restored == nil || !view.Restored.GrantsHeld {
		t.Errorf("the integration is %+v", view)
	}
	calls := b.actito.CallCount()
	b.stays("nothing is sent", time.Second, func() bool { return b.actito.CallCount() == calls })

	// Nothing old undoes what is newer in Actito, also when other things are said.
	b.must(http.MethodPost, address+"/resume", "", http.StatusOK, nil)
	b.eventually("nothing is due", func() bool { return b.allSynced([]string{ana, ben, cleo, dan}) })
	b.send(event("later", ana, time.Now(), simulator.Choices{"promotions": yes()}))
	b.send(event("later", ben, time.Now(), simulator.Choices{"promotions": yes()}))
	b.eventually("a new choice takes effect", func() bool { return b.on(ana, "Promotions") && b.on(ben, "Promotions") })
	b.refresh(id)
	b.must(http.MethodPost, address+"/replay", `{"organization_user_id":"`+ben+`"}`, http.StatusAccepted, nil)
	b.quiet(500 * time.Millisecond)
	if !inEffect() {
		t.Error("an older state has undone a newer one")
	}
	if left := b.person(ben).Integrations[0].LeftOut; len(left) == 0 || left[0].Name != "Newsletter" || !strings.Contains(left[0].Reason, "before a backup was restored") {
		t.Errorf("what is held is not told: %+v", left)
	}

	// What is newer is sent, whatever was known: Actito holds the opposite.
	said("after", ana, time.Now(), yes())
	said("after", cleo, time.Now(), no())
	b.eventually("newer consent takes effect", func() bool { return b.on(ana, "Newsletter") && !b.on(cleo, "Newsletter") })

	// A new integration knows of the restore too.
	b.must(http.MethodDelete, address, "", http.StatusNoContent, nil)
	address = "/v1/marketplace/integrations/" + b.integrate(nil)
	b.eventually("everybody was compared", func() bool {
		status, answer := b.ask(http.MethodGet, address, "")
		return status == http.StatusOK && !strings.Contains(string(answer), `"reprojection"`)
	})
	b.quiet(500 * time.Millisecond)
	if b.on(ben, "Newsletter") {
		t.Error("a new integration has sent an old grant over a newer withdrawal")
	}

	// Somebody says yes.
	var answer json.RawMessage
	b.must(http.MethodPost, address+"/resume", `{"approve_grants":true}`, http.StatusOK, &answer)
	b.eventually("what was held is sent", func() bool { return b.on(ben, "Newsletter") })
	b.must(http.MethodGet, address, "", http.StatusOK, &view)
	if view.Restored == nil || view.Restored.GrantsHeld {
		t.Errorf("after a yes it is %+v", view.Restored)
	}
	b.must(http.MethodPost, address+"/resume", `{"approve_grants":true}`, http.StatusConflict, nil)
	server.stopped()
}
