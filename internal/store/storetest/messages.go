package storetest

import (
	"slices"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/mail"
	"consentsync/internal/store"
)

var mailing = group{
	"an event causes the messages that are configured":      messagesCaused,
	"R28 only what Didomi tells by webhook causes any":      messagesOfOthers,
	"one message for a type, event and person":              messagesOnce,
	"the order of an event and its user record is the same": messagesAnyOrder,
	"a pending event asks, and says nothing else":           messagesPending,
	"a message is as old as the choice":                     messagesAge,
	"a message that was caused is due in its rank":          messagesDue,
	"in flight before the call, once":                       messageBegun,
	"how a call ended is stored":                            messageEnds,
	"what was in flight when its node died is unclear":      messageInterrupted,
	"a late result still counts":                            messageLateResult,
	"what is too old is dropped, and forgotten later":       messagesTended,
	"somebody may have it sent again":                       messageAgain,
	"a request is taken once for its reference":             messageRequested,
	"an unmatched person is due again when they were sent":  messageFindsProfile,
	"emails are kept one a type":                            emailsKept,
	"an integration takes its emails and messages along":    emailsGone,
	"after a restore what was to be sent is unclear":        messagesRestored,
	"messages are listed and counted":                       messagesListed,
}

// email configures a type in acme.
func (b *bench) email(k store.IntegrationKey, t mail.Type, change func(*mail.Settings)) *store.Email {
	b.Helper()
	e := &store.Email{
		Organization: k.Organization, ID: "email of " + string(t), Integration: k.ID, Revision: 1, CreatedAt: b.now(), UpdatedAt: b.now(),
		Settings: mail.Settings{TypeID: "actito", EmailType: t, Enabled: true, Properties: mail.Properties{EmailCampaignName: "c"}},
	}
	e.Settings.Complete()
	if change != nil {
		change(&e.Settings)
	}
	b.must(b.CreateEmail(b.Context(), e))
	return e
}

// live takes messages as Didomi's webhook tells them.
func (b *bench) live(organization string, told ...*consent.Message) []store.Receipt {
	b.Helper()
	batch := make([]store.Inbound, len(told))
	for i, m := range told {
		batch[i] = inbound(organization, m)
		batch[i].Live = true
	}
	receipts, err := b.Accept(b.Context(), batch)
	b.must(err)
	return receipts
}

// mailed gives all messages of an organization, the oldest first.
func (b *bench) mailed(organization string) []*store.Message {
	b.Helper()
	found, err := b.Messages(b.Context(), organization, "", store.ID{}, 1000)
	b.must(err)
	slices.Reverse(found)
	return found
}

// mailTypes gives the types of all messages of an organization, sorted.
func (b *bench) mailTypes(organization string) []string {
	b.Helper()
	var types []string
	for _, m := range b.mailed(organization) {
		types = append(types, string(m.Type))
	}
	slices.Sort(types)
	return types
}

func pending(m *consent.Message) *consent.Message {
	return change(m, func(m *consent.Message) { m.Pending = true })
}

func (b *bench) allEmails(k store.IntegrationKey) {
	b.Helper()
	for _, t := range []mail.Type{mail.ConfirmConsentChanged, mail.ConsentsUserCreated, mail.ValidationDoubleOptIn} {
		b.email(k, t, nil)
	}
}

func messagesCaused(b *bench) {
	k := b.integrate(acme, "i")
	b.allEmails(k)
	b.email(store.IntegrationKey{Organization: globex, ID: "x"}, mail.ConfirmConsentChanged, nil)
	receipts := b.live(acme, event("e1", at(-1), yes("p")))
	b.same("something is due", receipts[0].Due, true)
	b.same("the first event", b.mailTypes(acme), []string{"confirm-consent-changed", "consents-user-created"})
	m := b.mailed(acme)[0]
	order, err := mail.DecodeOrder(m.Body)
	b.must(err)
	b.same("what it says", order, mail.Order{UserID: "ana", EventID: "e1", At: at(-1)})
	b.same("whose, through what, in which state", []any{m.Person, m.Integration, m.State, m.Origin, m.CreatedAt}, []any{b.person(acme, "ana"), "i", store.MessagePending, store.OfEvent, b.now()})
	b.clock.pass(time.Minute)
	b.live(acme, event("e2", at(0), yes("p")))
	b.same("an event that changes nothing", len(b.mailed(acme)), 2)
	b.live(acme, event("e3", at(0), no("p")))
	b.same("a second change", b.mailTypes(acme), []string{"confirm-consent-changed", "confirm-consent-changed", "consents-user-created"})
	b.live(acme, event("e0", at(-5), yes("p")), deletion("e3"), as(event("e4", at(1), yes("p")), "", "user"))
	b.same("what is superseded, a deletion, and a Didomi user", len(b.mailed(acme)), 3)
	b.same("another organization", len(b.mailed(globex)), 0)
}

