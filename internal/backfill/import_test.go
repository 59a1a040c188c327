package backfill

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"consentsync/internal/consent"
	"consentsync/internal/didomi"
	"consentsync/internal/mail"
	"consentsync/internal/store"
	"consentsync/internal/store/sqlite"
)

func importing(db ImportStore, h *store.Hasher) *Importer {
	return &Importer{Store: db, Hasher: h, Due: func() {}, Changed: func() {}, Now: noon.Std, Log: slog.New(slog.DiscardHandler)}
}

// rowsOf are so many rows about a third as many people, of whom each grants, refuses
// and grants again, in an order that is none of people.
func rowsOf(n int) []byte {
	var lines bytes.Buffer
	for k := range n {
		f := fact{fmt.Sprint("e", k), fmt.Sprint("p", k%(n/3)), "news", noon.Add(time.Duration(k-n) * time.Second), k/(n/3) != 1}
		lines.Write(append(f.json("acme"), '\n'))
	}
	return lines.Bytes()
}

// opensImport gives an importer, and an import that is open.
func opensImport(t *testing.T, db ImportStore, h *store.Hasher) (*Importer, store.ImportKey) {
	t.Helper()
	if err := db.(interface {
		SetFeature(ctx context.Context, organization string, actito bool, changes ...store.Change) error
	}).SetFeature(t.Context(), "acme", true); err != nil {
		t.Fatal(err)
	}
	m := importing(db, h)
	v, err := m.Open(t.Context(), "acme", "export")
	if err != nil {
		t.Fatal(err)
	}
	return m, store.ImportKey{Organization: "acme", ID: v.ID}
}

func (v *ImportView) merged() (rows int64) {
	for _, n := range v.Outcomes {
		rows += n
	}
	return rows
}

// Many rows are staged, and merged when the import ends; then everybody is compared,
// once.
func TestAnImportIsMergedAtItsEnd(t *testing.T) {
	t.Parallel()
	db, h := opened(t)
	m, k := opensImport(t, db, h)
	compared := 0
	m.Changed = func() { compared++ }
	const rows = littleStaged + 500
	part, err := m.Take(t.Context(), k, Part{File: "events", Body: rowsOf(rows)})
	if err != nil || part.Rows != rows || part.Outcomes[queued] != rows || len(part.Outcomes) != 1 {
		t.Fatalf("taken: %+v, %v", part, err)
	}
	people := []string{"p0", "p1", fmt.Sprint("p", rows/3-1)}
	if v, err := m.Get(t.Context(), k); err != nil || v.Staged != rows || v.Ended || len(verdicts(t, db, h, "acme", people, "news")) > 0 {
		t.Fatalf("staged: %+v, %v", v, err)
	}
	v, err := m.End(t.Context(), k)
	if err != nil || !v.Ended || v.Staged != 0 || v.merged() != rows || v.Outcomes[consent.Applied] == 0 || compared != 1 {
		t.Errorf("ended: %+v, %v; everybody was compared %d times", v, err, compared)
	}
	if is := strings.Join(verdicts(t, db, h, "acme", people, "news"), ", "); is != fmt.Sprintf("p0 on, p1 on, p%d on", rows/3-1) {
		t.Errorf("the people are %s", is)
	}
}

// What is staged of an import that nobody ends, because the command was interrupted,
// is merged when nothing has come for a while.
func TestAnImportThatIsLeftIsMerged(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	clock.Store(int64(noon))
	now := func() time.Time { return consent.Time(clock.Load()).Std() }
	db, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	h := store.NewHasher([]byte("a key for tests"))
	db.UseHasher(h)
	m, k := opensImport(t, db, h)
	m.Now = now
	const rows = littleStaged + 200
	if _, err := m.Take(t.Context(), k, Part{File: "events", Body: rowsOf(rows)}); err != nil {
		t.Fatal(err)
	}
	staged := func() int64 {
		t.Helper()
		if more, err := m.work(t.Context()); err != nil || more {
			t.Fatalf("more %t, %v", more, err)
		}
		v, err := m.Get(t.Context(), k)
		if err != nil || v.Ended {
			t.Fatalf("%+v, %v", v, err)
		}
		return v.Staged
	}
	if n := staged(); n != rows {
		t.Errorf("%d rows are staged when they have just come", n)
	}
	clock.Add(int64(idle/time.Microsecond) - 1)
	if n := staged(); n != rows {
		t.Errorf("%d rows are staged while more may come", n)
	}
	clock.Add(1)
	if n := staged(); n != 0 {
		t.Errorf("%d rows are staged when nothing comes", n)
	}
}

