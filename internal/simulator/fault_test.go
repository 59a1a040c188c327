package simulator

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const (
	turnOff = `{"subscriptions":{"Newsletter":false}}`
	turnOn  = `{"subscriptions":{"Newsletter":true}}`
)

func TestFaultsOverTheNetwork(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault   Fault
		status  int
		body    string // its beginning
		applied bool
	}{
		{Fault{Effect: EffectStatus, Status: 503}, 503, `{"message"`, false},
		{Fault{Effect: EffectStatusAfter, Status: 502}, 502, `{"message"`, true},
		{Fault{Effect: EffectResetBefore}, 0, "", false},
		{Fault{Effect: EffectResetAfter}, 0, "", true},
		{Fault{Effect: EffectTruncate}, 200, `{"profi`, true},
		{Fault{Effect: EffectContent}, 200, "<html>", true},
		{Fault{Effect: EffectContent, Status: 500, Body: "oops", ContentType: "text/plain"}, 500, "oops", true},
	} {
		t.Run(string(c.fault.Effect), func(t *testing.T) {
			t.Parallel()
			b := serve(t, ActitoOptions{})
			c.fault.Kind, c.fault.Times = KindUpdate, 1
			b.Inject(c.fault)
			b.want("GET", annaPath, "", 200)
			status, body := b.rawCall(t.Context(), "PATCH", annaPath, turnOff)
			if status != c.status || len(body) < len(c.body) || string(body[:len(c.body)]) != c.body {
				t.Errorf("answer: %d %s", status, body)
			}
			if applied := !b.newsletter(); applied != c.applied {
				t.Errorf("applied: %v", applied)
			}
			last := b.Calls()[b.CallCount()-1]
			if last.Status != c.status || last.Applied != c.applied || last.Fault != c.fault.Effect {
				t.Errorf("recorded: %+v", last)
			}
			b.want("PATCH", annaPath, turnOff, 200)
			if got := b.MaxOverlap(); got != 1 {
				t.Errorf("overlap: %d", got)
			}
		})
	}
}

func TestWithheldAnswer(t *testing.T) {
	t.Parallel()
	for effect, applied := range map[Effect]bool{EffectWithholdBefore: false, EffectWithholdAfter: true} {
		synctest.Test(t, func(t *testing.T) {
			b := direct(t, ActitoOptions{})
			b.Inject(Fault{Kind: KindUpdate, Effect: effect, Times: 1})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if status, _ := b.rawCall(ctx, "PATCH", annaPath, turnOff); status != 0 || ctx.Err() == nil {
				t.Errorf("answered %d", status)
			}
			if got := !b.newsletter(); got != applied {
				t.Errorf("applied: %v", got)
			}
			b.want("PATCH", annaPath, turnOff, 200)
			if got := b.MaxOverlap(); got != 1 {
				t.Errorf("overlap: %d", got)
			}
		})
	}
}

func TestLeavingIsNoticedOverTheNetwork(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	srv := httptest.NewServer(b.Actito)
	b.url = srv.URL
	b.Inject(Fault{Effect: EffectWithholdAfter})
	ctx, cancel := context.WithCancel(t.Context())
	b.OnChange(func(Change) { cancel() })
	if status, _ := b.rawCall(ctx, "PATCH", annaPath, turnOff); status != 0 {
		t.Errorf("answered %d", status)
	}
	srv.Close() // waits for the call
	if last := b.Calls()[1]; last.Finished.IsZero() || !last.Applied || last.Status != 0 {
		t.Errorf("recorded: %+v", last)
	}
}

func TestCloseEndsWithheldAnswers(t *testing.T) {
	t.Parallel()
	b := serve(t, ActitoOptions{})
	b.Inject(Fault{Effect: EffectWithholdAfter})
	b.OnChange(func(Change) { go b.Close() })
	if status, _ := b.rawCall(t.Context(), "PATCH", annaPath, turnOff); status != 0 {
		t.Errorf("answered %d", status)
	}
}

func TestLateChange(t *testing.T) {
	t.Parallel()
	for _, effect := range []Effect{EffectStatus, EffectResetAfter} {
		synctest.Test(t, func(t *testing.T) {
			b := direct(t, ActitoOptions{})
			b.Inject(Fault{Effect: effect, Status: 504, ApplyLate: 30 * time.Second, Times: 1})
			status, _ := b.rawCall(t.Context(), "PATCH", annaPath, turnOff)
			if effect == EffectStatus && status != 504 || effect == EffectResetAfter && status != 0 {
				t.Errorf("answered %d", status)
			}
			_ = sleep(t.Context(), 29*time.Second)
			b.want("PATCH", annaPath, turnOn, 200)
			if !b.newsletter() {
				t.Error("changed too early")
			}
			start := time.Now()
			b.Settle()
			if waited := time.Since(start); waited != time.Second {
				t.Errorf("settled after another %v, want 1s", waited)
			}
			if b.newsletter() {
				t.Error("the late change was not made")
			}
			calls := b.Calls()
			if !calls[1].Applied || b.MaxOverlap() != 2 {
				t.Errorf("overlap %d, call %+v", b.MaxOverlap(), calls[1])
			}
		})
	}
}

func TestLateChangeAfterTheClientLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := direct(t, ActitoOptions{})
		b.Inject(Fault{Effect: EffectWithholdAfter, ApplyLate: 10 * time.Second, Times: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		start := time.Now()
		_, _ = b.rawCall(ctx, "PATCH", annaPath, turnOff)
		if !b.newsletter() {
			t.Error("changed before the client left")
		}
		b.Settle()
		if took := time.Since(start); took != 70*time.Second || b.newsletter() {
			t.Errorf("after %v Newsletter is %v", took, b.newsletter())
		}
	})
}

func TestCloseDropsLateChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := direct(t, ActitoOptions{})
		b.Inject(Fault{Effect: EffectStatus, Status: 500, ApplyLate: time.Hour})
		b.want("PATCH", annaPath, turnOff, 500)
		b.Close()
		if !b.newsletter() {
			t.Error("the change was made all the same")
		}
	})
}

func TestWhichCallsAFaultStrikes(t *testing.T) {
	t.Parallel()
	statuses := func(b *bench, n int) (got []int) {
		for range n {
			status, _ := b.rawCall(t.Context(), "PATCH", annaPath, turnOff)
			got = append(got, status)
		}
		return got
	}
	for name, c := range map[string]struct {
		faults []Fault
		want   []int
	}{
		"always":       {[]Fault{{Effect: EffectStatus, Status: 500}}, []int{500, 500, 500, 500}},
		"twice":        {[]Fault{{Effect: EffectStatus, Status: 500, Times: 2}}, []int{500, 500, 200, 200}},
		"later":        {[]Fault{{Effect: EffectStatus, Status: 500, Times: 1, Skip: 2}}, []int{200, 200, 500, 200}},
		"in order":     {[]Fault{{Effect: EffectStatus, Status: 500, Times: 1}, {Effect: EffectStatus, Status: 503, Times: 2}}, []int{500, 503, 503, 200}},
		"another kind": {[]Fault{{Kind: KindRead, Effect: EffectStatus, Status: 500}}, []int{200, 200, 200, 200}},
		"another key":  {[]Fault{{Key: "ben@example.com", Effect: EffectStatus, Status: 500}}, []int{200, 200, 200, 200}},
		"this value":   {[]Fault{{Key: "anna@example.com", Effect: EffectStatus, Status: 500}}, []int{500, 500, 500, 500}},
		"this key":     {[]Fault{{Key: "emailAddress=anna@example.com", Effect: EffectStatus, Status: 500}}, []int{500, 500, 500, 500}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := direct(t, ActitoOptions{})
			for _, f := range c.faults {
				b.Inject(f)
			}
			if got := statuses(b, 4); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			b.ClearFaults()
			if got := statuses(b, 1); got[0] != 200 {
				t.Errorf("cleared, but got %v", got)
			}
		})
	}
	t.Run("removed", func(t *testing.T) {
		t.Parallel()
		b := direct(t, ActitoOptions{})
		remove := b.Inject(Fault{Effect: EffectStatus, Status: 500})
		first := statuses(b, 1)
		remove()
		if got := append(first, statuses(b, 1)...); !slices.Equal(got, []int{500, 200}) {
			t.Errorf("got %v", got)
		}
	})
	t.Run("by chance", func(t *testing.T) {
		t.Parallel()
		run := func() []int {
			b := direct(t, ActitoOptions{Seed: 7, CallsPerMinute: -1})
			b.Inject(Fault{Effect: EffectStatus, Status: 500, Probability: 0.5})
			return statuses(b, 100)
		}
		first := run()
		if n := len(slices.DeleteFunc(slices.Clone(first), func(s int) bool { return s == 200 })); n < 30 || n > 70 {
			t.Errorf("%d of 100 struck", n)
		}
		if !slices.Equal(first, run()) {
			t.Error("not repeatable")
		}
	})
}

func TestFaultStrikesToken(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	b.Inject(Fault{Kind: KindToken, Effect: EffectStatus, Status: 500, RetryAfter: 1500 * time.Millisecond, Times: 1})
	status, _ := b.call("GET", "/auth/token", "")
	if status != 500 {
		t.Errorf("answered %d", status)
	}
	b.fetchToken(SampleKey)
}

func TestLatenciesAddUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := direct(t, ActitoOptions{Latency: time.Second})
		b.Inject(Fault{Latency: 10 * time.Second})
		b.Inject(Fault{Latency: 20 * time.Second, Effect: EffectStatus, Status: 500})
		b.Inject(Fault{Latency: 40 * time.Second})
		start := time.Now()
		b.want("PATCH", annaPath, turnOff, 500)
		if took := time.Since(start); took != 31*time.Second {
			t.Errorf("took %v, want 31s", took)
		}
	})
}

// A call that has arrived is carried out although its client has left.
func TestClientLeavesDuringLatency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := direct(t, ActitoOptions{Latency: time.Minute})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _ = b.rawCall(ctx, "PATCH", annaPath, turnOff)
		if b.newsletter() {
			t.Error("the change was not made")
		}
	})
}

