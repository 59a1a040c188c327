package deliver

import (
	"context"
	"slices"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/deliver/plan"
	"consentsync/internal/mail"
	"consentsync/internal/store"
)

// posting is one message about to be handed over.
type posting struct {
	*store.Message
	integration *store.Integration
	target      Target
	letter      mail.Letter
}

// operationMail is what calls that send messages are called in traces.
const operationMail = "mail"

const (
	// tendEvery is how often it is looked for messages that have become too old,
	// and tendRarely where no new ones are made.
	tendEvery, tendRarely = time.Second, time.Minute
)

// tendMessages drops what has become too old, whether it can be sent now or not.
func (c *courier) tendMessages(ctx context.Context) {
	for _, i := range c.integrations() {
		k, now, every := store.IntegrationKey{Organization: i.Organization, ID: i.ID}, c.now(), tendRarely
		if i.Settings.EnableEmailing {
			every = tendEvery
		}
		if now.Sub(c.mailed[k]) < every {
			continue
		}
		c.mailed[k] = now
		dropped, err := c.store.TendMessages(ctx, c.currentLease(), k)
		if err != nil && ctx.Err() == nil {
			c.log.ErrorContext(ctx, "messages that are too old could not be dropped", "integration", i.ID, "error", err)
		}
		if dropped > 0 {
			c.metrics.messages.WithLabelValues(string(store.MessageDropped)).Add(float64(dropped))
			c.log.WarnContext(ctx, "messages became too old and are dropped", "integration", i.ID, "messages", dropped)
		}
	}
}

// firstMessage gives the first message of a rank that can be sent now. What
// cannot be sent at all is dropped on the way.
func (c *courier) firstMessage(ctx context.Context, i *store.Integration, target Target, rank plan.Rank) (*task, error) {
	if c.closedUntil(i, operationMail) > c.clock() {
		return nil, nil
	}
	busy := c.busyNow()
	due, err := c.store.NextMessages(ctx, store.IntegrationKey{Organization: i.Organization, ID: i.ID}, messageRank(rank), lookahead+c.budget().width())
	if err != nil || len(due) == 0 {
		return nil, err
	}
	if changed, err := c.changed(ctx, i); err != nil || changed {
		return nil, err
	}
	for _, m := range due {
		if m.ExpiresAt <= c.clock() {
			continue // dropped at the next look
		}
		letter, reason, err := c.compose(ctx, i, m)
		if err != nil {
			return nil, err
		}
		if reason != "" {
			if err := c.store.DropMessage(ctx, c.currentLease(), m, reason); err != nil {
				return nil, err
			}
			c.metrics.messages.WithLabelValues(string(store.MessageDropped)).Inc()
			continue
		}
		profile := profileOf(i, letter.Attributes[0].Value)
		if busy[profile] {
			continue
		}
		p := &posting{m, i, target, letter}
		return &task{i.Organization, i.ID, profile, c.waitingSince(m), m.CreatedAt, func(ctx context.Context, now consent.Time) { c.post(ctx, p, now) }}, nil
	}
	return nil, nil
}

func messageRank(r plan.Rank) store.Rank {
	if r == plan.ValidatingMessages {
		return store.Validating
	}
	return store.Telling
}

// waitingSince tells since when a message waits for its turn, see since.
func (c *courier) waitingSince(m *store.Message) consent.Time {
	if m.Attempts > 0 {
		return c.clock()
	}
	return m.CreatedAt
}

// compose makes the letter, or tells why there can be none.
func (c *courier) compose(ctx context.Context, i *store.Integration, m *store.Message) (l mail.Letter, reason string, err error) {
	email, err := c.store.Email(ctx, m.Organization, m.Email)
	switch {
	case err != nil && consent.KindOf(err) == consent.NotFound:
		return l, "how messages of this type are sent was deleted", nil
	case err != nil:
		return l, "", err
	case !email.Settings.Enabled && m.Origin == store.OfEvent:
		return l, "messages of this type were switched off", nil
	}
	order, err := c.targets.Order(m)
	if err != nil {
		c.log.ErrorContext(ctx, "what a message is to say cannot be read", "message", m.ID.String(), "error", err)
		return l, "what it was to say cannot be read any more", nil
	}
	person, err := c.store.Person(ctx, m.Organization, m.Person)
	switch {
	case err != nil && consent.KindOf(err) == consent.NotFound:
	case hopeless(ctx, err):
		c.log.ErrorContext(ctx, "a person cannot be worked out, and gets no message", "person", m.Person.String(), "error", err)
		return l, unreadable, nil
	case err != nil:
		return l, "", err
	}
	view := consent.Combine(order.UserID, &consent.State{}, nil) // nothing is confirmed of them yet
	if err == nil {
		view = person.View()
	}
	return mail.Compose(&email.Settings, m.Organization, view, i.Rules(), order), "", nil
}

