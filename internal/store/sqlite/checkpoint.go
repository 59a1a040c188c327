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
			e.moveLog(ctx)
		}
	}
}

// moveLog moves what was committed since all was moved. Whoever reads an older
// state keeps a part from it, which is tried again the next time.
func (e *Engine) moveLog(ctx context.Context) {
	commits := e.commits.Load()
	if e.moved == commits {
		return
	}
	var busy, pages, moved int
	err := e.checkpoint.db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &pages, &moved)
	if err == nil && busy == 0 && moved == pages {
		e.moved = commits
	}
}
