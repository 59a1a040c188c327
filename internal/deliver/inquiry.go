package deliver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"consentsync/internal/consent"
	"consentsync/internal/store"
	"consentsync/internal/telemetry"
)

// errLater says that news cannot be looked into without waiting: for the
// profile to be read, or for webhooks to be merged.
var errLater = errors.New("it takes a while")

// mailEcho is for how long what Actito tells of a profile may come from a message
// that was sent to it: the call writes the profile too. It is short, for people
// also answer what they are sent.
const mailEcho = time.Minute

// inquiry finds out what one piece of news means.
type inquiry struct {
	*courier
	i       *store.Integration
	target  Target
	news    *store.News
	mayWait bool
	held    *Held        // what a read of the profile has shown
	readAt  consent.Time // when that was begun, by the database's clock
	gone    bool         // that it is not there
	refused bool         // that Actito takes the question for a wrong one
	barred  bool         // that the API key may not
	whole   bool         // Actito did not say what changed
	heard   store.Heard
	counted []consent.Hearing
}

// settle looks into the news and records what they turned out to be. What
// cannot be looked into is tried again later, and holds up nothing else. The
// errors are errLater, and those that concern all news.
func (q *inquiry) settle(ctx context.Context) error {
	ctx, span := q.tracedFor(ctx, "hear", q.news.IntegrationKey, []telemetry.Place{q.news.Trace}, slog.String("news", q.news.NewsID.String()))
	defer span.End()
	heard, err := q.guarded(ctx)
	for i := range heard.Statements {
		heard.Statements[i].Trace = telemetry.PlaceOf(ctx)
	}
	if errors.Is(err, errLater) {
		return err
	}
	if err != nil && q.clock().Sub(q.news.ArrivedAt) > hearFor {
		q.log.ErrorContext(ctx, "a change in Actito could not be looked into for days, and is given up", "integration", q.i.ID, "error", err)
		q.counted = []consent.Hearing{"given_up"}
		heard, err = store.Heard{News: q.news}, nil
	}
	if err == nil {
		err = q.store.SettleNews(ctx, q.currentLease(), heard)
		if err != nil && consent.KindOf(err) == consent.Conflict {
			return err // the lease has gone
		}
	}
	if err == nil {
		for _, h := range q.counted {
			q.metrics.heard(string(h))
		}
		q.nudge() // something may be due now
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	q.log.WarnContext(ctx, "a change in Actito could not be looked into, and is tried again", "integration", q.i.ID, "error", err)
	return q.store.Postpone(ctx, q.currentLease(), q.news, q.clock().Add(max(time.Second, q.jitter(q.news.Attempts+1, store.LiveWithdrawal))))
}

// guarded looks into the news; a panic concerns them alone.
func (q *inquiry) guarded(ctx context.Context) (heard store.Heard, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = consent.Errorf(consent.Internal, "deliver.hear", "a panic: %v", p)
		}
	}()
	q.counted = nil
	return q.run(ctx)
}

func (q *inquiry) run(ctx context.Context) (store.Heard, error) {
	switch repeated, err := q.store.Repeated(ctx, q.news); {
	case err != nil:
		return store.Heard{}, err
	case repeated:
		q.counted = append(q.counted, "repeated")
		return store.Heard{News: q.news}, nil
	}
	q.heard = store.Heard{News: q.news, ProfileID: q.news.ProfileID, Again: q.news.Created}
	known, err := q.who(ctx)
	if err != nil || !known {
		return q.heard, err
	}
	subscriptions := q.news.Subscriptions
	if len(subscriptions) == 0 && !q.news.Created {
		// Actito does not say what changed: the profile does.
		if err := q.mustRead(ctx); err != nil || q.held == nil || q.held.Subscriptions == nil {
			return q.heard, err
		}
		q.whole, subscriptions = true, make(map[string]bool)
		for _, m := range q.i.Settings.Mappings {
			subscriptions[m.ID] = q.held.Subscriptions[m.ID]
		}
	}
	return q.heard, q.weigh(ctx, subscriptions)
}

// who finds the person whom the news are about; known is false if there is
// none, which is no error: Actito has profiles that nobody chose for. The unique
// key counts first if it is somebody's we know; then the profile's own id, for
// Actito may tell the key in another spelling.
func (q *inquiry) who(ctx context.Context) (known bool, err error) {
	key := q.i.Settings.Properties.UserUniqueKey
	userID := q.news.Keys[key]
	if userID != "" {
		if _, err := q.store.Person(ctx, q.i.Organization, q.targets.PersonKey(q.i.Organization, userID)); err == nil {
			q.about(userID)
			return true, nil
		} else if consent.KindOf(err) != consent.NotFound {
			return false, err
		}
	}
	byProfile, err := q.ofProfile(ctx)
	if err != nil {
		return false, err
	}
	userID = cmp.Or(byProfile, userID)
	if userID == "" && q.news.ProfileID != "" {
		if err := q.mustRead(ctx); err != nil || q.held == nil {
			return false, err
		}
		userID = consent.TextOf(q.held.Attributes[key])
	}
	if userID == "" {
		q.counted = append(q.counted, "nobody")
		return false, nil
	}
	q.about(userID)
	return true, nil
}

func (q *inquiry) about(userID string) {
	q.heard.UserID, q.heard.Person = userID, q.targets.PersonKey(q.i.Organization, userID)
}

