package e2e_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"consentsync/internal/simulator"
	"consentsync/internal/store"
	"consentsync/internal/store/pgtest"
)

// cluster is several nodes on one PostgreSQL, behind a balancer that knows
// nothing of how they are.
type cluster struct {
	*bundle
	nodes []*node
}

type node struct {
	process  *process
	program  func() (string, error)
	database string // where it finds it
	url      atomic.Pointer[string]
}

// setupNodes starts nodes on an empty database.
func setupNodes(t *testing.T, opts simulator.ActitoOptions, n int) *cluster {
	t.Helper()
	return setupNodesOn(t, pgtest.Database(t), opts, n)
}

// setupNodesOn is setupNodes with an empty database that is there.
func setupNodesOn(t *testing.T, database string, opts simulator.ActitoOptions, n int) *cluster {
	t.Helper()
	c := &cluster{bundle: newBundle(t, opts)}
	for range n { // the first makes the master key in the directory that they share
		c.add(program, database)
	}
	balancer := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", strings.TrimPrefix(*c.nodes[rand.IntN(len(c.nodes))].url.Load(), "http://")
		},
		Transport:    &http.Transport{ResponseHeaderTimeout: 6 * time.Second},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusServiceUnavailable) },
		ErrorLog:     nil,
	})
	t.Cleanup(balancer.Close)
	c.url = balancer.URL
	c.enrol()
	return c
}

// add starts one more node.
func (c *cluster) add(program func() (string, error), database string) *node {
	c.t.Helper()
	n := &node{program: program, database: database}
	c.start(n)
	c.nodes = append(c.nodes, n)
	return n
}

// start starts a node, or starts it again.
func (c *cluster) start(n *node) {
	c.t.Helper()
	c.cfg.Database = n.database
	n.process = c.spawnOf(n.program)
	n.url.Store(new(n.process.ready()))
}

// end asks a node to end and waits for it.
func (c *cluster) end(n *node) {
	c.t.Helper()
	n.process.terminate()
	if code := n.process.exit(); code != 0 {
		c.t.Errorf("after SIGTERM the exit code is %d: %s", code, &n.process.stderr)
	}
}

// restart starts a node again, as another program perhaps.
func (c *cluster) restart(n *node, program func() (string, error)) {
	c.t.Helper()
	c.end(n)
	n.program = program
	c.start(n)
}

// letHold has a node hold the one licence, of two nodes.
func (c *cluster) letHold(n *node) {
	c.t.Helper()
	for _, other := range c.nodes {
		if other != n {
			c.end(other)
			defer c.start(other)
		}
	}
	c.eventually("it holds the licence", func() bool { return c.holder() == n })
}

// at is the program as one node shows it.
func (c *cluster) at(n *node) *bundle {
	b := *c.bundle
	b.url = *n.url.Load()
	return &b
}

// holds tells how many licences a node delivers for; "" if it does not answer.
func (c *cluster) holds(n *node) string { return c.metric(n, "consentsync_licences_held") }

