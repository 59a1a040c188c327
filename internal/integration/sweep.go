package integration

import "context"

// Sweep removes what is left of integrations that are gone. What it cannot
// remove now, or what a crash leaves, the next one does: it is called at every
// start, and whenever an integration is deleted.
func (s *Service) Sweep(ctx context.Context) {
	if err := s.Store.Sweep(ctx); err != nil && ctx.Err() == nil {
		s.Log.ErrorContext(ctx, "what is left of a deleted integration could not be removed", "error", err)
	}
}