func messagesOfOthers(b *bench) {
	b.allEmails(b.integrate(acme, "i"))
	told := inbound(acme, event("e1", at(-1), yes("p")))
	told.Message.Type, told.Tell = consent.SubscriptionChanged, "i"
	_, err := b.Accept(b.Context(), []store.Inbound{told})
	b.must(err)
	b.accept(acme, event("e2", at(0), no("p")), pending(event("e3", at(0), yes("p"))))
	b.same("messages", b.mailTypes(acme), []string(nil))
	b.live(acme, event("e4", at(0), yes("q")))
	b.same("after that", b.mailTypes(acme), []string{"confirm-consent-changed"})
}

func messagesOnce(b *bench) {
	b.allEmails(b.integrate(acme, "i"))
	b.live(acme, event("e1", at(-2), yes("p")))
	b.live(acme, typed(event("e1", at(-2), no("p")), consent.EventUpdated, at(-1)))
	b.same("an event that changes later", b.mailTypes(acme), []string{"confirm-consent-changed", "consents-user-created"})
	b.live(acme, as(event("e1", at(-2), yes("p")), "bob", ""))
	b.same("the same event of another person", len(b.mailed(acme)), 4)
}

func messagesAnyOrder(b *bench) {
	b.allEmails(b.integrate(acme, "i"))
	b.allEmails(b.integrate(globex, "g"))
	e := event("e1", at(-2), yes("p"))
	record := change(typed(event("user", at(-2), yes("p")), consent.UserUpdated, at(-1)), func(m *consent.Message) { m.Cause = e })
	bare := typed(event("user", at(-2), yes("p")), consent.UserCreated, at(-1))
	b.live(acme, bare)
	b.same("a record without its event", len(b.mailed(acme)), 0)
	b.live(acme, record)
	b.live(acme, e)
	b.live(globex, e)
	b.live(globex, record)
	b.live(globex, bare)
	want := []string{"confirm-consent-changed", "consents-user-created"}
	b.same("the record first", b.mailTypes(acme), want)
	b.same("the event first", b.mailTypes(globex), want)
}

func messagesPending(b *bench) {
	b.allEmails(b.integrate(acme, "i"))
	e := event("e1", at(-2), yes("p"))
	b.live(acme, pending(e))
	b.same("it is asked for", b.mailTypes(acme), []string{"validation-double-optin"})
	b.live(acme, typed(e, consent.EventUpdated, at(-1)))
	b.same("it is confirmed", b.mailTypes(acme), []string{"confirm-consent-changed", "consents-user-created", "validation-double-optin"})
}

func messagesAge(b *bench) {
	b.allEmails(b.integrate(acme, "i"))
	b.live(acme, event("e1", at(-59), yes("p")), as(event("e2", 0, yes("p")), "bob", ""))
	var expire []consent.Time
	for _, m := range b.mailed(acme) {
		if m.Type == mail.ConfirmConsentChanged {
			expire = append(expire, m.ExpiresAt)
		}
	}
	slices.Sort(expire)
	b.same("an hour after the choice, or its arrival", expire, []consent.Time{at(1), at(60)})
}

// due gives the messages that may be sent now.
func (b *bench) dueMessages(k store.IntegrationKey, rank store.Rank) []*store.Message {
	b.Helper()
	found, err := b.NextMessages(b.Context(), k, rank, 10)
	b.must(err)
	return found
}

// one causes one message, and gives it with a lease.
func (b *bench) oneMessage(change func(*mail.Settings)) (store.IntegrationKey, store.Lease, *store.Message) {
	b.Helper()
	k := b.integrate(acme, "i")
	b.email(k, mail.ConfirmConsentChanged, change)
	b.live(acme, event("e1", at(0), yes("p")))
	return k, b.lease("node"), b.dueMessages(k, store.Telling)[0]
}

func (b *bench) message(m *store.Message) *store.Message {
	b.Helper()
	is, err := b.Message(b.Context(), m.Organization, m.ID)
	b.must(err)
	return is
}

func mailCall(m *store.Message, at consent.Time) store.Call {
	return store.Call{Organization: m.Organization, Person: m.Person, ID: store.NewID(), Integration: m.Integration, Operation: "mail", StartedAt: at}
}

func (b *bench) beginMessage(l store.Lease, m *store.Message) (store.Call, bool) {
	b.Helper()
	call := mailCall(m, b.now())
	ok, err := b.BeginMessage(b.Context(), l, m, call)
	b.must(err)
	return call, ok
}

