package outbound

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"consentsync/internal/consent"
)

// issuer gives tokens t1, t2 and so on, each good for an hour.
type issuer struct {
	mu    sync.Mutex
	calls int
}

func (i *issuer) fetch(context.Context) (string, time.Duration, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.calls++
	return fmt.Sprintf("t%d", i.calls), time.Hour, nil
}

var errRefused = &consent.Error{Kind: consent.Unauthorized, Err: Status(http.StatusUnauthorized)}

// Many callers whose token is refused at the same time share one new token.
func TestTokensAreSharedAndRenewedOnce(t *testing.T) {
	t.Parallel()
	const callers = 8
	var i issuer
	tokens := NewTokens("x.token", time.Now, i.fetch)
	var refused, done sync.WaitGroup
	refused.Add(callers)
	for range callers {
		done.Go(func() {
			err := tokens.Try(t.Context(), func(token string) error {
				if token != "t1" {
					return nil
				}
				refused.Done()
				refused.Wait()
				return errRefused
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if i.calls != 2 || tokens.Epoch() != 2 {
		t.Errorf("%d token calls, epoch %d", i.calls, tokens.Epoch())
	}
}

func TestTryRenewsAfterA401Only(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err          error
		tries, calls int
	}{
		{nil, 1, 1},
		{errRefused, 2, 2},
		{&consent.Error{Kind: consent.Forbidden, Err: Status(403)}, 1, 1},
		{errors.New("no answer"), 1, 1},
	} {
		var i issuer
		tries := 0
		err := NewTokens("x.token", time.Now, i.fetch).Try(t.Context(), func(string) error {
			tries++
			return test.err
		})
		if !errors.Is(err, test.err) || tries != test.tries || i.calls != test.calls {
			t.Errorf("%v: %d tries, %d token calls, error %v", test.err, tries, i.calls, err)
		}
	}
}

// Or a caller would take the refusal of the key for one of its own call.
func TestNoStatusOfATokenCall(t *testing.T) {
	t.Parallel()
	refused := &consent.Error{Kind: consent.Unauthorized, Op: "x.token", Message: "wrong key", RetryAfter: time.Second, Err: Status(404)}
	tokens := NewTokens("x.token", time.Now, func(context.Context) (string, time.Duration, error) { return "", 0, refused })
	err := tokens.Try(t.Context(), func(string) error { return nil })
	if StatusOf(err) != 0 || consent.KindOf(err) != consent.Unauthorized || err.Error() != refused.Error() || consent.RetryAfter(err) != time.Second {
		t.Errorf("got %#v", err)
	}
}

func TestTokensAreRenewedBeforeTheirEnd(t *testing.T) {
	t.Parallel()
	var i issuer
	now := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	tokens := NewTokens("x.token", func() time.Time { return now }, i.fetch)
	for _, step := range []struct {
		wait time.Duration
		want string
	}{{0, "t1"}, {59*time.Minute - 1, "t1"}, {1, "t2"}} {
		now = now.Add(step.wait)
		if token, err := tokens.Get(t.Context(), 0); err != nil || token.Value != step.want {
			t.Errorf("after %v: %q, %v; want %s", step.wait, token.Value, err, step.want)
		}
	}
}

// A caller that gives up ends its own wait, not the call that others wait for.
func TestTokenCallOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	tokens := NewTokens("x.token", time.Now, func(ctx context.Context) (string, time.Duration, error) {
		close(arrived)
		<-release
		return "t1", time.Hour, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := tokens.Get(ctx, 0)
		first <- err
	}()
	<-arrived
	cancel()
	err := <-first
	if consent.KindOf(err) != consent.Transient || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
	if token, err := tokens.Get(t.Context(), 0); err != nil || token.Value != "t1" {
		t.Errorf("got %q, %v", token.Value, err)
	}
}
