package consent

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestErrorKeepsTheCauseInside(t *testing.T) {
	t.Parallel()
	inner := errors.New("dial tcp: refused")
	e := Errorf(RateLimited, "actito.Update", "wait for %d s", 7)
	e.Err, e.RetryAfter = inner, 7*time.Second
	err := fmt.Errorf("deliver: %w", e)
	if KindOf(err) != RateLimited || RetryAfter(err) != 7*time.Second || MessageOf(err) != "wait for 7 s" || !errors.Is(err, inner) {
		t.Errorf("wrapped, it is %v, %v, %q", KindOf(err), RetryAfter(err), MessageOf(err))
	}
	if got, want := e.Error(), "actito.Update: wait for 7 s: dial tcp: refused"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := (&Error{Kind: TooLarge}).Error(); got != "too_large" {
		t.Errorf("without anything else it says %q", got)
	}
	if KindOf(inner) != Internal || RetryAfter(inner) != 0 || MessageOf(inner) != "" {
		t.Error("an error of others is taken for one of ours")
	}
}

func TestKindNames(t *testing.T) {
	t.Parallel()
	for kind, want := range map[Kind]string{Internal: "internal", Invalid: "invalid", Unclear: "unclear", Unclear + 1: "kind(10)"} {
		if kind.String() != want {
			t.Errorf("got %q, want %q", kind, want)
		}
	}
}