func (b *bench) endMessage(l store.Lease, m *store.Message, call store.Call, state store.MessageState, next consent.Time) {
	b.Helper()
	call.AnsweredAt, call.Outcome = b.now(), "ok"
	b.must(b.EndMessage(b.Context(), l, store.MessageEnd{Message: m, State: state, NextAt: next, Reason: "why", Interaction: "7", Call: call}))
}

func messagesDue(b *bench) {
	k := b.integrate(acme, "i")
	b.allEmails(k)
	b.live(acme, pending(event("e1", at(0), yes("p"))))
	b.clock.pass(time.Second)
	b.live(acme, as(event("e2", at(0), yes("p")), "bob", ""))
	b.same("what asks", []int{len(b.dueMessages(k, store.Validating)), len(b.dueMessages(k, store.Telling))}, []int{1, 2})
	l := b.lease("node")
	m := b.dueMessages(k, store.Telling)[0]
	call, _ := b.beginMessage(l, m)
	b.same("one in flight is not due", len(b.dueMessages(k, store.Telling)), 1)
	b.endMessage(l, m, call, store.MessagePending, b.now().Add(time.Minute))
	b.same("one that waits is not due", len(b.dueMessages(k, store.Telling)), 1)
	b.clock.pass(time.Minute)
	b.same("its time has come", len(b.dueMessages(k, store.Telling)), 2)
}

func messageBegun(b *bench) {
	_, l, m := b.oneMessage(nil)
	call, ok := b.beginMessage(l, m)
	is := b.message(m)
	b.same("in flight", []any{ok, is.State, is.Attempts, is.Epoch}, []any{true, store.MessageInFlight, 1, l.Epoch})
	b.same("the call", b.trace(acme, m.Person).Calls, []store.Call{call})
	again, err := b.BeginMessage(b.Context(), l, m, call)
	b.must(err)
	b.same("whoever got no answer asks again", again, true)
	b.same("begun by another reading", func() bool { _, ok := b.beginMessage(l, is); return ok }(), false)
	mailed, err := b.MailedSince(b.Context(), acme, m.Person, b.now())
	b.must(err)
	b.same("it may have been sent by now", mailed, true)
	b.clock.pass(time.Second)
	mailed, err = b.MailedSince(b.Context(), acme, m.Person, b.now())
	b.must(err)
	b.same("since then nothing was", mailed, false)
	b.clock.pass(store.LeaseLife)
	_, late, other := b.lease("other"), l, m
	_, ok = b.beginMessage(late, other)
	b.same("without the lease", ok, false)
}

func messageEnds(b *bench) {
	_, l, m := b.oneMessage(nil)
	call, _ := b.beginMessage(l, m)
	b.clock.pass(time.Second)
	b.endMessage(l, m, call, store.MessageSent, 0)
	is := b.message(m)
	b.same("sent", []any{is.State, is.EndedAt, is.Interaction, len(is.Body), is.Repeatable()}, []any{store.MessageSent, b.now(), "7", 0, false})
	b.same("the answer", b.trace(acme, m.Person).Calls[0].AnsweredAt, b.now())
	b.clock.pass(30 * 24 * time.Hour)
	b.live(acme, typed(event("e1", at(0), no("p")), consent.EventUpdated, at(1)))
	b.same("no second one, for ever", len(b.mailed(acme)), 1)
}

func messageInterrupted(b *bench) {
	_, l, m := b.oneMessage(nil)
	b.beginMessage(l, m)
	b.lease("node")
	b.same("a renewal changes nothing", b.message(m).State, store.MessageInFlight)
	b.clock.pass(store.LeaseLife)
	b.lease("other")
	is := b.message(m)
	b.same("it is for somebody to decide", []any{is.State, is.Reason, is.EndedAt, is.Repeatable()}, []any{store.MessageUnclear, store.Interrupted, b.now(), true})

	k := b.integrate(acme, "j")
	b.email(k, mail.ConsentsUserCreated, func(s *mail.Settings) { s.Properties.RepeatUnclear = true })
	b.live(acme, as(event("e9", b.now(), yes("p")), "bob", ""))
	again := b.dueMessages(k, store.Telling)[0]
	b.beginMessage(b.lease("other"), again)
	b.clock.pass(store.LeaseLife)
	b.lease("third")
	b.same("where a setting says so it is sent again", b.message(again).State, store.MessagePending)
}

