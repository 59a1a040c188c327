package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// channel is what nodes notify one another on.
const channel = "consentsync"

// hintPause is the least time between two notifications of a node, so that a
// flood of webhooks makes no flood of them.
const hintPause = 20 * time.Millisecond

// Hint tells the other nodes that something may be due. It never blocks, and
// promises nothing: they look by themselves too.
func (e *Engine) Hint() {
	select {
	case e.hints <- struct{}{}:
	default:
	}
}

// Hints sends this node's hints and calls heard for those of others, until ctx
// ends. While the database is out of reach there are none.
func (e *Engine) Hints(ctx context.Context, heard func()) {
	self := uuid.NewString()
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		for ctx.Err() == nil {
			_ = e.listen(ctx, self, heard) // hints that are missed are no loss
			pause(ctx, time.Second)
		}
	}()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-e.hints:
			// Outside of any transaction of ours: a notification within one makes
			// those that commit wait for one another.
			send, cancel := context.WithTimeout(ctx, time.Second)
			_, _ = e.pool.Exec(send, `SELECT pg_notify($1, $2)`, channel, self)
			cancel()
			pause(ctx, hintPause)
		}
	}
	<-listening
}

func (e *Engine) listen(ctx context.Context, self string, heard func()) error {
	conn, err := pgx.ConnectConfig(ctx, e.pool.Config().ConnConfig.Copy())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was written
	if _, err := conn.Exec(ctx, `LISTEN `+channel); err != nil {
		return err
	}
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		if n.Payload != self {
			heard()
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