// What is staged is merged after a while though more comes all the time.
func TestATrickleOfRowsIsMerged(t *testing.T) {
	t.Parallel()
	db, h := opened(t) // its clock stands still, and so does the time of the last row
	m, k := opensImport(t, db, h)
	if _, err := m.Take(t.Context(), k, Part{File: "events", Body: rowsOf(littleStaged + 200)}); err != nil {
		t.Fatal(err)
	}
	i, err := db.Import(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	m.see([]*store.Import{i}, noon.Add(-oldest))
	if _, err := m.work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err := m.Get(t.Context(), k); err != nil || v.Staged > 0 || v.Ended {
		t.Errorf("it is %+v, %v", v, err)
	}
}

// Each row of any blocks is merged by one step, the rest of which is there for the
// next, in the order of people where they are many; and each step is short.
func TestStepsMergeEachRowOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		slice := rapid.Custom(func(t *rapid.T) int64 { return rapid.Int64Range(0, 3).Draw(t, "slice") })
		stored, want, number := map[store.StagedPlace]store.StagedBlock{}, map[string]int{}, int64(0)
		for range rapid.IntRange(1, 12).Draw(t, "parts") {
			var rows []store.StagedRow
			of := slice.Draw(t, "of")
			for range rapid.SampledFrom([]int{1, 30, 400, 800}).Draw(t, "rows") {
				id := fmt.Sprint("e", len(want))
				want[id] = 1
				person := store.PersonKey{byte(of / 2), byte(of % 2 << 7), byte(len(want) * 7)}
				payload := fact{id, "p", "news", noon, true}.json("acme")
				webhook, _, _, err := didomi.ParseRow(payload)
				if err != nil {
					t.Fatal(err)
				}
				rows = append(rows, store.StagedRow{Person: person, File: "f", Row: int64(len(want)), ArrivedAt: noon, Payload: webhook})
			}
			for _, b := range store.StagedBlocks(rows) {
				number++
				b.Number = number
				stored[b.StagedPlace] = b
			}
		}
		blocks := slices.SortedFunc(maps.Values(stored), func(a, b store.StagedBlock) int {
			return cmp.Or(cmp.Compare(a.Slice, b.Slice), cmp.Compare(a.Number, b.Number))
		})
		got := map[string]int{}
		for d := range steps(store.ImportKey{Organization: "acme", ID: "i"}, blocks) {
			if d.err != nil || len(d.step.Refused) > 0 {
				t.Fatal(d.err, d.step.Refused)
			}
			for _, b := range d.step.Blocks {
				if is, there := stored[b.StagedPlace]; !there || !bytes.Equal(is.Rows, b.Rows) {
					t.Fatalf("block %v is not as it is stored", b.StagedPlace)
				}
				delete(stored, b.StagedPlace)
			}
			for _, b := range d.step.Rest {
				if _, there := stored[b.StagedPlace]; there || b.Slice != d.place.Slice || b.Number <= d.place.Number {
					t.Fatalf("the rest is at %v, after %v", b.StagedPlace, d.place)
				}
				stored[b.StagedPlace] = b
			}
			if len(d.step.Batch) > littleStaged {
				t.Fatalf("a step of %d rows", len(d.step.Batch))
			}
			for _, in := range d.step.Batch {
				got[in.Message.EntityID]++
			}
		}
		if len(stored) > 0 || !maps.Equal(got, want) {
			t.Fatalf("%d blocks are left; merged %d rows of %d", len(stored), len(got), len(want))
		}
	})
}

// batches notes how many rows were merged at once.
type batches struct {
	*sqlite.Engine
	rows []int
}

func (b *batches) MergeRows(ctx context.Context, s *store.MergeStep) (*store.Import, []store.Receipt, error) {
	b.rows = append(b.rows, len(s.Batch))
	return b.Engine.MergeRows(ctx, s)
}

