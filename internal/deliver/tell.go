package deliver

import (
	"context"
	"slices"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/deliver/plan"
	"consentsync/internal/store"
)

// tellBatch is how many events Didomi takes in one call
// (https://developers.didomi.io/integrations/batch-import).
const tellBatch = 100

// TellEvent is a choice made in Actito, as an event for Didomi.
type TellEvent struct {
	ID                 string
	OrganizationUserID string
	Regulation         string
	At                 consent.Time
	Choices            []consent.Said
}

// Didomi takes what people chose in Actito. The errors have the kinds of a
// Target's; the same event may be told again, since its id is the same.
type Didomi interface {
	// Tell gives one error for each event, nil for those that Didomi has now; or
	// one for all of them.
	Tell(ctx context.Context, events []TellEvent) ([]error, error)
}

// telling is one person of whom Didomi is to be told.
type telling struct {
	*store.Delivery
	events []TellEvent
	known  consent.Difference // by the name of each choice, see choiceName
	call   store.Call
}

// tell tells Didomi what is due, refusals first; any says that something was.
func (c *courier) tell(ctx context.Context, i *store.Integration) (any bool, err error) {
	k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
	if _, err := c.store.Promote(ctx, k, store.TargetDidomi); err != nil {
		return false, err
	}
	var due []*store.Delivery
	for class := range store.Class(plan.Classes) {
		more, err := c.store.NextDue(ctx, k, store.TargetDidomi, class, tellBatch)
		if err != nil {
			return false, err
		}
		due = append(due, more...)
	}
	if len(due) == 0 {
		return false, nil
	}
	didomi, err := c.targets.Didomi(i)
	if err != nil || didomi == nil {
		return false, err // it waits for credentials
	}
	batch, any, err := c.tellings(ctx, i, due)
	if len(batch) > 0 {
		c.tellAll(ctx, i, didomi, batch)
	}
	return any || len(batch) > 0, err
}

// tellings begins what fits into one call, and settles what Didomi knows. What
// was begun is given beside an error too, and has to be told.
func (c *courier) tellings(ctx context.Context, i *store.Integration, due []*store.Delivery) (batch []*telling, some bool, err error) {
	var settled []store.Settled
	events := 0
	for _, d := range due {
		person, err := c.store.Person(ctx, d.Organization, d.Person)
		t := &telling{Delivery: d}
		switch {
		case err == nil:
			t.find(i, person)
		case consent.KindOf(err) == consent.NotFound: // erased meanwhile: there is nothing to tell
		case hopeless(ctx, err):
			if err := c.setAside(ctx, d, err); err != nil {
				return batch, false, err
			}
			continue
		default:
			return batch, false, err
		}
		switch {
		case len(t.events) == 0:
			settled = append(settled, store.Settled{DeliveryKey: d.DeliveryKey, Version: d.Version})
		case events+len(t.events) > tellBatch:
		default:
			begun, err := c.beginTelling(ctx, i, t)
			if err != nil {
				return batch, false, err
			}
			if begun {
				events += len(t.events)
				batch = append(batch, t)
			}
		}
	}
	if len(settled) > 0 {
		if err := c.store.Settle(ctx, c.currentLease(), settled); err != nil {
			return batch, false, err
		}
	}
	return batch, len(settled) > 0, nil
}

// choiceName names a choice under a regulation in what Didomi is known to hold.
func choiceName(h consent.Held) string { return h.Regulation + " " + h.Path() }

