package postgres

import "context"

// lockAlone is the advisory lock of whoever is in Alone.
const lockAlone int32 = 0x636f6e03

// aloneParams give f longer than a transaction may otherwise be idle: the lock
// must not go before f ends.
var aloneParams = []string{"SET LOCAL idle_in_transaction_session_timeout = '60s'"}

// Alone runs f while no other node, and nobody else here, runs anything in
// Alone. f has a context that ends before the lock can go, and uses the engine
// as ever. What it wrote stays, whatever comes of the lock.
func (e *Engine) Alone(ctx context.Context, f func(context.Context) error) error {
	// One of this node waits at the server: many would take all the connections,
	// of which f needs one too.
	e.alone.Lock()
	defer e.alone.Unlock()
	ctx, cancel := bounded(ctx)
	defer cancel()
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return classify(err)
	}
	defer conn.Release()
	t := &tx{Conn: conn}
	if err := e.begin(ctx, t, aloneParams); err != nil {
		return classify(err)
	}
	defer rollback(context.WithoutCancel(ctx), conn) // there is nothing but the lock
	if _, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock($1, 0)`, lockAlone); err != nil {
		return classify(err)
	}
	return f(ctx)
}