// However many rows lie together, each transaction is short, in the order of people,
// and each row is merged once. Rows so large that they fit less well in that order are
// merged as they came.
func TestManyRowsOfASlice(t *testing.T) {
	t.Parallel()
	for name, padding := range map[string]int{"small rows": 0, "large rows": 600 << 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, h := opened(t)
			noted := &batches{Engine: db}
			m, k := opensImport(t, noted, h)
			m.Little = -1
			lines, from, rows := []byte(nil), int64(0), 2600
			if padding > 0 {
				rows = 40
			}
			for n := range rows {
				pad := ""
				if n%4 < 2 {
					pad = strings.Repeat("x", padding)
				}
				lines = fmt.Appendf(lines, `{"id":"e%d","created_at":%q,"user":{"organization_user_id":"ana","metadata":{"pad":%q}},"consents":{"purposes":[{"id":"news","enabled":%t}]}}`+"\n",
					n, noon.Add(time.Duration(n-rows)*time.Second).Std().Format(time.RFC3339), pad, n%2 == 0)
				if len(lines) > 1<<20 || n == rows-1 || n%100 == 99 {
					part, err := m.Take(t.Context(), k, Part{File: "events", From: from, Body: lines})
					if err != nil {
						t.Fatal(err)
					}
					lines, from = nil, part.Rows
				}
			}
			v, err := m.End(t.Context(), k)
			if err != nil || !v.Ended || v.merged() != int64(rows) || v.Outcomes[consent.Duplicate] > 0 {
				t.Errorf("%+v, %v", v, err)
			}
			if most := slices.Max(noted.rows); most > littleStaged || padding == 0 && len(noted.rows) < 4 {
				t.Errorf("transactions of %v rows", noted.rows)
			}
			if is := strings.Join(verdicts(t, db, h, "acme", []string{"ana"}, "news"), ", "); is != "ana off" {
				t.Errorf("the person is %q", is)
			}
		})
	}
}

// poisoned fails to merge a row.
type poisoned struct {
	*sqlite.Engine
	fail func() error
}

func (p poisoned) MergeRows(ctx context.Context, s *store.MergeStep) (*store.Import, []store.Receipt, error) {
	for _, in := range s.Batch {
		if in.Message.EntityID == "e7" {
			if err := p.fail(); err != nil {
				return nil, nil, err
			}
		}
	}
	return p.Engine.MergeRows(ctx, s)
}

// A row that the database cannot take, or that makes us panic, is refused by its
// number, and nothing else is.
func TestARowThatCannotBeMerged(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"an error": func() error { return consent.Errorf(consent.Internal, "test", "a fault") },
		"a panic":  func() error { panic("a fault") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, h := opened(t)
			m, k := opensImport(t, poisoned{db, fail}, h)
			m.Little = -1
			// About one person, so that they are of one slice, and are put in order first.
			rows := int64(2 * littleStaged)
			lines := []byte(nil)
			for n := range rows {
				lines = append(append(lines, fact{fmt.Sprint("e", n), "ana", "news", noon.Add(-time.Minute), true}.json("acme")...), '\n')
			}
			if _, err := m.Take(t.Context(), k, Part{File: "events", Body: lines}); err != nil {
				t.Fatal(err)
			}
			v, err := m.End(t.Context(), k)
			if err != nil || !v.Ended || v.merged() != rows-1 || v.Refused != 1 || v.Staged != 0 {
				t.Errorf("ended: %+v, %v", v, err)
			}
			refused, err := m.Refusals(t.Context(), k, store.RefusalCursor{}, 10)
			if err != nil || len(refused) != 1 || refused[0].Row != 8 || refused[0].File != "events" {
				t.Errorf("refused: %+v, %v", refused, err)
			}
		})
	}
}

// A fault that lies in no row refuses none: they stay staged, and are merged later.
func TestRowsWaitForTheDatabase(t *testing.T) {
	t.Parallel()
	db, h := opened(t)
	failing := true
	m, k := opensImport(t, poisoned{db, func() error {
		if failing {
			return consent.Errorf(consent.Transient, "test", "the disk is full")
		}
		return nil
	}}, h)
	part, err := m.Take(t.Context(), k, Part{File: "events", Body: rowsOf(30)})
	if err != nil || part.Outcomes[queued] != 30 {
		t.Fatalf("taken: %+v, %v", part, err)
	}
	if v, err := m.End(t.Context(), k); err != nil || v.Ended || v.Staged == 0 || v.Refused > 0 {
		t.Fatalf("while it fails: %+v, %v", v, err)
	}
	failing = false
	if _, err := m.work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err := m.Get(t.Context(), k); err != nil || !v.Ended || v.merged() != 30 {
		t.Errorf("then: %+v, %v", v, err)
	}
}

