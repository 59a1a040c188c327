package transfer

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consentsync/internal/store"
)

// Whatever an installation holds arrives, there and back; and what was copied
// has the same hashes everywhere.
func TestThereAndBack(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	first, second, third := directory(t), address(t), directory(t)
	first.fill(t, seed, 20)
	there, back := first.mustCopyTo(t, second), second.mustCopyTo(t, third)
	if there.Replaced == 0 || back.Replaced != 0 {
		t.Errorf("texts were replaced: %d there, %d back", there.Replaced, back.Replaced)
	}
	if want := int64(20 * len(store.Tables)); there.Rows() != want || there.Resumed != 0 {
		t.Errorf("%d rows were copied, want %d; resumed %d", there.Rows(), want, there.Resumed)
	}
	sums := func(r *Result) (lines []string) {
		for _, s := range r.Tables {
			lines = append(lines, s.Table+" "+s.String())
		}
		return lines
	}
	if diff := cmp.Diff(sums(there), sums(back)); diff != "" {
		t.Errorf("the hashes differ:\n%s", diff)
	}
	if r := slices.Compact(sums(there)); len(r) != len(store.Tables) {
		t.Errorf("%d tables", len(r))
	}
	for _, p := range []place{second, third} {
		s, err := p.serve(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		must(t, s.SetFeature(t.Context(), "later", true))
		must(t, s.Close())
	}
}

// The hash sees every change of every column, and not the order.
func TestHash(t *testing.T) {
	t.Parallel()
	a, b := store.CopyRow{"a", []byte("b"), int64(1), true}, store.CopyRow{"ab", []byte{}, int64(1), true}
	of := func(rows ...store.CopyRow) string {
		s, err := sum(t.Context(), &memory{rows: rows}, &store.Table{Key: make([]store.Column, 1)}, 10, func(int64) {})
		must(t, err)
		return s.Hash.String()
	}
	if of(a, b) != of(b, a) {
		t.Error("the order counts")
	}
	seen := map[string]string{}
	for name, rows := range map[string][]store.CopyRow{
		"none": nil, "a": {a}, "b": {b}, "both": {a, b}, "twice": {a, a},
		"text": {{"c", []byte("b"), int64(1), true}}, "bytes": {{"a", []byte("c"), int64(1), true}},
		"number": {{"a", []byte("b"), int64(-1), true}}, "flag": {{"a", []byte("b"), int64(1), false}},
		"kind": {{[]byte("a"), []byte("b"), int64(1), true}},
	} {
		h := of(rows...)
		if seen[h] != "" {
			t.Errorf("%s and %s have the same hash", name, seen[h])
		}
		seen[h] = name
	}
}

// memory is a table that is read once.
type memory struct {
	Database
	rows []store.CopyRow
}

func (m *memory) ReadRows(context.Context, *store.Table, []any, int) ([]store.CopyRow, error) {
	rows := m.rows
	m.rows = nil
	return rows, nil
}

var errCrash = errors.New("crash")

// crashing fails at the n-th write, before or after it is done, and from then
// on at everything.
type crashing struct {
	Database
	n     int
	after bool
}

func (c *crashing) write(f func() error) error {
	c.n--
	if c.n > 0 {
		return f()
	}
	if c.n == 0 && c.after {
		if err := f(); err != nil {
			return err
		}
	}
	return errCrash
}

func (c *crashing) BeginCopy(ctx context.Context, source string) error {
	return c.write(func() error { return c.Database.BeginCopy(ctx, source) })
}

func (c *crashing) WriteRows(ctx context.Context, t *store.Table, rows []store.CopyRow, s store.CopyState) error {
	return c.write(func() error { return c.Database.WriteRows(ctx, t, rows, s) })
}

func (c *crashing) EndCopy(ctx context.Context) error {
	return c.write(func() error { return c.Database.EndCopy(ctx) })
}

// contents is what every table of a place holds.
func (p place) contents(t *testing.T) (all []string) {
	t.Helper()
	p.with(t, func(d Database) {
		for i := range store.Tables {
			s, err := sum(t.Context(), d, &store.Tables[i], 100, func(int64) {})
			must(t, err)
			all = append(all, s.Table+" "+s.String())
		}
	})
	return all
}

// starts tells whether a server starts.
func (p place) starts(t *testing.T) bool {
	t.Helper()
	s, err := p.serve(t.Context())
	if err == nil {
		must(t, s.Close())
	} else if !strings.Contains(err.Error(), "unfinished copy") {
		t.Fatalf("%s: %v", p.name, err)
	}
	return err == nil
}

// A copy goes on where it was after a crash at any write, and no server starts
// on it before it is complete.
func TestACrashAtAnyWrite(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string]func(t *testing.T) (from, to place){
		"to PostgreSQL": func(t *testing.T) (from, to place) { t.Helper(); return directory(t), address(t) },
		"to SQLite":     func(t *testing.T) (from, to place) { t.Helper(); return address(t), directory(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := ends(t)
			from.fill(t, 1, 7)
			attempt := func(n int) (err error) {
				from.with(t, func(source Database) {
					to.with(t, func(target Database) {
						// Each attempt makes one write, and crashes at the next
						// one before or after it is done.
						_, err = Copy(t.Context(), source, &crashing{Database: target, n: 2, after: n%2 == 1}, Options{PageRows: 3})
					})
				})
				return err
			}
			attempts, err := 0, errCrash
			for ; errors.Is(err, errCrash); attempts++ {
				err = attempt(attempts)
				if errors.Is(err, errCrash) && to.starts(t) { // the last write, which ends the copy, was done
					err = attempt(attempts)
					if err == nil || !strings.Contains(err.Error(), "complete copy of this installation already") {
						t.Errorf("a server starts, and copying again says: %v", err)
					}
					err = nil
				}
			}
			if err != nil || attempts < len(store.Tables) {
				t.Fatalf("after %d attempts: %v", attempts, err)
			}
			if diff := cmp.Diff(from.contents(t), to.contents(t)); diff != "" {
				t.Errorf("what was copied differs:\n%s", diff)
			}
			if !to.starts(t) {
				t.Error("no server starts on the complete copy")
			}
		})
	}
}

