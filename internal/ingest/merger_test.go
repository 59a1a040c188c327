package ingest

import (
	"context"
	"errors"
	"hash/crc32"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// shelf is an Inbox of names, of which a test sees in what order they leave.
type shelf struct {
	waiting map[store.InboxKey][]string
	since   time.Time
	left    []string
	took    time.Duration // for one webhook
	bad     string        // cannot be merged
	down    bool
	retried int
}

func (s *shelf) Backlogs(context.Context, string) ([]store.Backlog, error) {
	if s.down {
		return nil, consent.Errorf(consent.Transient, "test", "the database is away")
	}
	var all []store.Backlog
	for k, names := range s.waiting {
		if len(names) > 0 {
			all = append(all, store.Backlog{InboxKey: k, Last: int64(len(names)), Oldest: consent.TimeOf(s.since)})
		}
	}
	slices.SortFunc(all, func(a, b store.Backlog) int {
		return slices.Compare([]string{a.Organization, string(rune('0' + a.Lane))}, []string{b.Organization, string(rune('0' + b.Lane))})
	})
	return all, nil
}

func (s *shelf) Merge(_ context.Context, k store.InboxKey, limit int, _ store.Decode) (store.Merged, error) {
	part := s.waiting[k][:min(limit, len(s.waiting[k]))]
	if slices.Contains(part, s.bad) {
		return store.Merged{First: numberOf(part[0])}, errors.New("a value that the database refuses")
	}
	time.Sleep(time.Duration(len(part)) * s.took)
	s.left = append(s.left, part...)
	s.waiting[k] = s.waiting[k][len(part):]
	return store.Merged{Webhooks: len(part), Due: true}, nil
}

// numberOf stands for the number of a webhook in the inbox.
func numberOf(name string) int64 { return int64(crc32.ChecksumIEEE([]byte(name))) }

func (s *shelf) SetAside(_ context.Context, k store.InboxKey, seq int64, _ string) error {
	aside := store.InboxKey{Organization: k.Organization, Lane: store.AsideLane}
	s.waiting[k] = slices.DeleteFunc(slices.Clone(s.waiting[k]), func(name string) bool {
		if numberOf(name) != seq {
			return false
		}
		s.waiting[aside] = append(s.waiting[aside], name)
		return true
	})
	return nil
}

func (s *shelf) RetryAside(context.Context) error { s.retried++; return nil }

func urgent(organization string) store.InboxKey { return store.InboxKey{Organization: organization} }

func ordinary(organization string) store.InboxKey {
	return store.InboxKey{Organization: organization, Lane: store.OrdinaryLane}
}

// merging runs a merger for some time and gives how often delivery was woken.
func merging(t *testing.T, s *shelf, rush bool, d time.Duration) (due int) {
	t.Helper()
	m := &merger{
		store: s, rush: func() bool { return rush }, due: func() { due++ }, log: slog.New(slog.DiscardHandler),
		metrics: newCommitMetrics(nil), now: time.Now, wake: make(chan struct{}, 1),
	}
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	if err := m.run(ctx); err != nil {
		t.Error(err)
	}
	return due
}

func TestWithdrawalsAreMergedFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{since: time.Now(), waiting: map[store.InboxKey][]string{
			ordinary("a"): {"a1", "a2"}, urgent("b"): {"b1"}, ordinary("b"): {"b2"}, urgent("c"): {"c1"},
		}}
		due := merging(t, s, false, time.Millisecond)
		if diff := cmp.Diff([]string{"b1", "c1", "a1", "a2", "b2"}, s.left); diff != "" {
			t.Error(diff)
		}
		if due != 4 || s.retried != 1 {
			t.Errorf("delivery was woken %d times, what was set aside was put back %d times", due, s.retried)
		}
	})
}