// find gathers the choices in force that were made in Actito and that Didomi
// was not told of.
func (t *telling) find(i *store.Integration, person *store.Person) {
	t.known.Attributes = map[string]any{}
	byEvent := make(map[string]*TellEvent)
	var order []string
	for _, h := range person.View().Choices {
		mapped := slices.ContainsFunc(i.Settings.Mappings, func(m consent.Mapping) bool { return m.Value == h.Path() })
		fact := t.Known.Attributes[choiceName(h)]
		if !mapped || !consent.FromActito(h.EventID) || !fact.Unknown && fact.Value == any(h.EventID) {
			continue
		}
		id := h.EventID
		e := byEvent[id]
		if e == nil {
			e = &TellEvent{ID: id, OrganizationUserID: person.OrganizationUserID, Regulation: h.Regulation, At: h.At}
			byEvent[id] = e
			order = append(order, id)
		}
		e.Choices = append(e.Choices, consent.Said{Choice: h.Choice, Enabled: h.Enabled})
		t.known.Attributes[choiceName(h)] = h.EventID
	}
	for _, id := range order {
		t.events = append(t.events, *byEvent[id])
	}
}

func (c *courier) beginTelling(ctx context.Context, i *store.Integration, t *telling) (bool, error) {
	t.call = store.Call{
		Organization: t.Organization, Person: t.Person, ID: store.NewID(), Integration: t.Integration, Revision: i.Revision, Operation: "tell",
		Subscriptions: map[string]bool{}, StartedAt: c.clock(),
	}
	for _, e := range t.events {
		for _, s := range e.Choices {
			t.call.Subscriptions[s.Choice.Path()] = s.Enabled
		}
	}
	return c.begin(ctx, store.Start{
		DeliveryKey: t.DeliveryKey, Version: t.Version, Doubt: t.Known.Doubt(t.known), Call: t.call,
	})
}

func (c *courier) tellAll(ctx context.Context, i *store.Integration, didomi Didomi, batch []*telling) {
	var events []TellEvent
	for _, t := range batch {
		events = append(events, t.events...)
	}
	ctx, span := c.tellSpan(ctx, i, batch)
	defer span.End()
	each, err := c.askDidomi(ctx, didomi, events)
	failed(span, err)
	for _, t := range batch {
		own := err
		for n := range t.events {
			if own == nil {
				own = each[n]
			}
		}
		if err == nil {
			each = each[len(t.events):]
		}
		c.finishTelling(ctx, i, t, own)
	}
}

// askDidomi tells Didomi. After a fault of ours in it nothing is certain, but what
// was begun is recorded, and nothing else ends with it.
func (c *courier) askDidomi(ctx context.Context, didomi Didomi, events []TellEvent) (each []error, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.ErrorContext(ctx, "telling Didomi panicked", "panic", p)
			each, err = nil, consent.Errorf(consent.Unclear, "deliver.tell", "an error of consentsync")
		}
	}()
	return didomi.Tell(ctx, events)
}

func (c *courier) finishTelling(ctx context.Context, i *store.Integration, t *telling, err error) {
	now := c.clock()
	t.call.AnsweredAt, t.call.Outcome = now, outcomeOf(err)
	c.metrics.called("tell", t.call.Outcome)
	c.logCall(ctx, t.call)
	f := store.Finish{DeliveryKey: t.DeliveryKey, Version: t.Version, State: store.Synced, Class: t.Class, Known: t.Known}
	if err == nil {
		f.Known = f.Known.Confirm(t.known, now)
	} else {
		t.call.Detail = message(err)
		f.LastError = outcomeOf(err) + ": " + message(err)
		f.Attempts = t.Attempts + 1
		f.Known = f.Known.Doubt(t.known)
		f.State = store.Waiting
		f.NextAt = now.Add(max(c.jitter(f.Attempts, f.Class), consent.RetryAfter(err)))
		switch consent.KindOf(err) {
		case consent.Invalid, consent.Conflict:
			f.State, f.NextAt = store.Failed, 0
		case consent.Unauthorized, consent.Forbidden:
			f.NextAt = now.Add(time.Minute)
			c.setStatus(ctx, i, store.Active, store.Active, "Didomi does not take what was chosen in Actito: "+message(err))
		}
	}
	f.Calls = []store.Call{t.call}
	c.record(ctx, f)
}
