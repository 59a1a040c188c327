package sqlite

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// syncer makes committed transactions durable. One sync of the write-ahead log
// serves all that were committed before it began, and the next transaction runs
// meanwhile: with SQLite's own synchronous=FULL it would have to wait.
//
// The log is only ever appended to between checkpoints, its frames are chained
// by checksums, and a checkpoint syncs it itself before it starts it anew. So
// what wait has vouched for is in the log on disk, or in the database.
type syncer struct {
	path string
	wal  *os.File
	disk func() error // syncs; called by one goroutine at a time

	mu      sync.Mutex
	ended   sync.Cond
	running bool
	begun   uint64 // syncs that were begun
	done    uint64 // the last one that has ended
	failed  error
	waiting int // transactions that the next sync serves
	// synced is told of each sync: how long it took, and for how many transactions.
	synced func(took time.Duration, transactions int)
}

func newSyncer(path string, synced func(time.Duration, int)) (*syncer, error) {
	wal, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	s := &syncer{path: path, wal: wal, synced: synced}
	s.ended.L, s.disk = &s.mu, s.sync
	return s, nil
}

// wait returns when all that was committed before it was called is on disk.
//
// After one failure it fails for ever: the system may have dropped what it
// could not write, and the next sync would succeed without it. Only the log as
// the disk has it, read at the next start, tells what is there.
func (s *syncer) wait() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting++
	for need := s.begun + 1; s.done < need && s.failed == nil; {
		if s.running {
			s.ended.Wait()
			continue
		}
		s.running = true
		s.begun++
		transactions := s.waiting
		s.waiting = 0
		s.mu.Unlock()
		start := time.Now()
		err := s.disk()
		s.synced(time.Since(start), transactions)
		s.mu.Lock()
		s.running, s.done = false, s.begun
		if err != nil {
			s.failed = fmt.Errorf("the write-ahead log cannot be synced, which needs a restart: %w", err)
		}
		s.ended.Broadcast()
	}
	return s.failed
}

// sync puts the log on disk. fdatasync is as good as fsync here; see Open.
func (s *syncer) sync() error {
	if err := s.follow(); err != nil {
		return err
	}
	for {
		if err := unix.Fdatasync(int(s.wal.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// follow opens the log again should SQLite have made a new one, which it does
// when all connections were closed meanwhile.
func (s *syncer) follow() error {
	var is, was unix.Stat_t
	if err := unix.Stat(s.path, &is); err != nil {
		return err
	}
	if err := unix.Fstat(int(s.wal.Fd()), &was); err != nil {
		return err
	}
	if is.Ino == was.Ino && is.Dev == was.Dev {
		return nil
	}
	wal, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_ = s.wal.Close()
	s.wal = wal
	return nil
}

// failure tells whether a sync has failed.
func (s *syncer) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func (s *syncer) close() error { return s.wal.Close() }