// Two nodes that merge the same merge each row once.
func TestTwoNodesMergeAnImport(t *testing.T) {
	t.Parallel()
	db, h := opened(t)
	m, k := opensImport(t, db, h)
	const rows = 4800
	if _, err := m.Take(t.Context(), k, Part{File: "events", Body: rowsOf(rows)}); err != nil {
		t.Fatal(err)
	}
	var nodes sync.WaitGroup
	for range 2 {
		nodes.Go(func() {
			node := importing(db, h)
			for {
				err := node.mergeUntil(t.Context(), k, func(*store.Import) bool { return false })
				if err == nil {
					return
				}
				if consent.KindOf(err) != consent.Conflict {
					t.Error(err)
					return
				}
			}
		})
	}
	nodes.Wait()
	if v, err := m.Get(t.Context(), k); err != nil || v.merged() != rows || v.Staged != 0 || v.Outcomes[consent.Duplicate] > 0 {
		t.Errorf("merged: %+v, %v", v, err)
	}
}

// fullUp merges what is staged when it was looked at for the third time.
type fullUp struct {
	*sqlite.Engine
	looks int
	merge func()
}

func (c *fullUp) StagedImports(ctx context.Context) ([]*store.Import, error) {
	if c.looks++; c.looks == 3 {
		c.merge()
	}
	return c.Engine.StagedImports(ctx)
}

// Run is asked to merge before there is no room, and where there is none a part waits
// until enough is merged.
func TestStagedRowsHaveRoom(t *testing.T) {
	t.Parallel()
	db, h := opened(t)
	watched := &fullUp{Engine: db, merge: func() {}}
	m, k := opensImport(t, watched, h)
	m.Little, m.Room = -1, 200_000
	lines := bytes.SplitAfter(rowsOf(3000), []byte("\n"))
	from := 0
	take := func(rows int) (staged store.Staged) {
		t.Helper()
		if _, err := m.Take(t.Context(), k, Part{File: "events", From: int64(from), Body: bytes.Join(lines[from:from+rows], nil)}); err != nil {
			t.Fatal(err)
		}
		from += rows
		i, err := db.Import(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		return i.Staged
	}
	if take(10); m.asked(k, noon) {
		t.Error("few rows are to be merged at once")
	}
	for staged := take(200); staged.Bytes <= m.Room; staged = take(200) {
	}
	if !m.asked(k, noon) {
		t.Error("nothing is merged though there is no room")
	}
	watched.looks = 0
	watched.merge = func() {
		if err := m.mergeUntil(t.Context(), k, func(*store.Import) bool { return false }); err != nil {
			t.Error(err)
		}
	}
	if staged := take(200); staged.Rows != 200 || watched.looks != 3 {
		t.Errorf("%d rows are staged, after %d looks", staged.Rows, watched.looks)
	}
}

// Consent that is new to us, but was fetched or imported, causes no message,
// though one is configured; the same by webhook, just now, does.
func TestR28CatchUpAndImportSendNoMail(t *testing.T) {
	t.Parallel()
	db, h := opened(t)
	i := connect(t, db, "acme")
	e := &store.Email{Organization: "acme", ID: "e", Integration: i.ID, Revision: 1, Settings: mail.Settings{TypeID: "actito", EmailType: mail.ConfirmConsentChanged, Enabled: true}}
	e.Settings.Complete()
	if err := db.CreateEmail(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	d := &truth{events: []fact{{"e1", "ana", "news", noon.Add(-time.Minute), true}}}
	catchUp(t, fetching(db, h, d), i, d)

	m := importing(db, h)
	if err := db.SetFeature(t.Context(), "acme", true); err != nil {
		t.Fatal(err)
	}
	v, err := m.Open(t.Context(), "acme", "export")
	if err != nil {
		t.Fatal(err)
	}
	k := store.ImportKey{Organization: "acme", ID: v.ID}
	part, err := m.Take(t.Context(), k, Part{File: "events", Body: fact{"e2", "bob", "news", noon.Add(-time.Minute), true}.json("acme")})
	if err != nil || part.Outcomes[consent.Applied] != 1 {
		t.Fatalf("the import took %+v, %v", part, err)
	}
	if _, err := m.End(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	if n := len(verdicts(t, db, h, "acme", []string{"ana", "bob"}, "news")); n != 2 {
		t.Fatalf("%d people are known", n)
	}
	messages := func() int {
		t.Helper()
		found, err := db.Messages(t.Context(), "acme", "", store.ID{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	if n := messages(); n != 0 {
		t.Errorf("%d messages are sent because of what was fetched or imported", n)
	}
	in, _, err := importable("acme", fact{"e3", "eve", "news", noon.Add(-time.Minute), true}.json("acme"))
	if err != nil {
		t.Fatal(err)
	}
	in.Live, in.Source = true, store.AsTold
	if _, err := db.Accept(t.Context(), []store.Inbound{in}); err != nil || messages() != 1 {
		t.Errorf("what is told at once causes %d messages, %v", messages(), err)
	}
}