// metric reads what a node says in its metrics; "" if it does not.
func (c *cluster) metric(n *node, name string) string {
	ctx, cancel := context.WithTimeout(c.t.Context(), 500*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, *n.url.Load()+"/metrics", nil)
	if err != nil {
		return ""
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	_, after, found := bytes.Cut(text, []byte("\n"+name+" "))
	if err != nil || !found {
		return ""
	}
	value, _, _ := bytes.Cut(after, []byte("\n"))
	return string(value)
}

// holder is the node that delivers for the one licence; nil while none does.
func (c *cluster) holder() *node {
	for _, n := range c.nodes {
		if c.holds(n) == "1" {
			return n
		}
	}
	return nil
}

func (c *cluster) mustHold() *node {
	c.t.Helper()
	var n *node
	c.eventually("a node holds the licence", func() bool {
		n = c.holder()
		return n != nil
	})
	return n
}

// handedOver waits for the first call of another node after one was stopped,
// and wants it within the life of a lease and little more.
func (c *cluster) handedOver(what string) (took time.Duration) {
	c.t.Helper()
	start := time.Now()
	pause(time.Second) // what was under way has ended
	calls := c.actito.CallCount()
	c.eventually("calls are made after "+what, func() bool { return c.actito.CallCount() > calls })
	took = time.Since(start)
	c.t.Logf("%s: the next call after %v", what, took.Round(time.Millisecond))
	if took > store.LeaseLife+5*time.Second {
		c.t.Errorf("%s: the licence was handed over in %v", what, took)
	}
	return took
}

// Three nodes accept; the one that delivers is killed, another is frozen for
// longer than its lease and goes on. Nothing acknowledged is lost, nobody has
// two calls under way, and everyone is right in the end.
func TestNodesThatDieAndFreeze(t *testing.T) {
	parallelUnlessShort(t, crashes)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := setupNodes(t, simulator.ActitoOptions{CallsPerMinute: -1, Latency: 20 * time.Millisecond, Seed: seed}, 3)
	c.integrate(nil)
	s := startSoak(t, c.bundle, seed)
	pause(time.Second)

	dead := c.mustHold()
	dead.process.kill()
	c.handedOver("a kill")
	c.start(dead)
	pause(2 * time.Second)

	frozen := c.mustHold()
	signal(t, frozen.process, syscall.SIGSTOP)
	c.handedOver("a freeze")
	pause(time.Second)
	// What a frozen node has under its hands lands late, when it goes on (R16).
	overlap := c.actito.MaxOverlap()
	s.order.allow(2 * time.Second)
	signal(t, frozen.process, syscall.SIGCONT)
	pause(2 * time.Second)

	released := c.mustHold()
	released.process.terminate()
	start := time.Now()
	if code := released.process.exit(); code != 0 {
		t.Errorf("after SIGTERM the exit code is %d: %s", code, &released.process.stderr)
	}
	c.eventually("another node delivers", func() bool { n := c.holder(); return n != nil && n != released })
	t.Logf("SIGTERM: another node holds the licence after %v", time.Since(start).Round(time.Millisecond))
	c.start(released)

	s.finish()
	s.checkAcknowledged()
	s.checkEnd()
	s.checkOrder()
	t.Logf("%d events of %d people acknowledged in %d posts, %d of them by way of the inbox, %d calls",
		s.sent.Load(), len(s.people), s.posts.Load(), s.queued.Load(), c.actito.CallCount())
	if overlap > 1 {
		t.Errorf("%d calls were under way for one profile at once", overlap)
	}
	for _, n := range c.nodes {
		c.end(n)
		for line := range strings.Lines(n.process.complaints()) {
			if strings.Contains(line, "SQLSTATE") && !strings.Contains(line, "25P03") { // ended for it was frozen
				t.Errorf("a node said: %s", line)
			}
		}
	}
}

// signal freezes a process, or lets it go on.
func signal(t *testing.T, p *process, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Licences are spread over the nodes that are there.
func TestLicencesAreSpread(t *testing.T) {
	t.Parallel()
	c := setupNodes(t, simulator.ActitoOptions{CallsPerMinute: -1}, 2)
	for label, subscription := range map[string]string{"one": "Newsletter", "two": "Promotions"} {
		c.integrate(func(in object) {
			in["properties"].(object)["licence"] = label
			in["mappings"] = []object{{"id": subscription, "value": "consents_purposes_" + label + "_enabled"}}
		})
	}
	held := func(first, second string) func() bool {
		return func() bool { return c.holds(c.nodes[0]) == first && c.holds(c.nodes[1]) == second }
	}
	c.eventually("each holds one", held("1", "1"))
	c.nodes[0].process.terminate()
	c.within(store.LeaseLife-2*time.Second, "the other holds both", held("", "2"))
	c.start(c.nodes[0])
	c.eventually("one is given back", held("1", "1"))
}

// A node with another master key could open no secret, and find nobody: it
// says so, and leaves nothing behind.
func TestNodeWithAnotherMasterKey(t *testing.T) {
	t.Parallel()
	c := setupNodes(t, simulator.ActitoOptions{}, 1)
	first := c.cfg.Data
	c.cfg.Data = t.TempDir()
	refused := func(want string) {
		t.Helper()
		p := c.spawn()
		if code := p.exit(); code != 1 || !strings.Contains(p.stderr.String(), want) {
			t.Errorf("exit code %d, it says %q, want %q", code, &p.stderr, want)
		}
	}
	refused("there is no master key here")
	path := filepath.Join(c.cfg.Data, "master-key")
	if _, err := os.Stat(path); err == nil {
		t.Error("a master key was made all the same")
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("A", 43)+"="), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("the database was made with the master key")
	key, err := os.ReadFile(filepath.Join(first, "master-key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, key, 0o600); err != nil {
		t.Fatal(err)
	}
	c.spawn().ready()
}

// Nodes that are started at once on an empty database make one of it.
func TestNodesStartAtOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t, simulator.ActitoOptions{})
	b.cfg.Database = pgtest.Database(t)
	b.env = []string{"CONSENTSYNC_MASTER_KEY=" + strings.Repeat("K", 43) + "="}
	var processes [3]*process
	for i := range processes {
		processes[i] = b.spawn()
	}
	var urls []string
	for _, p := range processes {
		urls = append(urls, p.ready())
	}
	// Each uses what another made: organization, client, token.
	b.url = urls[0]
	b.enrol()
	b.url = urls[1]
	b.authenticate()
	b.url = urls[2]
	b.send(event("first", "ana@example.com", time.Now(), simulator.Choices{"newsletter": yes()}))
	b.url = urls[0]
	if p := b.person("ana@example.com"); len(p.Choices) != 1 {
		t.Errorf("the person has said %+v", p.Choices)
	}
	for _, p := range processes {
		p.terminate()
		if code := p.exit(); code != 0 || p.complaints() != "" {
			t.Errorf("exit code %d: %s", code, p.complaints())
		}
	}
}

// Who holds what, since when, is seen from every node. A node that does not
// hold the licence may be asked to change the integration: the one that does
// compares everybody, and each is called once.
func TestReprojectionOfSeveralNodes(t *testing.T) {
	t.Parallel()
	c := setupNodes(t, simulator.ActitoOptions{CallsPerMinute: -1}, 2)
	people := crowd("p", 450) // some pages
	putAll(t, c.bundle, people, map[string]bool{"Promotions": true})
	id := c.integrate(func(in object) { in["mappings"] = in["mappings"].([]object)[:1] })
	c.sendAll(events(people, time.Now(), simulator.Choices{"newsletter": yes(), "promotions": no()}))
	c.within(2*time.Minute, "everybody is served", func() bool { return c.allSynced(people) })
	holds := c.mustHold()
	for _, n := range c.nodes {
		var list struct {
			Data []struct {
				Node      *string
				HeldSince *time.Time `json:"held_since"`
			}
		}
		c.at(n).must(http.MethodGet, "/v1/licences", "", http.StatusOK, &list)
		if len(list.Data) != 1 || list.Data[0].Node == nil || list.Data[0].HeldSince == nil {
			t.Fatalf("the licences are %+v", list)
		}
		if name := c.metric(n, `consentsync_node_info{node="`+*list.Data[0].Node+`"}`); (name == "1") != (n == holds) {
			t.Errorf("%s holds the licence; of this node the metrics say %q, and it holds it: %v", *list.Data[0].Node, name, n == holds)
		}
	}
	for _, n := range c.nodes {
		if n != holds {
			c.actito.ResetCounters()
			c.at(n).change(id, `{"mappings":[{"id":"Newsletter","value":"consents_purposes_newsletter_enabled"},{"id":"Promotions","value":"consents_purposes_promotions_enabled"}]}`)
		}
	}
	c.within(2*time.Minute, "everybody is compared again", func() bool {
		return c.integration(id).Reprojection == nil && c.allSynced(people) &&
			!slices.ContainsFunc(people, func(email string) bool { return c.on(email, "Promotions") })
	})
	if n := c.actito.CallCount(simulator.KindUpdate); n != len(people) {
		t.Errorf("%d calls for %d people", n, len(people))
	}
}
