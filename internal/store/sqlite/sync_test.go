package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

func log(t *testing.T) *syncer {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wal")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := newSyncer(path, func(time.Duration, int) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	return s
}

// Whoever asks while a sync is under way may have written after it began, and
// needs the next; one next serves them all.
func TestOneSyncServesAllThatWait(t *testing.T) {
	t.Parallel()
	s := log(t)
	synctest.Test(t, func(t *testing.T) {
		syncs := 0
		first := make(chan struct{})
		s.disk = func() error {
			if syncs++; syncs == 1 {
				<-first
			}
			return nil
		}
		var ended [11]bool
		var all sync.WaitGroup
		wait := func(n int) {
			all.Go(func() {
				if err := s.wait(); err != nil {
					t.Error(err)
				}
				ended[n] = true
			})
			synctest.Wait()
		}
		for n := range ended {
			wait(n)
		}
		if syncs != 1 || ended != [11]bool{} {
			t.Errorf("%d syncs were begun, and these have returned: %v", syncs, ended)
		}
		close(first)
		all.Wait()
		if syncs != 2 {
			t.Errorf("%d syncs, want 2", syncs)
		}
	})
}

// What a failed sync should have written may be lost, and a second one would
// not tell.
func TestAfterAFailedSyncNothingIsAccepted(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir(), Options{})
	m := &consent.Message{Type: consent.EventCreated, OrganizationUserID: "ana", Regulation: "gdpr"}
	batch := []store.Inbound{{Organization: "acme", Message: m, Payload: []byte("{}")}}
	broken := true
	e.sync.disk = func() error {
		if broken {
			return errors.New("the disk is gone")
		}
		return nil
	}
	for range 2 {
		if err := e.Enqueue(t.Context(), batch); consent.KindOf(err) != consent.Transient {
			t.Fatalf("got %v", err)
		}
		broken = false
	}
	if err := e.Ping(t.Context()); err == nil {
		t.Error("the database counts as healthy")
	}
	if err := e.Checkpoints(t.Context()); err == nil {
		t.Error("the program is not told")
	}
}

// A write-ahead log that SQLite made anew is the one that is synced.
func TestTheSyncFollowsTheLog(t *testing.T) {
	t.Parallel()
	s := log(t)
	if err := os.Rename(s.path, s.path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := s.wait(); err == nil {
		t.Fatal("a log that is gone was synced")
	}
	s = log(t)
	if err := os.Rename(s.path, s.path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.wait(); err != nil {
		t.Fatal(err)
	}
	is, err := os.Stat(s.path)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := s.wal.Stat(); err != nil || !os.SameFile(is, opened) {
		t.Errorf("another file is synced: %v", err)
	}
}

// Every write returns only after a sync that began when it was committed.
func TestWritesAreSynced(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir(), Options{})
	synced := 0
	e.sync.disk = func() error { synced++; return nil }
	m := &consent.Message{Type: consent.EventCreated, OrganizationUserID: "ana", Regulation: "gdpr"}
	batch := []store.Inbound{{Organization: "acme", Message: m, Payload: []byte("{}")}}
	for name, write := range map[string]func() error{
		"Accept":     func() error { _, err := e.Accept(t.Context(), batch); return err },
		"Enqueue":    func() error { return e.Enqueue(t.Context(), batch) },
		"SetFeature": func() error { return e.SetFeature(t.Context(), "acme", true) },
	} {
		before := synced
		if err := write(); err != nil || synced == before {
			t.Errorf("%s: %v, %d syncs", name, err, synced-before)
		}
	}
}
