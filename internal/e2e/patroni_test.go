//go:build soak

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/store/pgtest"
)

// patroni is a PostgreSQL of three members that are watched over by Patroni,
// which agrees upon the leader in etcd: Debian's packages patroni, etcd-server
// and postgresql, all on the loopback interface, in a folder of the test's.
type patroni struct {
	t       *testing.T
	dir     string
	owner   *user.User
	etcd    string // its address
	members []*member
}

// member is one PostgreSQL with the Patroni that watches over it.
type member struct {
	name              string
	database, control string // addresses
	dir               string
	daemon            *daemon
}

// daemon is a process in the background.
type daemon struct {
	cmd  *exec.Cmd
	out  *os.File // not a pipe, which children that are left would keep open
	done chan struct{}
}

const patroniConfig = `scope: soak
name: %[1]s
restapi: {listen: %[2]s, connect_address: %[2]s}
etcd3: {host: %[3]s}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 2
    retry_timeout: 4
    maximum_lag_on_failover: 33554432
    synchronous_mode: true
    synchronous_mode_strict: true
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters: {max_connections: 150, shared_buffers: 64MB, wal_log_hints: 'on', synchronous_commit: 'on', max_wal_size: 1GB}
  initdb: [{encoding: UTF8}, {locale: C.UTF-8}, data-checksums]
  pg_hba: [host all all 127.0.0.1/32 trust, host replication all 127.0.0.1/32 trust]
postgresql:
  listen: %[4]s
  connect_address: %[4]s
  data_dir: %[5]s/data
  bin_dir: %[6]s
  pgpass: %[5]s/pgpass
  authentication: {superuser: {username: postgres}, replication: {username: postgres}, rewind: {username: postgres}}
  parameters: {unix_socket_directories: %[5]s}
`

// startPatroni starts all of it, with an empty database of the name
// consentsync. It ends with the test.
func startPatroni(t *testing.T) *patroni {
	t.Helper()
	for _, program := range []string{"etcd", "patroni"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: scripts/soak says what to install", err)
		}
	}
	bin, err := pgtest.Binaries()
	if err != nil {
		t.Fatal(err)
	}
	p := &patroni{t: t}
	if p.owner, err = user.Current(); err == nil && p.owner.Uid == "0" {
		p.owner, err = user.Lookup("postgres") // which refuses to be run by root
	}
	if err != nil {
		t.Fatal(err)
	}
	if p.dir, err = os.MkdirTemp("", "soak-"); err != nil {
		t.Fatal(err)
	}
	p.own(p.dir)
	t.Cleanup(p.end)
	addresses := freeAddresses(t, 8)
	p.etcd = addresses[0]
	p.run("etcd", "--data-dir", filepath.Join(p.dir, "etcd"), "--listen-client-urls", "http://"+p.etcd, "--advertise-client-urls", "http://"+p.etcd,
		"--listen-peer-urls", "http://"+addresses[1], "--initial-advertise-peer-urls", "http://"+addresses[1], "--initial-cluster", "default=http://"+addresses[1])
	for i := range 3 {
		m := &member{name: fmt.Sprintf("member%d", i+1), database: addresses[2+2*i], control: addresses[3+2*i]}
		m.dir = filepath.Join(p.dir, m.name)
		if err := os.Mkdir(m.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		p.own(m.dir)
		text := fmt.Sprintf(patroniConfig, m.name, m.control, p.etcd, m.database, m.dir, bin)
		if err := os.WriteFile(filepath.Join(m.dir, "patroni.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		p.members = append(p.members, m)
		p.start(m)
	}
	p.settle()
	conn, err := pgx.Connect(t.Context(), p.address("postgres"))
	if err == nil {
		_, err = conn.Exec(t.Context(), "CREATE DATABASE consentsync")
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
	return p
}

// address names all members, whichever leads.
func (p *patroni) address(database string) string {
	var hosts []string
	for _, m := range p.members {
		hosts = append(hosts, m.database)
	}
	return "postgres://postgres@" + strings.Join(hosts, ",") + "/" + database + "?sslmode=disable&connect_timeout=2&target_session_attrs=read-write"
}

func (p *patroni) own(path string) {
	p.t.Helper()
	uid, err1 := strconv.Atoi(p.owner.Uid)
	gid, err2 := strconv.Atoi(p.owner.Gid)
	if err := errors.Join(err1, err2, os.Chown(path, uid, gid)); err != nil {
		p.t.Fatal(err)
	}
}

// run starts a program in the background as the owner, from a thread that lives
// as long as it: it is asked to end when the tests have died.
func (p *patroni) run(program string, args ...string) *daemon {
	p.t.Helper()
	d := &daemon{cmd: exec.Command(program, args...), done: make(chan struct{})}
	var err error
	if d.out, err = os.CreateTemp(p.dir, program+"-*.log"); err != nil {
		p.t.Fatal(err)
	}
	d.cmd.Dir, d.cmd.Stdout, d.cmd.Stderr = p.dir, d.out, d.out
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if os.Getuid() == 0 {
		uid, _ := strconv.ParseUint(p.owner.Uid, 10, 32)
		gid, _ := strconv.ParseUint(p.owner.Gid, 10, 32)
		d.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := d.cmd.Start()
		started <- err
		if err == nil {
			_ = d.cmd.Wait()
			close(d.done)
		}
	}()
	if err := <-started; err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.done:
		case <-time.After(20 * time.Second):
			_ = d.cmd.Process.Kill()
			<-d.done
		}
		if text, err := os.ReadFile(d.out.Name()); p.t.Failed() {
			p.t.Logf("%s said: %v %s", program, err, text[max(0, len(text)-2000):])
		}
		_ = d.out.Close()
	})
	return d
}