// post hands a message over and records how that went. What it is about to do is
// on disk before it does it, so that no crash leads to a second message.
func (c *courier) post(ctx context.Context, p *posting, now consent.Time) {
	call := store.Call{
		Organization: p.Organization, Person: p.Person, ID: store.NewID(), Integration: p.Integration, Operation: operationMail, StartedAt: now,
	}
	ctx, span := c.traced(ctx, operationMail, store.DeliveryKey{Organization: p.Organization, Integration: p.Integration, Person: p.Person}, p.CreatedAt)
	defer span.End()
	for _, a := range p.letter.Attributes {
		call.Attributes = append(call.Attributes, a.Name)
	}
	slices.Sort(call.Attributes)
	ok, err := insist(ctx, func(ctx context.Context) (bool, error) {
		return c.store.BeginMessage(ctx, c.currentLease(), p.Message, call)
	})
	if err != nil {
		c.log.ErrorContext(ctx, "a message could not be begun", "person", p.Person.String(), "error", err)
		return
	}
	if !ok {
		return // somebody was faster, or the lease went
	}
	interaction, err := p.send(ctx)
	failed(span, err)
	end := c.judgeMessage(ctx, p, err)
	end.Interaction = interaction
	call.AnsweredAt, call.Outcome, call.Detail = c.clock(), outcomeOf(err), string(p.Type)
	if err != nil {
		call.Detail += ": " + message(err)
	}
	end.Call = call
	c.metrics.called(operationMail, call.Outcome)
	c.metrics.messages.WithLabelValues(string(end.State)).Inc()
	c.log.InfoContext(ctx, "message", "organization", p.Organization, "integration", p.Integration, "person", p.Person.String(), "message", p.ID.String(), "type", string(p.Type),
		"outcome", call.Outcome, "state", string(end.State), "milliseconds", call.AnsweredAt.Sub(call.StartedAt).Milliseconds())
	// A definite answer is worth recording though the calls were cut.
	lease := c.currentLease()
	if _, err := insist(context.WithoutCancel(ctx), func(ctx context.Context) (bool, error) { return true, c.store.EndMessage(ctx, lease, end) }); err != nil {
		c.log.ErrorContext(ctx, "how a message ended could not be recorded: it will be unclear", "person", p.Person.String(), "error", err)
	}
}

// send makes the call. After a fault of ours in it nothing is certain.
func (p *posting) send(ctx context.Context) (interaction string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = consent.Errorf(consent.Unclear, "deliver.send", "an error of consentsync: %v", r)
		}
	}()
	return p.target.Send(ctx, p.letter)
}

// judgeMessage tells what follows from the answer.
func (c *courier) judgeMessage(ctx context.Context, p *posting, err error) store.MessageEnd {
	end := store.MessageEnd{Message: p.Message, State: store.MessagePending, NextAt: c.clock()}
	if err == nil {
		c.definite()
		end.State, end.NextAt = store.MessageSent, 0
		return end
	}
	end.Reason = consent.KindOf(err).String() + ": " + message(err)
	profile, wait := profileOf(p.integration, p.letter.Attributes[0].Value), consent.RetryAfter(err)
	later := c.clock().Add(max(c.jitter(p.Attempts+1, store.LiveWithdrawal), min(wait, longestBlock)))
	switch consent.KindOf(err) {
	case consent.Unauthorized: // the integration is at fault, not the message
		c.suspend(ctx, p.integration, "Actito refuses the API key: "+message(err), true)
	case consent.Forbidden:
		end.NextAt = c.closeOperation(ctx, p.integration, operationMail)
	case consent.RateLimited:
		c.block(ctx, wait)
	case consent.Transient: // nothing was applied
		if wait > 0 {
			c.block(ctx, wait)
		}
		c.trouble(ctx, profile)
		end.NextAt = later
	case consent.Unclear:
		c.trouble(ctx, profile)
		if end.NextAt = later; !p.Again {
			end.State, end.NextAt = store.MessageUnclear, 0
		}
	default:
		c.definite()
		end.State, end.NextAt = store.MessageFailed, 0
	}
	return end
}
