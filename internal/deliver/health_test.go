package deliver

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// recovering is a store that fails the first time it is to reopen people.
type recovering struct {
	Store
	since    []consent.Time
	statuses []store.IntegrationStatus
}

func (s *recovering) Reopen(_ context.Context, _ store.IntegrationKey, after consent.Time) error {
	if s.since = append(s.since, after); len(s.since) == 1 {
		return errors.New("the database is slow")
	}
	return nil
}

func (s *recovering) SetStatus(_ context.Context, _ store.IntegrationKey, _, to store.IntegrationStatus, _ string) (bool, error) {
	s.statuses = append(s.statuses, to)
	return true, nil
}

// there is a table that is there again, by whatever target it is asked.
type there struct{ Targets }

type thereTable struct{ Target }

func (there) Target(*store.Integration) (Target, error) { return thereTable{}, nil }
func (there) Paced(ctx context.Context, _ func(context.Context) error, _ func(Exchange)) context.Context {
	return ctx
}
func (thereTable) Check(context.Context) (Structure, error) { return Structure{}, nil }
func (thereTable) Generation() uint64                       { return 1 }

// R18: while those who were taken for unmatched cannot be reopened, an
// integration stays suspended, and the next look goes back as far.
func TestR18SuspendedUntilAllAreReopened(t *testing.T) {
	t.Parallel()
	i := &store.Integration{Organization: "acme", ID: "i", Status: store.Suspended}
	s := &recovering{}
	c := courierOf(s)
	c.targets = there{}
	lost := c.clock().Add(-time.Hour)
	c.with(i, func(h *health) { h.checkedAt = lost })
	c.look(t.Context(), i)
	if len(s.statuses) > 0 {
		t.Errorf("the integration is %v, though people are not reopened", s.statuses)
	}
	c.look(t.Context(), i)
	if !slices.Equal(s.since, []consent.Time{lost, lost}) {
		t.Errorf("people are reopened from %v, want twice from %v", s.since, lost)
	}
	if !slices.Equal(s.statuses, []store.IntegrationStatus{store.Active}) {
		t.Errorf("the integration is %v, want active", s.statuses)
	}
}