func (p *patroni) start(m *member) {
	m.daemon = p.run("patroni", filepath.Join(m.dir, "patroni.yaml"))
}

// end removes the folder, and what a killed Patroni has left running.
func (p *patroni) end() {
	for _, m := range p.members {
		p.killDatabase(m)
	}
	_ = os.RemoveAll(p.dir)
}

// killDatabase kills the member's PostgreSQL, if it runs.
func (p *patroni) killDatabase(m *member) {
	text, err := os.ReadFile(filepath.Join(m.dir, "data", "postmaster.pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err2 := strconv.Atoi(first)
	if err := errors.Join(err, err2); err != nil {
		p.t.Error(err)
		return
	}
	_ = syscall.Kill(pid, syscall.SIGKILL) // its children end when it is gone
}

// standing is what Patroni tells of a member.
type standing struct{ Name, Role, State string }

// standings asks any member how all of them are.
func (p *patroni) standings() []standing {
	for _, m := range p.members {
		var cluster struct{ Members []standing }
		if status := p.ask(http.MethodGet, m, "/cluster", nil, &cluster); status == http.StatusOK {
			return cluster.Members
		}
	}
	return nil
}

// ask calls the control address of a member; the status is 0 where it does not
// answer.
func (p *patroni) ask(method string, m *member, path string, in, out any) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+m.control+path, bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if out != nil && json.NewDecoder(resp.Body).Decode(out) != nil {
		return 0
	}
	return resp.StatusCode
}

// settle waits until all members are there, one leads, and one follows
// synchronously.
func (p *patroni) settle() {
	p.t.Helper()
	var last []standing
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); pause(200 * time.Millisecond) {
		last = p.standings()
		roles := map[string]int{}
		for _, s := range last {
			if s.State == "running" || s.State == "streaming" {
				roles[s.Role]++
			}
		}
		if roles["leader"] == 1 && roles["sync_standby"] == 1 && roles["replica"] == 1 {
			return
		}
	}
	p.t.Fatalf("the members do not settle: %+v", last)
}

// with finds the member of a role.
func (p *patroni) with(role string) *member {
	p.t.Helper()
	for _, s := range p.standings() {
		for _, m := range p.members {
			if s.Role == role && s.Name == m.name {
				return m
			}
		}
	}
	p.t.Fatalf("no member is %s: %+v", role, p.standings())
	return nil
}

// killLeader kills the leader and the Patroni beside it, as if its machine had
// died, and starts it again once another leads.
func (p *patroni) killLeader() {
	p.t.Helper()
	leader := p.with("leader")
	_ = leader.daemon.cmd.Process.Kill()
	<-leader.daemon.done
	p.killDatabase(leader)
	for deadline := time.Now().Add(2 * time.Minute); ; pause(200 * time.Millisecond) {
		for _, s := range p.standings() {
			if s.Role == "leader" && s.Name != leader.name && s.State == "running" {
				p.start(leader)
				return
			}
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("no other member leads: %+v", p.standings())
		}
	}
}

// switchOver has the synchronous follower lead.
func (p *patroni) switchOver() {
	p.t.Helper()
	leader, next := p.with("leader"), p.with("sync_standby")
	if status := p.ask(http.MethodPost, leader, "/switchover", map[string]string{"leader": leader.name, "candidate": next.name}, nil); status != http.StatusOK {
		p.t.Fatalf("the switchover was answered %d", status)
	}
	if p.with("leader") != next {
		p.t.Errorf("%s does not lead", next.name)
	}
}

// freeAddresses are ports of the loopback interface that nobody listens on.
func freeAddresses(t *testing.T, n int) (all []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all
}
