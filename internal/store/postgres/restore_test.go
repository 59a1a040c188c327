package postgres

import (
	"context"
	"testing"

	"consentsync/internal/store/pgtest"
)

// A program that knows nothing of restores would send what has to be held, and
// one that knows nothing of copies would start on half of one.
func TestOlderProgramsAreKeptOut(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(ctx context.Context, e *Engine) error{
		"after a restore": func(ctx context.Context, e *Engine) error { _, err := e.MarkRestored(ctx); return err },
		"during a copy":   func(ctx context.Context, e *Engine) error { return e.BeginCopy(ctx, "another") },
	} {
		e := ready(t, pgtest.Database(t))
		if n := number(t, e, `SELECT oldest FROM compatibility`); n >= 5 {
			t.Fatalf("it takes version %d from the beginning: the test shows nothing any more", n)
		}
		if err := f(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if n := number(t, e, `SELECT oldest FROM compatibility`); n != 5 {
			t.Errorf("%s programs of version %d may start", name, n)
		}
	}
}