func messageLateResult(b *bench) {
	_, l, m := b.oneMessage(nil)
	call, _ := b.beginMessage(l, m)
	b.clock.pass(store.LeaseLife)
	other := b.lease("other")
	b.endMessage(l, m, call, store.MessageSent, 0)
	b.same("what was sent was sent", b.message(m).State, store.MessageSent)

	b.live(acme, event("e2", b.now(), no("p")))
	m = b.mailed(acme)[1]
	call, _ = b.beginMessage(other, m)
	b.clock.pass(store.LeaseLife)
	third := b.lease("third")
	b.must(b.SendAgain(b.Context(), acme, m.ID, b.now().Add(time.Hour)))
	_, ok := b.beginMessage(third, b.message(m))
	b.endMessage(other, m, call, store.MessageFailed, 0)
	b.same("a result of a call that was begun anew since", []any{ok, b.message(m).State}, []any{true, store.MessageInFlight})
}

func messagesTended(b *bench) {
	k, l, m := b.oneMessage(func(s *mail.Settings) { s.Properties.MaxAgeSeconds = 5 })
	tend := func() int64 {
		b.Helper()
		n, err := b.TendMessages(b.Context(), l, k)
		b.must(err)
		return n
	}
	b.clock.pass(5*time.Second - time.Microsecond)
	b.same("not too old yet", tend(), int64(0))
	b.clock.pass(time.Microsecond)
	b.same("too old", tend(), int64(1))
	is := b.message(m)
	b.same("dropped", []any{is.State, is.EndedAt, is.Repeatable()}, []any{store.MessageDropped, b.now(), true})
	b.same("not due", len(b.dueMessages(k, store.Telling)), 0)
	b.clock.pass(store.KeepBody)
	l = b.lease("node")
	b.same("nothing more", tend(), int64(0))
	b.same("what it says is forgotten", b.message(m).Repeatable(), false)
	b.live(acme, event("e2", b.now(), no("p")))
	stranded := b.mailed(acme)[1]
	b.beginMessage(l, stranded)
	for range 40 { // its end could not be recorded, though the lease is held
		b.clock.pass(store.LeaseLife - 1)
		l = b.lease("node")
	}
	tend()
	b.same("one of which no end is known", b.message(stranded).State, store.MessageUnclear)
}

func messageAgain(b *bench) {
	_, l, m := b.oneMessage(nil)
	b.kind(b.SendAgain(b.Context(), acme, m.ID, at(60)), consent.Conflict)
	call, _ := b.beginMessage(l, m)
	b.kind(b.SendAgain(b.Context(), acme, m.ID, at(60)), consent.Conflict)
	b.endMessage(l, m, call, store.MessageFailed, 0)
	b.clock.pass(2 * time.Hour)
	until := b.now().Add(time.Hour)
	b.must(b.SendAgain(b.Context(), acme, m.ID, until, recordOf("message.sent_again")))
	is := b.message(m)
	b.same("due again", []any{is.State, is.NextAt, is.ExpiresAt, is.Reason}, []any{store.MessagePending, b.now(), until, ""})
	l = b.lease("node")
	call, ok := b.beginMessage(l, is)
	b.same("a second call", ok, true)
	b.endMessage(l, is, call, store.MessageSent, 0)
	b.kind(b.SendAgain(b.Context(), acme, m.ID, until), consent.Conflict)
	recorded, err := b.Changes(b.Context(), acme, "", store.ID{}, 10)
	b.must(err)
	b.same("recorded once", len(recorded), 1)
}

func recordOf(action string) store.Change {
	return store.Change{Organization: acme, ID: store.NewID(), At: noon, By: "somebody", Action: action}
}

func messageRequested(b *bench) {
	k := b.integrate(acme, "i")
	e := b.email(k, mail.Type("request-verify"), nil)
	wish := func(reference string) store.Message {
		return store.NewMessage(e, store.OfRequest, b.person(acme, "ana"), b.hasher.Occasion(acme, store.OfRequest, reference), b.now(), b.now(), []byte(`{}`))
	}
	first, fresh, err := b.Request(b.Context(), wish("r1"))
	b.must(err)
	b.same("at first", fresh, true)
	again, fresh, err := b.Request(b.Context(), wish("r1"))
	b.must(err)
	b.same("again", []any{fresh, again.ID}, []any{false, first.ID})
	_, fresh, err = b.Request(b.Context(), wish("r2"))
	b.must(err)
	b.same("another", fresh, true)
	e.Integration = "gone"
	_, _, err = b.Request(b.Context(), wish("r3"))
	b.kind(err, consent.NotFound)
	b.same("all", len(b.mailed(acme)), 2)
}

