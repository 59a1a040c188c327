package app

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"consentsync/internal/deliver"
	"consentsync/internal/telemetry"
)

// Each dependency is told apart, and only what accepting needs keeps a node from
// being called.
func TestReadyTellsDependenciesApart(t *testing.T) {
	t.Parallel()
	now := time.Now()
	fine := deliver.State{Licences: 3, Renewed: now}
	for name, c := range map[string]struct {
		state    deliver.State
		ping     error
		inbox    time.Duration
		disk     string
		stopping bool
		status   int
		says     map[string]string // beside what is ok
		tells    []string          // the conditions that somebody is told of
	}{
		"well":     {state: fine, disk: t.TempDir(), status: 200},
		"database": {state: fine, disk: t.TempDir(), ping: errors.New("full"), status: 503, says: map[string]string{"database": "cannot be written"}, tells: []string{"database"}},
		"shutdown": {state: fine, disk: t.TempDir(), stopping: true, status: 503, says: map[string]string{"shutdown": "under way"}},
		"inbox":    {state: fine, disk: t.TempDir(), inbox: 40 * time.Second, status: 200, says: map[string]string{"inbox": "the oldest webhook in it waits since 40 s"}},
		"disk":     {state: fine, disk: "/no/such/directory", status: 200, says: map[string]string{"disk": "its room cannot be told"}, tells: []string{"disk"}},
		"leases":   {state: deliver.State{Renewed: now.Add(-15 * time.Second)}, disk: t.TempDir(), status: 200, says: map[string]string{"leases": "not renewed for 15 s"}},
		"outage": {
			state: deliver.State{Licences: 3, Outages: 1, Suspended: 2, Withdrawal: 61 * time.Second, Renewed: now}, disk: t.TempDir(), status: 200,
			says: map[string]string{"actito": "out of reach for 1 of 3 licences"}, tells: []string{"withdrawal_late", "integration_suspended"},
		},
		"suspended": {state: deliver.State{Licences: 3, Suspended: 2, Withdrawal: 59 * time.Second, Renewed: now}, disk: t.TempDir(), status: 200, says: map[string]string{"actito": "2 integrations are suspended"}, tells: []string{"integration_suspended"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &health{
				ping: func(context.Context) error { return c.ping }, disk: &telemetry.Disk{Dir: c.disk},
				delivery: func() deliver.State { return c.state }, inbox: func() time.Duration { return c.inbox }, now: func() time.Time { return now },
			}
			h.stopping.Store(c.stopping)
			w := httptest.NewRecorder()
			h.ready(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
			var got struct{ Checks map[string]string }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"database": well, "disk": well, "inbox": well, "leases": well, "actito": well, "shutdown": well}
			maps.Copy(want, c.says)
			if d := cmp.Diff(want, got.Checks); d != "" || w.Code != c.status {
				t.Errorf("the status is %d, want %d; the checks (-want +got):\n%s", w.Code, c.status, d)
			}
			var told []string
			for _, x := range h.wrong(t.Context()) {
				told = append(told, x.Name)
			}
			if d := cmp.Diff(c.tells, told); d != "" {
				t.Errorf("told (-want +got):\n%s", d)
			}
		})
	}
}

// A part that does not end keeps the process no longer than the bound.
func TestShutdownIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, release := time.Now(), make(chan struct{})
		_, late := within(drainTime, func() error {
			<-release
			return nil
		})
		if took := time.Since(start); late == nil || took != drainTime {
			t.Errorf("after %v the error is %v", took, late)
		}
		close(release)
		if err, late := within(drainTime, func() error { return errors.ErrUnsupported }); !errors.Is(err, errors.ErrUnsupported) || late != nil {
			t.Errorf("the errors are %v and %v", err, late)
		}
	})
}
