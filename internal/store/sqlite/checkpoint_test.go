package sqlite

import (
	"context"
	"testing"
	"time"
)

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
	if e.moveLog(t.Context()) {
		t.Fatal("all was moved, though an older state is being read")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- e.Checkpoints(ctx) }()
	unmoved := func(want bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); e.unmoved.Load() != want; time.Sleep(checkpointEvery / 10) {
			if time.Now().After(deadline) {
				t.Fatalf("it never became %v that the log is to be moved", want)
			}
		}
	}
	unmoved(true)
	if err := reading.Rollback(); err != nil {
		t.Fatal(err)
	}
	unmoved(false)
	if err := e.Ping(t.Context()); err != nil { // what comes later is moved too
		t.Fatal(err)
	}
	unmoved(false)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !e.moveLog(t.Context()) {
		t.Error("the log is not all in the database")
	}
}
