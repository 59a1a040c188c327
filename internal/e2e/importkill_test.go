package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"consentsync/internal/backfill"
	"consentsync/internal/consent"
	"consentsync/internal/simulator"
	"consentsync/internal/store/pgtest"
)

// The program is killed again and again while a file is taken in and merged, by an
// importer that goes on where the server says that it is. Each row counts once, and
// everybody is as the file says.
func TestKillMinus9DuringAnImport(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(t *testing.T) string{
		"sqlite": func(*testing.T) string { return "" }, "postgres": func(t *testing.T) string { t.Helper(); return pgtest.Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, simulator.ActitoOptions{})
			b.cfg.Database = database(t)
			killDuringAnImport(b)
		})
	}
}

func killDuringAnImport(b *bundle) {
	const people, atLeast, atMost = 4000, 3, 12
	seed := uint64(time.Now().UnixNano())
	b.t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var rows []string
	last := make([]bool, people)
	for generation := range 3 {
		for _, n := range random.Perm(people) {
			last[n] = random.IntN(2) == 0
			at := time.Now().Add(time.Duration(generation-5) * time.Hour).Format(time.RFC3339)
			rows = append(rows, fmt.Sprintf(`{"id":"e%d-%d","created_at":%q,"user":{"organization_user_id":"p%d@example.com"},"consents":{"purposes":[{"id":"newsletter","enabled":%t}]}}`,
				generation, n, at, n, last[n]))
		}
	}
	p := b.spawn()
	b.url = p.ready()
	b.enrol()
	path := b.importing("export")

	kills := 0
	for ended := false; !ended; {
		over := make(chan bool, 1)
		go func() { over <- b.importAll(path, rows) }()
		var deadline <-chan time.Time // the later ones come later: a slow machine gets somewhere too
		if kills < atMost {
			deadline = time.After(time.Duration(random.IntN(60*(kills+2))) * time.Millisecond)
		}
		select {
		case ended = <-over:
			if !ended {
				b.t.Fatal("the import failed though nothing was killed")
			}
		case <-deadline:
			p.kill()
			kills++
			ended = <-over
			p = b.spawn()
			b.url = p.ready()
		}
	}
	var v backfill.ImportView
	b.must(http.MethodGet, path+"?organization_id="+organization, "", http.StatusOK, &v)
	merged := int64(0)
	for _, n := range v.Outcomes {
		merged += n
	}
	b.t.Logf("%d kills: %+v", kills, v)
	if merged != int64(len(rows)) || v.Outcomes[consent.Duplicate] > 0 || v.Refused > 0 || v.Staged > 0 || !v.Ended {
		b.t.Errorf("of %d rows: %+v", len(rows), v)
	}
	if kills < atLeast {
		b.t.Errorf("%d kills: this tests too little", kills)
	}
	for n := 0; n < people; n += 20 {
		is := b.person(fmt.Sprintf("p%d@example.com", n))
		if len(is.Choices) != 1 || is.Choices[0].Enabled != last[n] || is.CatchingUp {
			b.t.Errorf("person %d is %+v, want %t", n, is, last[n])
		}
	}
}

// importAll takes rows in, from where the server is, and ends the import; false if the
// server was killed meanwhile.
func (b *bundle) importAll(path string, rows []string) bool {
	var v backfill.ImportView
	ask := func(method, rest, body string, into any) (ok bool) {
		status, answer, err := b.request(method, path+rest, body, "Content-Type", "application/x-ndjson")
		return err == nil && status == http.StatusOK && json.Unmarshal(answer, into) == nil
	}
	whose := "?organization_id=" + organization
	if !ask(http.MethodGet, whose, "", &v) {
		return false
	}
	from := 0
	for _, f := range v.Files {
		from = int(f.Rows)
	}
	for ; from < len(rows); from = min(from+1500, len(rows)) {
		q := url.Values{"organization_id": {organization}, "file": {"export"}, "from": {fmt.Sprint(from)}}
		if !ask(http.MethodPost, "/rows?"+q.Encode(), strings.Join(rows[from:min(from+1500, len(rows))], "\n"), &backfill.PartView{}) {
			return false
		}
	}
	for rest, method := "/end"+whose, http.MethodPost; ; rest, method = whose, http.MethodGet {
		v = backfill.ImportView{}
		if !ask(method, rest, "", &v) {
			return false
		}
		if v.Ended {
			return true
		}
		pause(20 * time.Millisecond)
	}
}
