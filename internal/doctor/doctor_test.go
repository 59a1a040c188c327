package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"consentsync/internal/assumption"
	"consentsync/internal/consent"
	"consentsync/internal/store"
)

func want(t *testing.T, f Finding, status Status, says, do string) {
	t.Helper()
	if f.Status != status || !strings.Contains(f.Says, says) || !strings.Contains(f.Do, do) || status != OK && f.Do == "" {
		t.Errorf("%+v; want %s with %q, and to do %q", f, status, says, do)
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	made := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := made("good", 0o700)
	want(t, Directory(good), OK, "can be written to", "")
	want(t, Directory(made("open", 0o755)), Warning, "read by others", "chmod 700")
	want(t, Directory(file), Failed, "no directory", "--data")
	want(t, Directory(filepath.Join(dir, "a", "b")), Unknown, "is not there", "serve makes it")
	// Where nobody can make files, whoever runs the test.
	want(t, Directory("/proc/self"), Failed, "nothing can be written", "read-only")
	want(t, Directory("/proc/self/none"), Failed, "cannot be made", "--data")
	if entries, err := os.ReadDir(good); err != nil || len(entries) > 0 {
		t.Errorf("the look left %v behind, %v", entries, err)
	}
}

func TestSecretFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if _, ok := SecretFile("key", path); ok {
		t.Error("a file that is not there is found")
	}
	for _, c := range []struct {
		mode    os.FileMode
		content string
		status  Status
		says    string
	}{{0o600, "s3cret", OK, "only its owner"}, {0o640, "s3cret", Warning, "others can read"}, {0o600, "", Warning, "empty"}} {
		if err := errors.Join(os.WriteFile(path, []byte(c.content), 0o600), os.Chmod(path, c.mode)); err != nil {
			t.Fatal(err)
		}
		f, ok := SecretFile("key", path)
		if want(t, f, c.status, c.says, ""); !ok || strings.Contains(f.Says+f.Do, "s3cret") {
			t.Errorf("%+v", f)
		}
	}
}

func TestRoom(t *testing.T) {
	t.Parallel()
	want(t, Room(1<<30, 2<<30, nil), OK, "1024 MB of 2048 MB", "")
	want(t, Room(40<<20, 1<<30, nil), Warning, "40 MB", "Make room")
	want(t, Room(0, 1<<30, nil), Failed, "0 MB", "Make room")
	want(t, Room(0, 0, errors.New("no")), Unknown, "cannot be told", "by hand")
	full := &consent.Error{Kind: consent.Transient, Message: "the database cannot be written now", Err: errors.New("database or disk is full")}
	want(t, Write(time.Millisecond, full), Failed, "cannot be written now", "full disk")
	want(t, Write(time.Second, nil), Warning, "1s", "faster disk")
	want(t, Write(time.Millisecond, nil), OK, "1ms", "")
}

func TestClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		theirs time.Time
		within time.Duration
		status Status
		says   string
	}{
		{now, 0, OK, "agrees"},
		{now.Add(-10 * time.Second), 0, OK, "agrees"},
		{now.Add(-12 * time.Second), 0, Warning, "12s ahead"},
		{now.Add(-12 * time.Second), 5 * time.Second, OK, "agrees"}, // the answer was that slow
		{now.Add(3 * time.Minute), 0, Failed, "3m0s behind"},
	} {
		want(t, Clock("clock", now, c.theirs, c.within), c.status, c.says, "")
	}
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	now := time.Now()
	good := store.Inspection{Engine: "PostgreSQL 17.2", Schema: 40, Newest: 40, Needs: 40, Durable: "fsync is on", Clock: consent.TimeOf(now), ReadAt: now}
	for name, c := range map[string]struct {
		change func(*store.Inspection)
		about  string
		status Status
		says   string
		well   bool
	}{
		"good":     {func(*store.Inspection) {}, "schema", OK, "up to date", true},
		"new":      {func(i *store.Inspection) { i.Schema, i.Needs = 0, 0 }, "schema", Unknown, "none yet", false},
		"old":      {func(i *store.Inspection) { i.Schema = 39 }, "schema", Warning, "version 39", false},
		"newer":    {func(i *store.Inspection) { i.Schema = 42 }, "schema", OK, "version 42", true},
		"too new":  {func(i *store.Inspection) { i.Schema, i.Needs = 42, 42 }, "schema", Failed, "knows version 42", false},
		"standby":  {func(i *store.Inspection) { i.ReadOnly = true }, "database", Failed, "only be read", false},
		"no fsync": {func(i *store.Inspection) { i.Weak = []string{"fsync is off"} }, "durability", Warning, "fsync is off", true},
		"clock":    {func(i *store.Inspection) { i.Clock = i.Clock.Add(time.Hour) }, "the database's clock", Failed, "behind", true},
	} {
		i := good
		c.change(&i)
		found, well := Database(&i)
		hit := false
		for _, f := range found {
			hit = hit || f.About == c.about && f.Status == c.status && strings.Contains(f.Says, c.says) && (c.status == OK || f.Do != "")
		}
		if !hit || well != c.well {
			t.Errorf("%s: %v, %+v", name, well, found)
		}
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	r := New(1, "v1", "here")
	r.Add(Fine("a", "b"), Doubtful("a", "b", "c"), Unseen("a", "b", "c"))
	r.Look("i", []assumption.Checked{{ID: "x", Result: assumption.Unknown}, {ID: "y", Result: assumption.Confirmed}})
	if !r.Well || r.Count(Warning) != 1 || len(r.Assumptions) != 2 {
		t.Errorf("%+v", r)
	}
	refuted := *r
	if refuted.Look("i", []assumption.Checked{{Result: assumption.Refuted}}); refuted.Well {
		t.Error("a refuted assumption is well")
	}
	if r.Add(Bad("a", "b", "c")); r.Well {
		t.Error("a failed finding is well")
	}
	if (&Ask{Live: true, Profile: "p", IntegrationID: "i", WriteTo: "w"}).Problems() != nil ||
		(&Ask{Profile: "p"}).Problems()["profile"] == "" || (&Ask{Live: true, WriteTo: "w"}).Problems()["write_to"] == "" {
		t.Error("which questions can be asked is told wrongly")
	}
}
