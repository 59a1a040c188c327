package sqlite

import "context"

// Alone runs f while nobody else runs anything in Alone. There is one node.
func (e *Engine) Alone(ctx context.Context, f func(context.Context) error) error {
	e.alone.Lock()
	defer e.alone.Unlock()
	return f(ctx)
}
