package deliver

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// listener is the ear of one integration: what Actito told of its profiles is
// looked into, and what people chose there is told to Didomi. It is guarded by
// the courier's lock.
type listener struct {
	running bool
	nextAt  consent.Time
}

const (
	// hearEvery is how often it is looked for news without being woken.
	hearEvery = 500 * time.Millisecond
	hearBatch = 50
)

// listen lets the ears of the integrations go on. It never waits.
func (c *courier) listen(calls context.Context) {
	for _, i := range c.integrations() {
		if !i.Settings.EnableWebhooks || i.Status != store.Active {
			continue
		}
		k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
		c.mu.Lock()
		l := c.listeners[k]
		if l == nil {
			l = &listener{}
			c.listeners[k] = l
		}
		due := !l.running && l.nextAt <= c.clock()
		l.running = l.running || due
		c.mu.Unlock()
		if due {
			c.calls.Go(func() {
				more := c.listenStep(calls, i)
				c.mu.Lock()
				l.running, l.nextAt = false, c.clock().Add(hearEvery)
				if more {
					l.nextAt = 0
				}
				c.mu.Unlock()
				if more {
					c.nudge()
				}
			})
		}
	}
}

// listenStep looks into some news and tells Didomi what is due; more says that
// there may be more to do at once.
func (c *courier) listenStep(ctx context.Context, i *store.Integration) (more bool) {
	heard, err := c.hear(ctx, i)
	if err == nil {
		var told bool
		told, err = c.tell(ctx, i)
		more = heard || told
	}
	if err != nil && ctx.Err() == nil {
		c.log.ErrorContext(ctx, "two-way met an error, and tries again", "integration", i.ID, "error", err)
		return false
	}
	return more
}

// hear looks into the news that are due.
func (c *courier) hear(ctx context.Context, i *store.Integration) (any bool, err error) {
	k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
	news, err := c.store.NextNews(ctx, k, hearBatch)
	if err != nil || len(news) == 0 {
		return false, err
	}
	target, err := c.targets.Target(i)
	if err != nil {
		return false, nil // the single lane tells what is wrong
	}
	for _, n := range news {
		in := &inquiry{courier: c, i: i, target: target, news: n}
		heard, err := in.run(ctx)
		if err != nil {
			if err := c.store.Postpone(ctx, c.currentLease(), n, c.clock().Add(max(time.Second, c.jitter(n.Attempts+1, store.LiveWithdrawal)))); err != nil {
				return any, err
			}
			c.log.WarnContext(ctx, "a change in Actito could not be looked into, and is tried again", "integration", i.ID, "error", err)
			continue
		}
		if err := c.store.SettleNews(ctx, c.currentLease(), heard); err != nil {
			return any, err
		}
		any = true
	}
	c.nudge() // something may be due now
	return any, nil
}

// inquiry finds out what one piece of news means.
type inquiry struct {
	*courier
	i      *store.Integration
	target Target
	news   *store.News
	held   *Held // what a read of the profile has shown
	heard  store.Heard
}

func (q *inquiry) run(ctx context.Context) (store.Heard, error) {
	q.heard = store.Heard{News: q.news, ProfileID: q.news.ProfileID, Again: q.news.Created}
	known, err := q.who(ctx)
	if err != nil || !known {
		return q.heard, err
	}
	subscriptions := q.news.Subscriptions
	if len(subscriptions) == 0 && !q.news.Created {
		// Actito does not say what changed: the profile does.
		if err := q.read(ctx); err != nil || q.held == nil {
			return q.heard, err
		}
		subscriptions = q.held.Subscriptions
	}
	return q.heard, q.weigh(ctx, subscriptions)
}

// who finds the person whom the news are about; known is false if there is
// none, which is no error: Actito has profiles that nobody chose for.
func (q *inquiry) who(ctx context.Context) (known bool, err error) {
	key := q.i.Settings.Properties.UserUniqueKey
	userID := q.news.Keys[key]
	if userID == "" && q.news.ProfileID != "" {
		p, err := q.store.PersonOfProfile(ctx, store.IntegrationKey{Organization: q.i.Organization, ID: q.i.ID}, q.news.ProfileID)
		if err == nil {
			person, err := q.store.Person(ctx, q.i.Organization, p)
			if err == nil {
				userID = person.OrganizationUserID
			} else if consent.KindOf(err) != consent.NotFound {
				return false, err
			}
		} else if consent.KindOf(err) != consent.NotFound {
			return false, err
		}
	}
	if userID == "" {
		if err := q.read(ctx); err != nil || q.held == nil {
			return false, err
		}
		userID = consent.TextOf(q.held.Attributes[key])
	}
	if userID == "" {
		q.metrics.heard("nobody")
		return false, nil
	}
	q.heard.UserID, q.heard.Person = userID, q.targets.PersonKey(q.i.Organization, userID)
	return true, nil
}

