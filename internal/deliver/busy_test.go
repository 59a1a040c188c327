package deliver

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/mail"
	"consentsync/internal/store"
)

// unmoved is a store in which nothing is due but a delayed read of some people.
// meanwhile is what happens while a person is looked at.
type unmoved struct {
	Store
	reads     []*store.Delivery
	unread    store.PersonKey // the person who cannot be read
	meanwhile func()
	failed    []store.PersonKey
}

func (s *unmoved) NextDue(context.Context, store.IntegrationKey, store.Target, store.Class, int) ([]*store.Delivery, error) {
	return nil, nil
}

func (s *unmoved) NextReadback(context.Context, store.IntegrationKey, store.Target, int) ([]*store.Delivery, error) {
	return s.reads, nil
}

func (s *unmoved) Person(_ context.Context, _ string, p store.PersonKey) (*store.Person, error) {
	s.meanwhile()
	if p == s.unread {
		return nil, consent.Errorf(consent.Internal, "test", "not the stored form")
	}
	return nil, consent.Errorf(consent.NotFound, "test", "nothing is known")
}

func (s *unmoved) Fail(_ context.Context, _ store.Lease, k store.DeliveryKey, _ int64, _ string) error {
	s.failed = append(s.failed, k.Person)
	return nil
}

func (s *unmoved) Email(context.Context, string, string) (*store.Email, error) {
	return &store.Email{Settings: mail.Settings{Enabled: true}}, nil
}

func (s *unmoved) Settle(context.Context, store.Lease, []store.Settled) error { return nil }

// ordered opens any message.
type ordered struct{ Targets }

func (ordered) Order(*store.Message) (mail.Order, error) { return mail.Order{UserID: "ana"}, nil }

func courierOf(s Store) *courier {
	return &courier{
		store: s, targets: ordered{}, log: slog.New(slog.DiscardHandler), now: time.Now, wake: make(chan struct{}, 1),
		spend: newBudget(60, 1, time.Now(), time.Hour), health: map[store.IntegrationKey]*health{}, busy: map[string]bool{},
	}
}

func readDue(person byte) *store.Delivery {
	return &store.Delivery{DeliveryKey: store.DeliveryKey{Person: store.PersonKey{person}}, State: store.Synced, ReadbackAt: 1}
}

// R16: a delayed read that ends while it is looked for the next call is not made
// a second time: what was asked of the store before does not show that it was
// made.
func TestR16AReadThatEndsMeanwhileIsNotMadeTwice(t *testing.T) {
	t.Parallel()
	i := &store.Integration{Organization: "acme", ID: "i", Status: store.Active}
	s := &unmoved{reads: []*store.Delivery{readDue(1)}}
	c := courierOf(s)
	profile := profileOf(i, "")
	c.busy[profile] = true
	s.meanwhile = func() { // it ends, and is recorded
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.busy, profile)
	}
	if j, err := c.firstOf(t.Context(), i, nil, store.BackfilledRefusal); j != nil || err != nil {
		t.Errorf("got %+v, %v; want nothing to do", j, err)
	}
	if j, err := c.firstOf(t.Context(), i, nil, store.BackfilledRefusal); j == nil || err != nil {
		t.Errorf("got %+v, %v; want the read, since nothing is under way", j, err)
	}
}

// A person who cannot be read holds up nobody else, wherever they come by.
func TestAPersonWhoCannotBeReadHoldsUpNobody(t *testing.T) {
	t.Parallel()
	i := &store.Integration{Organization: "acme", ID: "i", Status: store.Active}
	s := &unmoved{reads: []*store.Delivery{readDue(1), readDue(2)}, unread: store.PersonKey{1}, meanwhile: func() {}}
	c := courierOf(s)
	j, err := c.firstOf(t.Context(), i, nil, store.BackfilledRefusal)
	if err != nil || j == nil || j.Person != (store.PersonKey{2}) {
		t.Errorf("a read is due: got %+v, %v; want the next person's", j, err)
	}
	if batch, some, err := c.tellings(t.Context(), i, s.reads); err != nil || len(batch) > 0 || !some {
		t.Errorf("Didomi is told: got %d, %v, %v; want the next person settled", len(batch), some, err)
	}
	if len(s.failed) != 2 || s.failed[0] != s.unread || s.failed[1] != s.unread {
		t.Errorf("set aside are %v, want that person each time", s.failed)
	}
	if _, reason, err := c.compose(t.Context(), i, &store.Message{Person: s.unread}); err != nil || reason == "" {
		t.Errorf("a message: got %q, %v; want a reason why there can be none", reason, err)
	}
}