// What was copied in part is not copied again, nor forgotten.
func TestAResumedCopyTellsWhatWasThere(t *testing.T) {
	t.Parallel()
	from, to := directory(t), address(t)
	from.fill(t, 2, 5)
	var reports []Progress
	from.with(t, func(source Database) {
		to.with(t, func(target Database) {
			_, err := Copy(t.Context(), source, &crashing{Database: target, n: 5}, Options{PageRows: 3})
			if !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			r, err := Copy(t.Context(), source, target, Options{PageRows: 3, Report: func(p Progress) { reports = append(reports, p) }})
			must(t, err)
			if all := int64(5 * len(store.Tables)); r.Resumed != 8 || r.Rows() != all {
				t.Errorf("resumed %d, want 8; %d rows, want %d", r.Resumed, r.Rows(), all)
			}
		})
	})
	all := int64(5 * len(store.Tables))
	if first := reports[0]; first != (Progress{Table: "organizations", Done: 8, All: all}) {
		t.Errorf("the first report is %+v", first)
	}
	if last := reports[len(reports)-1]; last != (Progress{Verifying: true, Table: store.Tables[len(store.Tables)-1].Name, Done: all, All: all}) {
		t.Errorf("the last report is %+v", last)
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	full := func(t *testing.T) place {
		t.Helper()
		p := directory(t)
		p.fill(t, 3, 4)
		return p
	}
	// half leaves an unfinished copy in a place.
	half := func(t *testing.T, from, to place) {
		t.Helper()
		from.with(t, func(source Database) {
			to.with(t, func(target Database) {
				if _, err := Copy(t.Context(), source, &crashing{Database: target, n: 9}, Options{PageRows: 3}); !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
			})
		})
	}
	for name, x := range map[string]struct {
		ends func(t *testing.T) (from, to place)
		want string
	}{
		"a source that is empty": {func(t *testing.T) (from, to place) { t.Helper(); return directory(t), address(t) }, "the source is empty"},
		"a source that is unfinished": {func(t *testing.T) (from, to place) {
			t.Helper()
			from = address(t)
			half(t, full(t), from)
			return from, directory(t)
		}, "the source is an unfinished copy itself"},
		"a target that holds something else": {func(t *testing.T) (from, to place) {
			t.Helper()
			to = address(t)
			s, err := to.serve(t.Context())
			must(t, err)
			must(t, s.SetFeature(t.Context(), "acme", true))
			must(t, s.Close())
			return full(t), to
		}, "the table organizations is not empty"},
		"a target that holds a part of another": {func(t *testing.T) (from, to place) {
			t.Helper()
			from, to = directory(t), address(t)
			from.fill(t, 4, 4)
			half(t, full(t), to)
			return from, to
		}, "unfinished copy of another installation"},
		"a target on which a node runs": {func(t *testing.T) (from, to place) {
			t.Helper()
			to = address(t)
			node(t, to)
			return full(t), to
		}, "the target is in use: nodes run on the database (1)"},
		"a source on which a node runs": {func(t *testing.T) (from, to place) {
			t.Helper()
			from = address(t)
			from.fill(t, 5, 4)
			node(t, from)
			return from, directory(t)
		}, "the source is in use: nodes run on the database (1)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := x.ends(t)
			if _, err := from.copyTo(t, to); err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("got error %v, want %q", err, x.want)
			}
		})
	}
}

