package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"consentsync/internal/app"
	"consentsync/internal/simulator"
)

// dialFrom gives a dialer that calls from an address of this machine.
func dialFrom(ip string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}).DialContext
}

// Clients that send their requests a byte now and then, and such that flood the
// program with what is refused, hold up nobody who comes from elsewhere.
func TestSlowAndFloodingClientsHoldUpNobody(t *testing.T) {
	parallelUnlessShort(t, timed)
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1}, func(c *app.Config) { c.HeadTimeout, c.ReadTimeout = time.Second, 2*time.Second })
	b.integrate(nil)
	address := strings.TrimPrefix(b.url, "http://")
	var stop atomic.Bool
	var wait sync.WaitGroup
	defer wait.Wait()
	defer stop.Store(true)

	// Half of the slow ones never end the head of a request, the others its body.
	var cut, slow atomic.Int64
	for i := range 200 {
		wait.Go(func() {
			conn, err := dialFrom("127.4.0.1")(context.Background(), "tcp", address)
			if err != nil {
				return
			}
			defer conn.Close()
			slow.Add(1)
			head := "POST /webhooks/didomi/acme-org HTTP/1.1\r\nHost: x\r\nX-Slow: "
			if i%2 == 0 {
				head = "POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
			}
			began := time.Now()
			for _, err = conn.Write([]byte(head)); err == nil && !stop.Load() && time.Since(began) < patience; {
				pause(100 * time.Millisecond)
				_, err = conn.Write([]byte("x"))
			}
			if err != nil {
				cut.Add(1)
			}
		})
	}
	var refused atomic.Int64
	flood := &http.Client{Transport: &http.Transport{DialContext: dialFrom("127.4.0.2"), MaxConnsPerHost: 16}}
	for i := range 16 {
		wait.Go(func() {
			for n := 0; !stop.Load(); n++ {
				path, body := "/oauth/token", "grant_type=client_credentials&client_id=wc&client_secret=guess"
				if (i+n)%2 == 0 {
					path, body = "/webhooks/didomi/"+organization, strings.Repeat("x", 2<<20)
				}
				resp, err := flood.Post(b.url+path, "application/x-www-form-urlencoded", strings.NewReader(body))
				if err != nil {
					continue // the answer came before the body was read
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode >= 400 && resp.StatusCode < 500 {
					refused.Add(1)
				}
			}
		})
	}
	b.eventually("both are under way", func() bool { return slow.Load() == 200 && refused.Load() > 20 })

	for n := range 50 {
		email := fmt.Sprintf("calm%d@example.com", n)
		began := time.Now()
		b.send(event(email, email, time.Now(), simulator.Choices{"newsletter": yes()}))
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("a webhook took %v", took)
		}
	}
	b.authenticate()
	b.looks("what was accepted is delivered", func() bool { return b.on("calm49@example.com", "Newsletter") })
	b.looks("the slow ones are cut off", func() bool { return cut.Load() == 200 })
	if status, _ := b.ask(http.MethodGet, "/readyz", ""); status != http.StatusOK {
		t.Errorf("/readyz answers %d", status)
	}
}

// Didomi may be made to come from its own addresses, which a trusted proxy tells
// and nobody else.
func TestDidomiComesFromItsAddresses(t *testing.T) {
	t.Parallel()
	b := newBundle(t, simulator.ActitoOptions{})
	b.cfg.DidomiAddresses, b.cfg.TrustedProxies = []string{"35.159.1.63", "127.5.0.0/16"}, []string{"127.6.0.1"}
	t.Cleanup(b.stop)
	b.start()
	transport := &http.Transport{DialContext: dialFrom("127.5.0.1")}
	from := func(ip string) {
		transport.CloseIdleConnections()
		transport.DialContext = dialFrom(ip)
	}
	b.http = &http.Client{Transport: transport}
	b.enrol() // which asks for a token
	payload := `{"type":"event.created","parameters":{"entity":{"id":"e1","user":{"organization_user_id":"anna@example.com"}}}}`
	for _, c := range []struct {
		from, said string
		want       int
	}{
		{"127.5.0.1", "", 200},
		{"127.6.0.1", "35.159.1.63", 200},
		{"127.6.0.1", "192.0.2.1, 35.159.1.63", 200},
		{"127.6.0.1", "35.159.1.63, 192.0.2.1", 403},
		{"127.6.0.1", "", 403},
		{"127.7.0.1", "35.159.1.63", 403},
	} {
		from(c.from)
		status, answer, err := b.request(http.MethodPost, "/webhooks/didomi/"+organization, payload, "Authorization", "Bearer "+b.token, "X-Forwarded-For", c.said)
		if err != nil || status != c.want {
			t.Errorf("from %s, said to come from %q, is answered %d %s, %v", c.from, c.said, status, answer, err)
		}
		status, _, err = b.request(http.MethodPost, "/oauth/token", `{"grant_type":"client_credentials"}`, "X-Forwarded-For", c.said)
		if (status == http.StatusForbidden) != (c.want == http.StatusForbidden) {
			t.Errorf("a token is asked for from %s, said to come from %q, and answered %d, %v", c.from, c.said, status, err)
		}
	}
	from("127.7.0.1")
	b.must(http.MethodGet, "/v1/organizations", "", http.StatusOK, nil) // that is not Didomi's
}