// In a rush a few are merged at a time, and merging keeps to its share.
func TestInARushMergingKeepsToItsShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		many := slices.Repeat([]string{"x"}, 1_000_000)
		s := &shelf{since: time.Now(), took: time.Millisecond, waiting: map[store.InboxKey][]string{urgent("a"): many, urgent("b"): many}}
		merging(t, s, true, 8*time.Second)
		if n := len(s.left); n < 1900 || n > 2100 {
			t.Errorf("%d were merged in 8 s, want a quarter of 8,000", n)
		}
		a, b := 1_000_000-len(s.waiting[urgent("a")]), 1_000_000-len(s.waiting[urgent("b")])
		if a-b > leastMerged || b-a > leastMerged {
			t.Errorf("of one organization %d were merged, of the other %d", a, b)
		}
	})
}

// What a flood may delay a withdrawal by is bounded: an inbox that has become
// too old takes nothing more until it is younger again.
func TestALateInboxTakesNothingMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(func([]store.Inbound) error { return nil })
		s := &shelf{since: time.Now(), took: time.Second, waiting: map[store.InboxKey][]string{ordinary("a"): slices.Repeat([]string{"x"}, 100)}}
		g.Inbox = s
		c := NewCommitter(g, func() {}, time.Now, slog.New(slog.DiscardHandler), nil)
		c.crowded.Store(time.Now().Add(time.Hour).UnixNano()) // a rush that does not end
		close(g.open)
		say := func() consent.Outcome {
			r, err := c.Accept(t.Context(), store.Inbound{})
			if err != nil {
				t.Error(err)
			}
			return r.Outcome
		}
		if got := say(); got != Queued {
			t.Errorf("in a rush a webhook is %q", got)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		time.Sleep(lag + 60*time.Second) // a merge takes 16 s here, and its rest three times as long
		if got := say(); got == Queued {
			t.Error("an inbox that is too old still takes webhooks")
		}
		time.Sleep(5 * time.Minute)
		if got := say(); got != Queued {
			t.Errorf("once the inbox is empty a webhook of a rush is %q", got)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		c.Close()
	})
}

// One webhook that cannot be merged holds up nobody else, and stays.
func TestWhatCannotBeMergedIsSetAside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{since: time.Now(), bad: "bad", waiting: map[store.InboxKey][]string{ordinary("a"): {"1", "bad", "2", "3"}}}
		merging(t, s, false, time.Second)
		if diff := cmp.Diff([]string{"1", "2", "3"}, s.left); diff != "" {
			t.Error(diff)
		}
		aside := s.waiting[store.InboxKey{Organization: "a", Lane: store.AsideLane}]
		if diff := cmp.Diff([]string{"bad"}, aside); diff != "" {
			t.Error(diff)
		}
	})
}

func TestADatabaseThatIsAwaySetsNothingAside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{since: time.Now(), down: true, waiting: map[store.InboxKey][]string{ordinary("a"): {"1"}}}
		merging(t, s, false, 3*time.Second)
		if len(s.left) > 0 || len(s.waiting) != 1 {
			t.Errorf("left: %v, waiting: %v", s.left, s.waiting)
		}
		s.down = false
		merging(t, s, false, time.Second)
		if len(s.left) != 1 {
			t.Error("it was not merged when the database was back")
		}
	})
}

// R28: what waits in the inbox came by webhook, as what is merged at once does;
// whoever decodes the same from elsewhere has to say so to cause messages.
func TestR28OnlyTheWebhookIsLive(t *testing.T) {
	t.Parallel()
	body := []byte(`{"type":"event.created","parameters":{"entity":{"id":"e","user":{"organization_user_id":"ana"},"consents":{"purposes":[{"id":"p","enabled":true}]}}}}`)
	queued, err := decode(store.Queued{Organization: "acme", Payload: body})
	if err != nil || !queued.Live {
		t.Errorf("a webhook of the inbox is live: %v, %v", queued.Live, err)
	}
	other, err := Inbound("acme", body)
	if err != nil || other.Live {
		t.Errorf("what was decoded elsewhere is live: %v, %v", other.Live, err)
	}
}