func TestSenselessFaultPanics(t *testing.T) {
	t.Parallel()
	for _, f := range []Fault{
		{Effect: "nonsense"},
		{Effect: EffectStatus},
		{Effect: EffectContent, Status: 99},
		{ApplyLate: 1},
		{Effect: EffectTruncate, ApplyLate: 1},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was taken", f)
				}
			}()
			NewActito(ActitoOptions{}).Inject(f)
		}()
	}
}

func TestTooManyAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := direct(t, ActitoOptions{Latency: time.Second})
		b.AddLicenceKey("other", "other-key")
		var served, refused atomic.Int32
		var wg sync.WaitGroup
		for range 7 {
			wg.Go(func() {
				switch status, _ := b.rawCall(t.Context(), "GET", annaPath, ""); status {
				case http.StatusOK:
					served.Add(1)
				case http.StatusTooManyRequests:
					refused.Add(1)
				}
			})
		}
		synctest.Wait()
		other := *b
		other.token = b.fetchToken("other-key")
		other.want("GET", annaPath, "", 200)
		wg.Wait()
		if served.Load() != 5 || refused.Load() != 2 || b.MaxConcurrent() < 6 {
			t.Errorf("served %d, refused %d, seen %d", served.Load(), refused.Load(), b.MaxConcurrent())
		}
		b.want("GET", annaPath, "", 200)
	})
}

func TestTooManyAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := direct(t, ActitoOptions{CallsPerMinute: 10})
		took := func() time.Duration {
			start := time.Now()
			b.want("GET", annaPath, "", 200)
			return time.Since(start)
		}
		for range 10 {
			if d := took(); d != 0 {
				t.Fatalf("slowed by %v within the limit", d)
			}
		}
		if first, second := took(), took(); first <= 0 || second <= first {
			t.Errorf("slowed by %v, then by %v", first, second)
		}
		_ = sleep(t.Context(), time.Minute)
		if d := took(); d != 0 {
			t.Errorf("slowed by %v a minute later", d)
		}
	})
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	overlap := func(t *testing.T, calls ...[3]string) int {
		b := direct(t, ActitoOptions{Latency: time.Second})
		var wg sync.WaitGroup
		for _, c := range calls {
			wg.Go(func() { b.call(c[0], c[1], c[2]) })
		}
		wg.Wait()
		return b.MaxOverlap()
	}
	update := [3]string{"PATCH", annaPath, turnOff}
	byID := [3]string{"PATCH", profilesPath + "/1", turnOff}
	create := [3]string{"POST", profilesPath, `{"key":{"emailAddress":"ben@example.com"}}`}
	for name, c := range map[string]struct {
		calls [][3]string
		want  int
	}{
		"one":            {[][3]string{update}, 1},
		"two":            {[][3]string{update, update}, 2},
		"by other names": {[][3]string{update, byID}, 2},
		"creations":      {[][3]string{create, create, create}, 3},
		"other profiles": {[][3]string{update, create}, 1},
		"reads":          {[][3]string{update, {"GET", annaPath, ""}}, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			if got := overlap(t, c.calls...); got != c.want {
				t.Errorf("%s: overlap %d, want %d", name, got, c.want)
			}
		})
	}
}

// A client that waits for each answer never overlaps with itself.
func TestNoOverlapInSequence(t *testing.T) {
	t.Parallel()
	b := serve(t, ActitoOptions{CallsPerMinute: -1})
	b.Inject(Fault{Effect: EffectResetAfter, Probability: 0.3})
	for range 200 {
		_, _ = b.rawCall(t.Context(), "PATCH", annaPath, turnOff)
	}
	if b.MaxOverlap() != 1 || b.MaxConcurrent() != 1 {
		t.Errorf("overlap %d, concurrent %d", b.MaxOverlap(), b.MaxConcurrent())
	}
}

func TestCounters(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{KeepCalls: 5, CallsPerMinute: -1})
	for range 50 {
		b.want("GET", annaPath, "", 200)
	}
	b.want("PATCH", annaPath, turnOff, 200)
	if b.CallCount() != 52 || b.CallCount(KindRead) != 50 || b.CallCount(KindUpdate, KindToken) != 2 {
		t.Errorf("counts: %d %d", b.CallCount(), b.CallCount(KindRead))
	}
	calls := b.Calls()
	if n := len(calls); n < 5 || n > 10 {
		t.Errorf("%d calls kept", n)
	}
	last := calls[len(calls)-1]
	if last.Key != "emailAddress=anna@example.com" || last.Subscriptions["Newsletter"] != false ||
		!last.Applied || last.Status != 200 || last.Finished.IsZero() || last.Table != "16" {
		t.Errorf("last: %+v", last)
	}
	b.ResetCounters()
	if b.CallCount() != 0 || len(b.Calls()) != 0 || b.MaxOverlap() != 0 || b.MaxConcurrent() != 0 {
		t.Error("not reset")
	}
}
