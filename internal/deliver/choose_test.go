package deliver

import (
	"context"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// changing is a store in which an integration changes and a person becomes due
// just after the integration was read.
type changing struct {
	Store
	prepared int
}

func (c *changing) IntegrationsOfLicence(context.Context, string) ([]*store.Integration, error) {
	return []*store.Integration{{Organization: "acme", ID: "i", Revision: 2, Status: store.Active}}, nil
}

func (c *changing) NextDue(context.Context, store.IntegrationKey, store.Target, store.Class, int) ([]*store.Delivery, error) {
	return []*store.Delivery{{State: store.Pending, Version: 1}}, nil
}

func (c *changing) Person(context.Context, string, store.PersonKey) (*store.Person, error) {
	c.prepared++
	return nil, consent.Errorf(consent.Internal, "test", "too far")
}

// R12: who became due after a change is not compared under the old settings,
// since the re-projection of the change may have come by already.
func TestR12OldSettingsAreNotUsed(t *testing.T) {
	t.Parallel()
	s := &changing{}
	c := &courier{
		store: s, now: time.Now, wake: make(chan struct{}, 1), spend: newBudget(60, 1, time.Now(), time.Hour),
		health: map[store.IntegrationKey]*health{}, busy: map[string]bool{},
	}
	old := &store.Integration{Organization: "acme", ID: "i", Revision: 1, Status: store.Active}
	j, err := c.firstOf(t.Context(), old, nil, store.LiveWithdrawal)
	if j != nil || err != nil || s.prepared != 0 {
		t.Errorf("got %v and %v, and %d people were compared; want nothing of all that", j, err, s.prepared)
	}
	select {
	case <-c.wake:
	default:
		t.Error("nobody looks again")
	}
}