// ofProfile gives whose profile it is, by its own id; "" if that is not known.
func (q *inquiry) ofProfile(ctx context.Context) (userID string, err error) {
	if q.news.ProfileID == "" {
		return "", nil
	}
	p, err := q.store.PersonOfProfile(ctx, store.IntegrationKey{Organization: q.i.Organization, ID: q.i.ID}, q.news.ProfileID)
	if err == nil {
		var person *store.Person
		if person, err = q.store.Person(ctx, q.i.Organization, p); err == nil {
			return person.OrganizationUserID, nil
		}
	}
	if consent.KindOf(err) == consent.NotFound {
		return "", nil
	}
	return "", err
}

// mustRead reads the profile for news that say nothing without it. Where the API
// key may not, they wait: somebody may give it the right.
func (q *inquiry) mustRead(ctx context.Context) error {
	if err := q.read(ctx); err != nil || !q.barred {
		return err
	}
	return consent.Errorf(consent.Transient, "deliver.hear", "the API key may not read profiles")
}

// read reads the profile, once. That it is not there is no error; there is
// nothing to be heard of it then. Nor is it one that it cannot be read, which
// is not tried again for a while.
func (q *inquiry) read(ctx context.Context) error {
	if q.barred = q.barred || q.closedUntil(q.i, "read") > q.clock(); q.held != nil || q.gone || q.refused || q.barred {
		return nil
	}
	if !q.mayWait {
		return errLater
	}
	var held Held
	err := q.seated(ctx, "read", q.news.IntegrationKey, q.news.NewsID, func(ctx context.Context) (err error) {
		if q.readAt, err = q.store.Now(ctx); err != nil {
			return err
		}
		if q.heard.UserID != "" {
			held, err = q.target.Read(ctx, q.heard.UserID)
		} else {
			held, err = q.target.ReadID(ctx, q.news.ProfileID)
		}
		return err
	})
	if err == nil {
		q.held = &held
		q.heard.ProfileID = cmp.Or(held.ProfileID, q.heard.ProfileID)
		return nil
	}
	switch consent.KindOf(err) {
	case consent.NotFound:
		q.counted = append(q.counted, "gone")
		q.gone = true
		return nil
	case consent.Invalid:
		q.counted = append(q.counted, "unreadable")
		q.refused = true
		return nil
	case consent.Forbidden:
		q.closeOperation(ctx, q.i, "read")
		q.barred = true
		return nil
	case consent.Conflict: // of Actito's, not the lease's
		return consent.Errorf(consent.Transient, "deliver.hear", "%s", message(err))
	}
	return err
}

// weigh decides what each subscription's change means, and puts together what
// follows.
func (q *inquiry) weigh(ctx context.Context, told map[string]bool) error {
	granted := false
	for _, on := range told {
		granted = granted || on
	}
	// A refusal that was accepted and is not merged yet must count against a grant.
	if granted {
		patience := store.Patience
		if !q.mayWait {
			patience = 0
		}
		switch merged, err := store.CaughtUp(ctx, q.store, q.i.Organization, patience); {
		case err != nil:
			return err
		case !merged && !q.mayWait:
			return errLater
		case !merged:
			return consent.Errorf(consent.Transient, "deliver.hear", "webhooks of Didomi are still to be merged")
		}
	}
	before, counted := q.held, q.counted
	err := q.weighOnce(ctx, told)
	if err == nil && before == nil && q.held != nil {
		// A read may take long: what was chosen meanwhile counts too.
		q.counted = counted
		err = q.weighOnce(ctx, told)
	}
	return err
}

func (q *inquiry) weighOnce(ctx context.Context, told map[string]bool) error {
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
	mailed, err := q.store.MailedSince(ctx, q.i.Organization, q.heard.Person, q.news.ArrivedAt.Add(-mailEcho))
	if err != nil {
		return err
	}
	projection := consent.Project(person.View(), q.i.Rules())
	at := q.news.ArrivedAt
	var said []consent.Said
	q.heard.Statements, q.heard.SeenOn = nil, nil
	q.heard.Confirm.Subscriptions, q.heard.Doubt.Subscriptions = map[string]bool{}, map[string]bool{}
	for _, m := range q.i.Settings.Mappings {
		on, is := told[m.ID]
		choice, clear := consent.Invert(m.Value)
		known, held := delivery.Known.Subscriptions[m.ID]
		if !is || !clear || q.whole && (!held || !known.Unknown && known.Value == any(on)) {
			continue // not told, or nothing that is known to have changed
		}
		r := consent.Rumour{On: on, Created: q.news.Created, ArrivedAt: q.news.ArrivedAt, Mailed: mailed, Writes: writes[m.ID], Known: known}
		r.Wanted, r.Said = projection.Subscriptions[m.ID]
		if q.held != nil && known.ConfirmedAt >= q.readAt {
			return consent.Errorf(consent.Transient, "deliver.hear", "the profile was written to while it was read")
		}
		hearing, err := q.decide(ctx, m.ID, r)
		if err != nil {
			return err
		}
		q.counted = append(q.counted, hearing)
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
		refused := q.held != nil && q.held.Subscriptions != nil && !q.held.Subscriptions[subscription]
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
	if q.held != nil && q.held.Subscriptions != nil {
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
	switch {
	case q.held != nil && q.held.Subscriptions != nil:
	case q.gone || r.On:
		return consent.HearEcho, nil // nothing is proven
	default:
		return consent.HearWithdrawal, nil // it cannot be told apart, so the refusal counts
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
