package incoming

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"testing"
	"time"
)

func addresses(t *testing.T, list ...string) Addresses {
	t.Helper()
	a, err := ParseAddresses(list)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "x", "10.0.0.0/33", "fe80::1%eth0", "::ffff:10.0.0.0/104", "1.2.3"} {
		if _, err := ParseAddresses([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	// What is not masked, or mapped, means the same.
	for _, same := range []string{"10.1.2.3/8", "10.0.0.0/8"} {
		a := addresses(t, same, "::ffff:192.0.2.1", "2001:db8::/32")
		for ip, want := range map[string]bool{"10.9.9.9": true, "11.0.0.1": false, "192.0.2.1": true, "192.0.2.2": false, "2001:db8::1": true, "2001:db9::1": false, "::ffff:10.9.9.9": true} {
			if got := a.Contains(netip.MustParseAddr(ip)); got != want {
				t.Errorf("%s contains %s: %v", same, ip, got)
			}
		}
	}
}

// Where a request comes from is what trusted proxies say, and nobody else.
func TestSourceBehindProxies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		peer    string
		said    []string // X-Forwarded-For, one header each
		proxies Addresses
		want    string
	}{
		"no proxy is trusted":             {"192.0.2.7:1", []string{"35.159.1.63"}, nil, "192.0.2.7"},
		"by the proxy":                    {"10.0.0.1:1", []string{"35.159.1.63"}, addresses(t, "10.0.0.0/8"), "35.159.1.63"},
		"not by the proxy":                {"192.0.2.7:1", []string{"35.159.1.63"}, addresses(t, "10.0.0.0/8"), "192.0.2.7"},
		"what the client itself says":     {"10.0.0.1:1", []string{"35.159.1.63, 192.0.2.7"}, addresses(t, "10.0.0.0/8"), "192.0.2.7"},
		"said in a header of its own":     {"10.0.0.1:1", []string{"35.159.1.63", "192.0.2.7"}, addresses(t, "10.0.0.0/8"), "192.0.2.7"},
		"two proxies":                     {"10.0.0.1:1", []string{"198.51.100.9, 35.159.1.63, 10.0.0.2"}, addresses(t, "10.0.0.0/8"), "35.159.1.63"},
		"nothing said":                    {"10.0.0.1:1", nil, addresses(t, "10.0.0.0/8"), "10.0.0.1"},
		"nonsense":                        {"10.0.0.1:1", []string{"35.159.1.63, unknown"}, addresses(t, "10.0.0.0/8"), "10.0.0.1"},
		"IPv6, mapped":                    {"[::1]:1", []string{"::ffff:35.159.1.63"}, addresses(t, "::1"), "35.159.1.63"},
		"every hop is one of the proxies": {"10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, addresses(t, "10.0.0.0/8"), "10.0.0.3"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.peer
		for _, s := range c.said {
			r.Header.Add("X-Forwarded-For", s)
		}
		got := ""
		Behind(c.proxies, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = Source(r) })).ServeHTTP(httptest.NewRecorder(), r)
		if got != c.want {
			t.Errorf("%s: it comes from %s, want %s", name, got, c.want)
		}
	}
}

func TestOnly(t *testing.T) {
	t.Parallel()
	refuse := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		from Addresses
		peer string
		want int
	}{
		{nil, "192.0.2.7:1", 200},
		{addresses(t, "35.159.1.63"), "35.159.1.63:1", 200},
		{addresses(t, "35.159.1.63"), "[::ffff:35.159.1.63]:1", 200},
		{addresses(t, "35.159.1.63"), "192.0.2.7:1", 403},
		{addresses(t, "35.159.1.63"), "@", 403},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.peer
		r.Header.Set("X-Forwarded-For", "35.159.1.63")
		w := httptest.NewRecorder()
		Only(c.from, refuse, ok).ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s, of %v, is answered %d", c.peer, c.from, w.Code)
		}
	}
}

// One address has no more connections than it may, whoever else has some, and
// has them again when it closes some.
func TestCrowd(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Crowd(inner, 3, addresses(t, "127.3.0.1"))
	defer l.Close()
	accepted := make(chan net.Conn, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	dial := func(from string, n int) (stay int) {
		for range n {
			conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", inner.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
				stay++
			}
		}
		return stay
	}
	if got := dial("127.3.0.2", 5); got != 3 {
		t.Errorf("%d of 5 stay", got)
	}
	if got := dial("127.3.0.3", 2); got != 2 {
		t.Errorf("%d of another's 2 stay", got)
	}
	if got := dial("127.3.0.1", 5); got != 5 {
		t.Errorf("%d of a proxy's 5 stay", got)
	}
	first := <-accepted
	first.Close()
	first.Close() // counts once
	if got := dial("127.3.0.2", 3); got != 1 {
		t.Errorf("after one was closed %d more stay", got)
	}
}