func messageFindsProfile(b *bench) {
	k, l, m := b.oneMessage(nil)
	d := b.delivery(k, "ana")
	call := b.begin(l, d)
	f := store.Finish{DeliveryKey: d.DeliveryKey, Version: d.Version, State: store.Unmatched, Calls: []store.Call{call}}
	b.must(b.Finish(b.Context(), l, f))
	call, _ = b.beginMessage(l, m)
	b.endMessage(l, m, call, store.MessageSent, 0)
	b.same("Actito has made the profile", b.delivery(k, "ana").State, store.Pending)
}

func emailsKept(b *bench) {
	k := b.integrate(acme, "i")
	e := b.email(k, mail.ConfirmConsentChanged, nil)
	other := *e
	other.ID = "other"
	b.kind(b.CreateEmail(b.Context(), &other), consent.Conflict)
	is, err := b.Email(b.Context(), acme, e.ID)
	b.must(err)
	b.same("read back", is, e)
	e.Revision, e.Settings.Enabled = 2, false
	b.must(b.UpdateEmail(b.Context(), e))
	b.kind(b.UpdateEmail(b.Context(), e), consent.Conflict)
	b.live(acme, event("e1", at(0), yes("p")))
	b.same("one that is switched off", len(b.mailed(acme)), 0)
	_, err = b.Email(b.Context(), globex, e.ID)
	b.kind(err, consent.NotFound)
	b.must(b.DeleteEmail(b.Context(), acme, e.ID))
	b.kind(b.DeleteEmail(b.Context(), acme, e.ID), consent.NotFound)
	list, err := b.Emails(b.Context(), acme)
	b.must(err)
	b.same("none is left", len(list), 0)
}

func emailsGone(b *bench) {
	k, l, m := b.oneMessage(nil)
	b.live(acme, event("e2", at(0), no("p")))
	call, _ := b.beginMessage(l, m)
	b.must(b.DeleteIntegration(b.Context(), k))
	list, err := b.Emails(b.Context(), acme)
	b.must(err)
	var states []store.MessageState
	for _, x := range b.mailed(acme) {
		states = append(states, x.State)
	}
	b.same("no e-mail, and none to be sent", []any{len(list), states}, []any{0, []store.MessageState{store.MessageUnclear, store.MessageDropped}})
	b.endMessage(l, m, call, store.MessagePending, b.now())
	b.same("it cannot be tried again", b.message(m).State, store.MessageUnclear)
	b.endMessage(l, m, call, store.MessageSent, 0)
	b.same("it was sent", b.message(m).State, store.MessageSent)
}

func messagesRestored(b *bench) {
	_, l, m := b.oneMessage(func(s *mail.Settings) { s.Properties.RepeatUnclear = true })
	call, _ := b.beginMessage(l, m)
	b.endMessage(l, m, call, store.MessageSent, 0)
	b.live(acme, event("e2", at(0), no("p")))
	_, err := b.MarkRestored(b.Context())
	b.must(err)
	var is []store.MessageState
	for _, x := range b.mailed(acme) {
		is = append(is, x.State)
	}
	b.same("states", is, []store.MessageState{store.MessageSent, store.MessageUnclear})
	b.same("somebody may decide", b.mailed(acme)[1].Repeatable(), true)
}

func messagesListed(b *bench) {
	k, l, m := b.oneMessage(nil)
	for i, id := range []string{"e2", "e3", "e4"} {
		said := no("p")
		if i%2 == 1 {
			said = yes("p")
		}
		b.live(acme, event(id, at(0).Add(time.Duration(i+1)*time.Second), said))
	}
	call, _ := b.beginMessage(l, m)
	b.endMessage(l, m, call, store.MessageFailed, 0)
	counts, err := b.MessageCounts(b.Context(), acme)
	b.must(err)
	b.same("counts", counts, map[store.MessageState]int64{"pending": 3, "failed": 1, "in_flight": 0, "sent": 0, "unclear": 0, "dropped": 0})
	all := b.mailed(acme)
	slices.Reverse(all)
	page, err := b.Messages(b.Context(), acme, store.MessagePending, all[0].ID, 1)
	b.must(err)
	b.same("the one before the newest", []any{len(page), page[0].ID}, []any{1, all[1].ID})
	b.must(b.DropMessage(b.Context(), l, all[0], "not wanted"))
	page, err = b.Messages(b.Context(), acme, store.MessageDropped, store.ID{}, 10)
	b.must(err)
	b.same("dropped", []any{len(page), page[0].ID, page[0].Reason}, []any{1, all[0].ID, "not wanted"})
	b.same("due", len(b.dueMessages(k, store.Telling)), 2)
	_, err = b.Message(b.Context(), globex, m.ID)
	b.kind(err, consent.NotFound)
}
