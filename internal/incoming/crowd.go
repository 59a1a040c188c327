package incoming

import (
	"net"
	"net/netip"
	"sync"
)

// MostFrom bounds how many connections one address may have at once: more than
// any of the outside parties needs, and few enough to leave file descriptors for
// the others.
const MostFrom = 512

// Crowd wraps a listener: what an address opens beyond most connections is closed
// at once. Proxies may have as many as they like. A network of 64 bits counts as
// one address of IPv6.
func Crowd(l net.Listener, most int, proxies Addresses) net.Listener {
	return &crowd{Listener: l, most: most, proxies: proxies, open: map[netip.Prefix]int{}}
}

type crowd struct {
	net.Listener
	most    int
	proxies Addresses

	mu   sync.Mutex
	open map[netip.Prefix]int
}

// Accept waits for a connection that may stay.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		ip, err := netip.ParseAddr(Peer(conn.RemoteAddr().String()))
		if err != nil || c.proxies.Contains(ip) {
			return conn, nil //nolint:nilerr // no address of the internet: a socket of this machine
		}
		from := whole(ip)
		if c.enter(from) {
			return &counted{Conn: conn, leave: sync.OnceFunc(func() { c.leave(from) })}, nil
		}
		_ = conn.Close()
	}
}

// whole is what counts as one address.
func whole(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // both are possible
	return p
}

func (c *crowd) enter(from netip.Prefix) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[from] >= c.most {
		return false
	}
	c.open[from]++
	return true
}

func (c *crowd) leave(from netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[from]--; c.open[from] == 0 {
		delete(c.open, from)
	}
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}