// read reads the profile, once. That it is not there is no error; there is
// nothing to be heard of it then.
func (q *inquiry) read(ctx context.Context) error {
	if q.held != nil {
		return nil
	}
	var held Held
	err := q.seated(ctx, "read", q.news.NewsID, func(ctx context.Context) (err error) {
		if q.heard.UserID != "" {
			held, err = q.target.Read(ctx, q.heard.UserID)
		} else {
			held, err = q.target.ReadID(ctx, q.news.ProfileID)
		}
		return err
	})
	switch {
	case err == nil:
		q.held = &held
		if held.ProfileID != "" {
			q.heard.ProfileID = held.ProfileID
		}
	case consent.KindOf(err) == consent.NotFound, consent.KindOf(err) == consent.Invalid:
		q.metrics.heard("gone")
		return nil
	}
	return err
}

// weigh decides what each subscription's change means, and puts together what
// follows.
func (q *inquiry) weigh(ctx context.Context, told map[string]bool) error {
	person, err := q.store.Person(ctx, q.i.Organization, q.heard.Person)
	if consent.KindOf(err) == consent.NotFound && err != nil {
		person = &store.Person{}
	} else if err != nil {
		return err
	}
	key := store.DeliveryKey{Organization: q.i.Organization, Integration: q.i.ID, Target: store.TargetActito, Person: q.heard.Person}
	delivery, err := q.store.Delivery(ctx, key)
	if consent.KindOf(err) == consent.NotFound && err != nil {
		delivery = &store.Delivery{}
	} else if err != nil {
		return err
	}
	writes, err := q.store.OwnWrites(ctx, store.IntegrationKey{Organization: q.i.Organization, ID: q.i.ID}, q.heard.Person, q.news.ArrivedAt.Add(-store.EchoWindow))
	if err != nil {
		return err
	}
	projection := consent.Project(person.View(), q.i.Rules())
	at := q.news.ArrivedAt
	var said []consent.Said
	q.heard.Confirm.Subscriptions, q.heard.Doubt.Subscriptions = map[string]bool{}, map[string]bool{}
	for _, m := range q.i.Settings.Mappings {
		on, is := told[m.ID]
		choice, clear := consent.Invert(m.Value)
		if !is || !clear {
			continue
		}
		r := consent.Rumour{On: on, Writes: writes[m.ID], Known: delivery.Known.Subscriptions[m.ID]}
		r.Wanted, r.Said = projection.Subscriptions[m.ID]
		hearing, err := q.decide(ctx, m.ID, r)
		if err != nil {
			return err
		}
		q.metrics.heard(string(hearing))
		switch hearing {
		case consent.HearWithdrawal, consent.HearGrant:
			said = append(said, consent.Said{Choice: choice, Enabled: on})
			at = max(at, r.Wanted.At.Add(time.Millisecond))
		}
		q.learn(m.ID, hearing, r)
	}
	if len(said) > 0 {
		q.state(said, at)
	}
	return nil
}

// learn keeps what the news prove of the profile. A refusal that may have been
// overtaken is written once more: that costs a call, and makes it certain.
func (q *inquiry) learn(subscription string, hearing consent.Hearing, r consent.Rumour) {
	if r.On && hearing != consent.HearEcho {
		q.heard.SeenOn = append(q.heard.SeenOn, subscription)
	}
	switch hearing {
	case consent.HearGrant: // never without a read
		q.heard.Confirm.Subscriptions[subscription] = true
	case consent.HearWithdrawal:
		refused := q.held != nil && !q.held.Subscriptions[subscription]
		if refused || !r.Overtaken(q.clock().Add(-store.EchoWindow)) {
			q.heard.Confirm.Subscriptions[subscription] = false
		} else {
			q.heard.Doubt.Subscriptions[subscription] = false
		}
	case consent.HearCorrect:
		q.heard.Doubt.Subscriptions[subscription] = r.On
	}
}

func (q *inquiry) decide(ctx context.Context, subscription string, r consent.Rumour) (consent.Hearing, error) {
	if q.held != nil {
		on := q.held.Subscriptions[subscription]
		r.Read = &on
	}
	hearing := consent.Hear(r)
	if hearing != consent.HearUnsure {
		return hearing, nil
	}
	if err := q.read(ctx); err != nil {
		return hearing, err
	}
	if q.held == nil || q.held.Subscriptions == nil {
		return consent.HearEcho, nil // gone, or it does not tell: nothing is proven
	}
	on := q.held.Subscriptions[subscription]
	r.Read = &on
	return consent.Hear(r), nil
}

// state puts together the events that follow: one for each regulation of the
// integration. Their ids depend on the news alone, so that Didomi never gets
// one twice (R26).
func (q *inquiry) state(said []consent.Said, at consent.Time) {
	payload, err := json.Marshal(q.news.Told)
	if err != nil {
		payload = []byte("{}") // texts and booleans
	}
	for _, regulation := range q.i.Settings.Properties.Regulations {
		id := consent.OwnEventID(uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%s %s %s", q.i.ID, q.news.NewsID, regulation)).String())
		q.heard.Statements = append(q.heard.Statements, store.Inbound{
			Organization: q.i.Organization, Canonical: []byte(id), Payload: payload, ArrivedAt: q.news.ArrivedAt, Tell: q.i.ID,
			Message: &consent.Message{
				Type: consent.SubscriptionChanged, EntityID: id, OrganizationUserID: q.heard.UserID, Regulation: regulation, CreatedAt: at, Choices: said,
			},
		})
	}
}
