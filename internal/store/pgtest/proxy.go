package pgtest

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy is the network between a node and the server of this process, for
// tests that disturb it.
type Proxy struct {
	listener net.Listener
	server   string

	mu   sync.Mutex
	open map[net.Conn]bool
	down bool
	eat  []byte
	flow chan struct{} // closed while what is sent arrives
}

// NewProxy makes an undisturbed network. It is gone with the test.
func NewProxy(t testing.TB) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it ends with the test
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, server: Shared(t).Socket(), open: make(map[net.Conn]bool), flow: make(chan struct{})}
	close(p.flow)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.Cut()
		p.Mend()
		p.Cut() // what was about to be opened
		serving.Wait()
	})
	return p
}

// Address leads to a database through the network. Direct is the address that
// Database or Prepared gave.
func (p *Proxy) Address(direct string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(direct, "postgres://postgres@/"), "?")
	return "postgres://postgres@" + p.listener.Addr().String() + "/" + name + "?sslmode=disable"
}

// Cut ends all connections, as a crash of the server would, and refuses new ones
// until Mend.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for c := range p.open {
		_ = c.Close()
	}
}

// Hold lets nothing arrive any more, in either direction, and tells nobody. What
// is sent meanwhile arrives after Mend.
func (p *Proxy) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flow = make(chan struct{})
}

// Mend undoes Cut and Hold.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
	select {
	case <-p.flow:
	default:
		close(p.flow)
	}
}

// Eat ends the connection on which a client next sends a message with this text:
// the server gets it, and its answer finds nobody.
func (p *Proxy) Eat(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.eat = []byte(text)
}

// join keeps account of a connection, unless there can be none.
func (p *Proxy) join(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.down {
		p.open[c] = true
	}
	return !p.down
}

func (p *Proxy) leave(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

func (p *Proxy) serve(client net.Conn) {
	defer p.leave(client)
	if !p.join(client) {
		return
	}
	server, err := net.Dial("unix", p.server) //nolint:noctx // Cut ends it
	if err != nil {
		return
	}
	defer p.leave(server)
	if !p.join(server) {
		return
	}
	answered := make(chan struct{})
	var eaten atomic.Bool
	go func() {
		defer close(answered)
		p.pass(client, server, func([]byte) bool { return eaten.Load() })
		_ = client.Close()
	}()
	p.pass(server, client, func(sent []byte) bool {
		if p.eats(sent) {
			eaten.Store(true)
			if _, err := server.Write(sent); err == nil {
				<-answered // a client that knew before would have it cancelled
			}
		}
		return eaten.Load()
	})
	_ = server.Close()
	<-answered
}

// eats tells whether what a client sends is to be eaten, which it is once.
func (p *Proxy) eats(sent []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.eat == nil || !bytes.Contains(sent, p.eat) {
		return false
	}
	p.eat = nil
	return true
}

// pass hands over what one side sends to the other, until one of them has
// enough, or it is told to stop before it hands something over.
func (p *Proxy) pass(to, from net.Conn, stop func(sent []byte) bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		flow := p.flow
		p.mu.Unlock()
		<-flow
		if stop(buf[:n]) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
