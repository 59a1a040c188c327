package outbound

import "sync"

// mostShared bounds the memory: beyond it the clients are made anew, which costs
// a token call each.
const mostShared = 10_000

// Shared keeps one client for each account, so that all who call an account
// share its access token. The zero value is empty. It is safe for concurrent use.
type Shared[Account comparable, Client any] struct {
	mu      sync.Mutex
	clients map[Account]Client
}

// Get gives the client of an account, made if need be.
func (s *Shared[Account, Client]) Get(account Account, made func() Client) Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, known := s.clients[account]
	if known {
		return c
	}
	if s.clients == nil || len(s.clients) >= mostShared {
		s.clients = make(map[Account]Client)
	}
	c = made()
	s.clients[account] = c
	return c
}
