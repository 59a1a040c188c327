package deliver

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// lossy is a store whose answers to Begin are lost for a while.
type lossy struct {
	Store
	answers []error
	asked   []store.ID
}

func (s *lossy) Begin(_ context.Context, _ store.Lease, start store.Start) (bool, error) {
	s.asked = append(s.asked, start.Call.ID)
	err := s.answers[min(len(s.asked), len(s.answers))-1]
	return err == nil, err
}

// What has begun without our knowing would stay in flight until the lease
// moves, and nobody would deliver it.
func TestACallWhoseBeginningIsUnknownIsBegunAgain(t *testing.T) {
	t.Parallel()
	lost := &consent.Error{Kind: consent.Transient, Message: "no answer"}
	bad := &consent.Error{Kind: consent.Internal, Message: "it cannot be written"}
	for name, x := range map[string]struct {
		answers []error
		ok      bool
		asked   int // at least, and once more at most
	}{
		"two answers are lost": {[]error{lost, lost, nil, nil}, true, 3},
		"it cannot be written": {[]error{bad}, false, 1},
		"no answer ever comes": {[]error{lost}, false, int(store.LeaseLife / time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &lossy{answers: x.answers}
				c := &courier{store: s}
				id := store.NewID()
				ok, err := c.begin(t.Context(), store.Start{Call: store.Call{ID: id}})
				if ok != x.ok || (err == nil) != x.ok || len(s.asked) < x.asked || len(s.asked) > x.asked+1 {
					t.Errorf("got %v, %v after %d questions; want %v after %d", ok, err, len(s.asked), x.ok, x.asked)
				}
				for _, asked := range s.asked {
					if asked != id {
						t.Error("it is asked with another call")
					}
				}
			})
		})
	}
}
