// Package pgtest gives tests a real PostgreSQL.
//
// A process of tests has one server, made of Debian's binaries in a temporary
// folder, and each test a database of its own in it. The server listens on a
// Unix socket in that folder, so that nothing on the machine is disturbed, and
// ends with the process, however that ends.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a running PostgreSQL.
type Server struct {
	dir  string
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan struct{}
}

// folder is the name of the cluster's folder within the server's.
const folder = "data"

// Start makes an empty cluster and starts it. Settings are those of
// postgresql.conf, as name=value.
func Start(settings ...string) (_ *Server, err error) {
	bin, err := Binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{done: make(chan struct{})}
	if s.dir, err = os.MkdirTemp("", "pgtest-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(s.dir)
		}
	}()
	attributes, err := s.unprivileged()
	if err != nil {
		return nil, err
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(s.dir, folder), "-U", "postgres", "-A", "trust", "-E", "UTF8", //nolint:noctx,gosec // it ends by itself; the binaries are the system's
		"--locale=C.UTF-8", "--no-sync", "--no-instructions")
	initdb.SysProcAttr, initdb.Dir = attributes, s.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	arguments := []string{"-D", filepath.Join(s.dir, folder), "-k", s.dir, "-h", ""}
	for _, setting := range append([]string{"max_connections=200", "shared_buffers=64MB", "max_wal_size=2GB", "log_min_messages=fatal"}, settings...) {
		arguments = append(arguments, "-c", setting)
	}
	s.cmd = exec.Command(filepath.Join(bin, "postgres"), arguments...) //nolint:noctx,gosec // Stop ends it; the binaries are the system's
	s.cmd.SysProcAttr, s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = attributes, s.dir, &s.out, &s.out
	if err := s.run(); err != nil {
		return nil, err
	}
	return s, s.wait()
}

// Binaries gives the folder with the programs of the newest PostgreSQL that
// Debian has installed, or of the one on PATH.
func Binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("PostgreSQL's initdb is missing: install Debian's package postgresql, or put the bin folder of your PostgreSQL on PATH")
	}
	return filepath.Dir(path), nil
}

// version is that of /usr/lib/postgresql/VERSION/bin/initdb.
func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// unprivileged gives the folder to a user who may run the server, which refuses
// to be run by root.
func (s *Server) unprivileged() (*syscall.SysProcAttr, error) {
	// The server must not outlive the tests.
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Getuid() != 0 {
		return attributes, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return attributes, os.Chown(s.dir, int(uid), int(gid))
	}
	return nil, errors.New("there is neither a user postgres nor nobody to run PostgreSQL as")
}

// run starts the server from a thread that lives as long as it: the signal of
// the parent's death comes when the thread ends.
func (s *Server) run() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait() // how it ends does not matter
			close(s.done)
		}
	}()
	return <-started
}

func (s *Server) wait() error {
	deadline := time.Now().Add(60 * time.Second)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			err = conn.Close(ctx)
		}
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			_ = os.RemoveAll(s.dir)
			return fmt.Errorf("PostgreSQL has ended: %s", &s.out)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.Stop()
			return fmt.Errorf("PostgreSQL does not answer: %w", err)
		}
	}
}

// URL is the address of a database.
func (s *Server) URL(database string) string {
	return "postgres://postgres@/" + database + "?host=" + s.dir
}

// Socket is the path of the socket that it listens on.
func (s *Server) Socket() string { return filepath.Join(s.dir, ".s.PGSQL.5432") }

// Stop ends the server and removes its folder.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGQUIT) // at once; nothing is kept
	<-s.done
	_ = os.RemoveAll(s.dir)
}

// Exec runs statements in a database, each on its own.
func (s *Server) Exec(ctx context.Context, database string, statements ...string) error {
	conn, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // what matters was answered
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// shared is the server of this process.
var shared struct {
	sync.Mutex
	server    *Server
	failed    error
	databases int
	templates map[string]bool
	free      map[string][]string // databases by the template that they are like
}

// Shared gives the server of this process, and starts it at first. It does not
// wait for the disk: what tests durability starts one of its own.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	return sharedServer(t)
}

// sharedServer is Shared for who has the lock.
func sharedServer(t testing.TB) *Server {
	t.Helper()
	if shared.server == nil && shared.failed == nil {
		shared.server, shared.failed = Start("fsync=off", "full_page_writes=off")
	}
	if shared.failed != nil {
		t.Fatal(shared.failed)
	}
	return shared.server
}

// Database makes an empty database for a test, removed with it, and gives its
// address.
func Database(t testing.TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	s := sharedServer(t)
	name := create(t, s, "template0")
	t.Cleanup(func() {
		if err := s.Exec(context.Background(), "postgres", `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err != nil {
			t.Error(err)
		}
	})
	return s.URL(name)
}

// Prepared gives the address of a database like one that prepare has made,
// once. After the test the statements of reset make it so again, for another:
// that takes a small part of the time of a new one.
func Prepared(t testing.TB, name string, prepare func(address string) error, reset ...string) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	s := sharedServer(t)
	if !shared.templates[name] {
		err := s.Exec(t.Context(), "postgres", `CREATE DATABASE `+name+` TEMPLATE template0`)
		if err == nil {
			err = prepare(s.URL(name))
		}
		if err != nil {
			t.Fatal(err)
		}
		if shared.templates == nil {
			shared.templates, shared.free = make(map[string]bool), make(map[string][]string)
		}
		shared.templates[name] = true
	}
	var database string
	if free := shared.free[name]; len(free) > 0 {
		database, shared.free[name] = free[len(free)-1], free[:len(free)-1]
	} else {
		database = create(t, s, name)
	}
	t.Cleanup(func() {
		if err := s.Exec(context.Background(), database, reset...); err != nil {
			t.Errorf("the database cannot be reset: %v", err)
			return
		}
		shared.Lock()
		defer shared.Unlock()
		shared.free[name] = append(shared.free[name], database)
	})
	return s.URL(database)
}

func create(t testing.TB, s *Server, template string) string {
	t.Helper()
	shared.databases++
	name := fmt.Sprintf("test%d", shared.databases)
	if err := s.Exec(t.Context(), "postgres", `CREATE DATABASE `+name+` TEMPLATE `+template); err != nil {
		t.Fatal(err)
	}
	return name
}

// Main runs the tests of a package that uses Shared; its TestMain calls it.
func Main(m *testing.M) int {
	defer func() {
		if shared.server != nil {
			shared.server.Stop()
		}
	}()
	return m.Run()
}
