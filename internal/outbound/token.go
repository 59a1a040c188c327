package outbound

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"consentsync/internal/consent"
)

const (
	// tokenMargin is how long before its end a token is no longer used.
	tokenMargin = time.Minute
	// tokenWait bounds one token call together with its wait for the pace.
	tokenWait = 5 * time.Minute
)

// Token is an access token. Its epoch counts the tokens of its Tokens.
type Token struct {
	Value string
	Epoch uint64
	until time.Time
}

// Tokens keeps the one access token of a client, and lets at most one token
// call run. It is safe for concurrent use.
type Tokens struct {
	op    string
	fetch func(context.Context) (value string, life time.Duration, err error)
	now   func() time.Time

	mu     sync.Mutex
	held   Token
	flight *flight
}

// flight is a token call under way. What it brings may be read once done is closed.
type flight struct {
	done  chan struct{}
	token Token
	err   error
}

// NewTokens makes an empty Tokens. Fetch makes the token call; op names it in
// errors.
func NewTokens(op string, now func() time.Time, fetch func(context.Context) (value string, life time.Duration, err error)) *Tokens {
	return &Tokens{op: op, fetch: fetch, now: now}
}

// Epoch grows with each new token. It is zero before the first.
func (t *Tokens) Epoch() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held.Epoch
}

// Try calls with a token, and once more with a new one after a 401, which says
// that nothing was applied.
func (t *Tokens) Try(ctx context.Context, call func(token string) error) error {
	token, err := t.Get(ctx, 0)
	if err != nil {
		return err
	}
	err = call(token.Value)
	if StatusOf(err) != http.StatusUnauthorized {
		return err
	}
	if token, err = t.Get(ctx, token.Epoch); err != nil {
		return err
	}
	return call(token.Value)
}

// Get gives a token that is good for a while and newer than the epoch after.
// So a caller whose token was refused passes that token's epoch, and of many
// such callers the first one's call serves all.
func (t *Tokens) Get(ctx context.Context, after uint64) (Token, error) {
	t.mu.Lock()
	if t.held.Epoch > after && t.now().Before(t.held.until) {
		defer t.mu.Unlock()
		return t.held, nil
	}
	f := t.flight
	if f == nil {
		f = &flight{done: make(chan struct{})}
		t.flight = f
		// Others may be waiting when this caller gives up, so the call goes on
		// without it.
		go t.run(context.WithoutCancel(ctx), f)
	}
	t.mu.Unlock()
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		return Token{}, &consent.Error{
			Kind: consent.Transient, Op: t.op, Err: context.Cause(ctx),
			Message: "the call was given up while it waited for an access token; nothing was sent",
		}
	}
}

func (t *Tokens) run(ctx context.Context, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, tokenWait)
	defer cancel()
	value, life, err := t.fetch(ctx)
	// The life is counted from the answer. A token that ends earlier than
	// thought costs one 401.
	until := t.now().Add(life - min(tokenMargin, life/2))

	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.held = Token{Value: value, until: until, Epoch: t.held.Epoch + 1}
		f.token = t.held
	}
	f.err = withoutStatus(err)
	t.flight = nil
	close(f.done)
}

// withoutStatus keeps the status of a token call from passing for that of the
// call that needs the token.
func withoutStatus(err error) error {
	e, ok := errors.AsType[*consent.Error](err)
	if !ok || StatusOf(err) == 0 {
		return err
	}
	plain := *e
	plain.Err = errors.New(e.Err.Error())
	return &plain
}
