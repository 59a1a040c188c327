package sqlite

import (
	"context"
	"time"
)

// Checkpoints moves what the write-ahead log holds into the database, in the
// background until ctx ends, so that no accept has to do it. It ends with an
// error when the log can no longer be synced.
func (e *Engine) Checkpoints(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			// PASSIVE never waits for anybody and is not waited for. A failure
			// is no loss: the log keeps growing until the next one succeeds,
			// and what fails for good fails the next accept too.
			if err := e.sync.failure(); err != nil {
				return err
			}
			_, _ = e.checkpoint.db.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
		}
	}
}
