package sqlite

import (
	"context"
	"time"
)

// checkpointEvery is how often the log is moved. What is moved at once is synced
// at once, and meanwhile whoever accepts waits for the disk: by the second, one
// in a hundred webhooks took twice as long.
const checkpointEvery = 200 * time.Millisecond

// Checkpoints moves what the write-ahead log holds into the database, in the
// background until ctx ends, so that no accept has to do it. It ends with an
// error when the log can no longer be synced.
func (e *Engine) Checkpoints(ctx context.Context) error {
	ticker := time.NewTicker(checkpointEvery)
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
			if e.unmoved.Swap(false) && !e.moveLog(ctx) {
				e.unmoved.Store(true)
			}
		}
	}
}

// moveLog tells whether all of the log was moved. Whoever reads keeps a part from
// it.
func (e *Engine) moveLog(ctx context.Context) bool {
	var busy, pages, moved int
	err := e.checkpoint.db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &pages, &moved)
	return err == nil && busy == 0 && moved == pages
}