// node lets a node run until the end of the test.
func node(t *testing.T, p place) {
	t.Helper()
	s, err := p.serve(t.Context())
	must(t, err)
	beat := func() {
		if _, err := s.Acquire(context.Background(), "a node"); err != nil {
			t.Error(err)
		}
	}
	beat()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(store.LeaseLife / 3)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				beat()
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
		must(t, s.Close())
	})
}

// A node that was killed a moment ago is waited for, until it is forgotten.
func TestADeadNode(t *testing.T) {
	t.Parallel()
	from, to := address(t), directory(t)
	from.fill(t, 8, 4)
	s, err := from.serve(t.Context())
	must(t, err)
	_, err = s.Acquire(t.Context(), "a node")
	must(t, err)
	must(t, s.Close())
	from.mustCopyTo(t, to)
}

// While a database is copied no server starts on it, nor a second copy.
func TestNobodyElse(t *testing.T) {
	t.Parallel()
	for _, p := range []place{directory(t), address(t)} {
		p.with(t, func(Database) {
			if _, err := p.serve(t.Context()); err == nil || !strings.Contains(err.Error(), "use") {
				t.Errorf("%s: a server starts: %v", p.name, err)
			}
			if _, err := p.open(t.Context()); err == nil || !strings.Contains(err.Error(), "use") {
				t.Errorf("%s: another copy starts: %v", p.name, err)
			}
		})
		if !p.starts(t) {
			t.Errorf("%s: no server starts afterwards", p.name)
		}
	}
}

// changing changes the source at a point of the copy, as a server would that
// nobody expects.
type changing struct {
	Database
	change func()
}

func (c *changing) EndCopy(context.Context) error {
	return errors.New("the copy was taken for complete")
}

func (c *changing) WriteRows(ctx context.Context, t *store.Table, rows []store.CopyRow, s store.CopyState) error {
	if t.Name == "news" {
		c.change()
	}
	return c.Database.WriteRows(ctx, t, rows, s)
}

// A source that changes behind the copy's back is found out, and no server
// starts on what was copied.
func TestASourceThatChanges(t *testing.T) {
	t.Parallel()
	from, to := address(t), directory(t)
	from.fill(t, 6, 4)
	from.with(t, func(source Database) {
		to.with(t, func(target Database) {
			_, err := Copy(t.Context(), source, &changing{target, func() {
				must(t, from.exec(t, `UPDATE people SET state = 'x' WHERE ctid IN (SELECT ctid FROM people LIMIT 1)`))
			}}, Options{})
			if err == nil || !strings.Contains(err.Error(), "the copy is not like the source") || !strings.Contains(err.Error(), "people: 4 rows") ||
				strings.Contains(err.Error(), "ledger") {
				t.Errorf("got error %v", err)
			}
		})
	})
	if to.starts(t) {
		t.Error("a server starts on it")
	}
}

// What is numbered goes on after the highest number: epochs of leases, by which
// late results are told, and places in the inbox.
func TestNumbersGoOn(t *testing.T) {
	t.Parallel()
	from, to := directory(t), address(t)
	from.fill(t, 7, 4)
	from.mustCopyTo(t, to)
	must(t, to.exec(t, `INSERT INTO inbox (organization, lane, arrived_at, body) VALUES ('acme', 0, 0, '')`))
	must(t, to.exec(t, `DO $$ BEGIN
		IF nextval('epochs') <= (SELECT max(epoch) FROM licences) THEN RAISE 'the epoch is old'; END IF;
		IF (SELECT seq FROM inbox WHERE organization = 'acme') <> 4 THEN RAISE 'the number in the inbox is %', (SELECT max(seq) FROM inbox); END IF;
	END $$`))
}
