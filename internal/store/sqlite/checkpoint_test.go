package sqlite

import "testing"

// What a reader keeps in the log is moved when it has ended, though nothing is
// written any more.
func TestTheLogIsMovedAfterAReaderHasEnded(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir(), Options{})
	k := integrate(t, e)
	reading, err := e.read.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Rollback()
	if err := reading.QueryRowContext(t.Context(), `SELECT id FROM integrations`).Scan(&k.ID); err != nil {
		t.Fatal(err)
	}
	if err := e.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e.moveLog(t.Context()); e.moved == e.commits.Load() {
		t.Error("all counts as moved, though an older state is being read")
	}
	if err := reading.Rollback(); err != nil {
		t.Fatal(err)
	}
	if e.moveLog(t.Context()); e.moved != e.commits.Load() {
		t.Error("what the reader kept in the log is not moved")
	}
	if err := e.Ping(t.Context()); err != nil || e.moved == e.commits.Load() {
		t.Errorf("what is written later counts as moved (%v)", err)
	}
	if e.moveLog(t.Context()); e.moved != e.commits.Load() {
		t.Error("what was written later is not moved")
	}
}
