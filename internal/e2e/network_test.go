package e2e_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"consentsync/internal/simulator"
	"consentsync/internal/store/pgtest"
)

// The network between the node that delivers and the database fails, so that
// nothing arrives or so that connections are refused, and heals. Another node
// goes on within the life of a lease; nothing acknowledged is lost, nobody has
// two calls under way, and the node is of use again.
func TestNetworkBetweenANodeAndTheDatabase(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := setupNodes(t, simulator.ActitoOptions{CallsPerMinute: -1, Latency: 20 * time.Millisecond, Seed: seed}, 1)
	network := pgtest.NewProxy(t)
	far := c.add(program, network.Address(c.nodes[0].database))
	c.integrate(nil)
	c.letHold(far)
	s := startSoak(t, c.bundle, seed)
	for what, disturb := range map[string]func(){"a silent network": network.Hold, "a network that refuses": network.Cut} {
		pause(time.Second)
		disturb()
		c.handedOver(what)
		if c.isReady(far) {
			t.Errorf("%s: the node says that it is ready", what)
		}
		s.order.allow(2 * time.Second)
		network.Mend()
		c.within(30*time.Second, "the node is ready again", func() bool { return c.isReady(far) })
		c.letHold(far)
	}
	s.finish()
	s.checkAcknowledged()
	s.checkEnd()
	s.checkOrder()
	t.Logf("%d events of %d people acknowledged in %d posts, %d calls", s.sent.Load(), len(s.people), s.posts.Load(), c.actito.CallCount())
	if n := c.actito.MaxOverlap(); n > 1 {
		t.Errorf("%d calls were under way for one profile at once", n)
	}
}

// isReady asks a node whether it can accept.
func (c *cluster) isReady(n *node) bool {
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, *n.url.Load()+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
