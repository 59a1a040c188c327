package storetest

import (
	"fmt"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var news = group{
	"R27 the same news are taken once":                     newsOnce,
	"R1 without an id they count for a quarter of an hour": newsWithoutID,
	"R27 even where both are being looked into":            newsAtOnce,
	"webhooks that share a transaction":                    newsTogether,
	"news wait until they are looked into":                 newsWait,
	"what they turn out to be follows in one step":         newsSettled,
	"what is told during a call outlasts the call":         newsDuringACall,
	"refusals come first":                                  newsRefusalsFirst,
	"Didomi is to be told of what was said in Actito":      newsTold,
	"what has to be written again is due":                  newsDoubt,
	"R20 who had no profile is tried again":                newsAgain,
	"a profile is known by Actito's own id":                newsProfile,
	"whatever Actito's own id of a profile is":             newsOddProfile,
	"R25 own writes, by whichever lane":                    ownWrites,
	"R15 news are settled under the lease only":            newsFenced,
	"none are kept of an integration that is gone":         newsOfNobody,
}

func (b *bench) hear(k store.IntegrationKey, told ...store.News) {
	b.Helper()
	for i := range told {
		told[i].IntegrationKey = k
	}
	b.must(b.Hear(b.Context(), told))
}

// taken hears news and settles them, and counts those that were no repetition.
func (b *bench) taken(k store.IntegrationKey, told ...store.News) (fresh int) {
	b.Helper()
	b.hear(k, told...)
	for _, n := range b.pendingNews(k) {
		repeated, err := b.Repeated(b.Context(), n)
		b.must(err)
		if !repeated {
			fresh++
		}
		b.must(b.SettleNews(b.Context(), b.lease("node"), store.Heard{News: n}))
	}
	b.same("waiting", len(b.pendingNews(k)), 0)
	return fresh
}

// rumour is news of a profile that a subscription is on or off.
func rumour(eventID, profile string, on bool) store.News {
	text := "off"
	if on {
		text = "on"
	}
	return store.News{EventID: eventID, Canonical: []byte(profile + " " + text), Told: store.Told{ProfileID: profile, Subscriptions: map[string]bool{"News": on}}}
}

func (b *bench) pendingNews(k store.IntegrationKey) []*store.News {
	b.Helper()
	found, err := b.NextNews(b.Context(), k, 100)
	b.must(err)
	return found
}

// refusal is what follows when news turn out to be a withdrawal of ana's.
func (b *bench) refusal(n *store.News) store.Heard {
	id := consent.OwnEventID(n.NewsID.String())
	m := event(id, n.ArrivedAt, no("p"))
	m.Type = consent.SubscriptionChanged
	in := inbound(acme, m)
	in.ArrivedAt, in.Tell = n.ArrivedAt, n.ID
	return store.Heard{
		News: n, Person: b.person(acme, "ana"), UserID: "ana", ProfileID: n.ProfileID, Statements: []store.Inbound{in},
		Confirm: consent.Difference{Subscriptions: map[string]bool{"News": false}},
	}
}

func newsOnce(b *bench) {
	k := b.integrate(acme, "i")
	b.same("new", b.taken(k, rumour("a", "7", false), rumour("a", "7", false), rumour("b", "7", false)), 2)
	b.clock.pass(time.Hour)
	b.same("again, and another value under the same id", b.taken(k, rumour("a", "7", false), rumour("a", "7", true)), 1)
	other := b.integrate(acme, "other")
	b.same("of another integration", b.taken(other, rumour("a", "7", false)), 1)
	b.same("a number may be the webhook's own id", b.taken(k, rumour("21", "8", true), rumour("21", "8", false), rumour("21", "8", false)), 3)
	b.same("a grant under it is taken once for a while", b.taken(k, rumour("21", "8", true)), 0)
}

func newsWithoutID(b *bench) {
	k := b.integrate(acme, "i")
	b.same("new", b.taken(k, rumour("", "7", true)), 1)
	b.same("at once again", b.taken(k, rumour("", "7", true)), 0)
	b.clock.pass(16 * time.Minute)
	b.same("later", b.taken(k, rumour("", "7", true)), 1)
	b.same("a refusal", b.taken(k, rumour("", "7", false)), 1)
	b.same("a refusal is never passed over", b.taken(k, rumour("", "7", false)), 1)
}

// Two that are the same may both be looked into before one is settled.
func newsAtOnce(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	b.hear(k, rumour("a", "7", false), rumour("a", "7", false))
	found := b.pendingNews(k)
	for _, n := range found {
		repeated, err := b.Repeated(b.Context(), n)
		b.must(err)
		b.same("settled before", repeated, false)
	}
	for _, n := range found {
		b.must(b.SettleNews(b.Context(), l, b.refusal(n)))
	}
	b.same("events of two", []int{len(b.trace(acme, b.person(acme, "ana")).Events), len(found)}, []int{1, 2})
}

func newsTogether(b *bench) {
	k, other := b.integrate(acme, "i"), b.integrate(globex, "j")
	of := func(k store.IntegrationKey, n store.News) store.News { n.IntegrationKey = k; return n }
	b.must(b.Hear(b.Context(), []store.News{
		of(other, rumour("a", "7", false)), of(k, rumour("b", "8", true)), of(k, rumour("b", "8", true)), of(other, rumour("b", "8", true)), of(k, rumour("a", "7", false)),
	}))
	b.same("of each integration, which are not compared yet", []int{len(b.pendingNews(k)), len(b.pendingNews(other))}, []int{3, 2})
	b.must(b.Hear(b.Context(), nil))
}

func newsWait(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	b.hear(k, rumour("1", "7", false))
	b.clock.pass(time.Second)
	b.hear(k, rumour("2", "8", false))
	found := b.pendingNews(k)
	b.same("the oldest first", []any{len(found), found[0].ProfileID, found[0].ArrivedAt, found[0].Subscriptions}, []any{2, "7", noon, map[string]bool{"News": false}})
	b.must(b.Postpone(b.Context(), l, found[0], b.now().Add(time.Minute)))
	b.same("one waits", b.pendingNews(k)[0].ProfileID, "8")
	b.clock.pass(time.Minute)
	found = b.pendingNews(k)
	b.same("its time has come", []any{len(found), found[1].Attempts}, []any{2, 1})
}

func newsSettled(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	l := b.lease("node")
	d := b.delivery(k, "ana")
	b.must(b.Finish(b.Context(), l, answered(d, b.begin(l, d), b.now())))
	b.hear(k, rumour("1", "7", false))
	h := b.refusal(b.pendingNews(k)[0])
	b.must(b.SettleNews(b.Context(), l, h))
	b.must(b.SettleNews(b.Context(), l, h)) // after a crash, perhaps
	b.same("the choice", b.says(acme, "ana"), []string{"-p"})
	after := b.delivery(k, "ana")
	b.same("what the profile holds is known", after.Known.Subscriptions["News"], consent.Fact{Value: false, ConfirmedAt: noon})
	b.same("compared again", after.State, store.Pending)
	b.same("none wait", len(b.pendingNews(k)), 0)
	events := b.trace(acme, d.Person).Events
	b.same("in the trace", []any{len(events), events[1].Type}, []any{2, consent.SubscriptionChanged})
}

func newsDuringACall(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	l := b.lease("node")
	d := b.delivery(k, "ana")
	call := b.begin(l, d)
	b.clock.pass(time.Second)
	b.hear(k, rumour("a", "7", true))
	b.must(b.SettleNews(b.Context(), l, store.Heard{
		News: b.pendingNews(k)[0], Person: d.Person, UserID: "ana", ProfileID: "7", SeenOn: []string{"News"},
		Doubt: consent.Difference{Subscriptions: map[string]bool{"News": true}},
	}))
	b.must(b.Finish(b.Context(), l, answered(d, call, b.now())))
	after := b.delivery(k, "ana")
	fact := after.Known.Subscriptions["News"]
	b.same("in doubt, and due", []any{fact.Unknown, fact.SeenOnAt, after.State}, []any{true, b.now(), store.Pending})
}

func newsRefusalsFirst(b *bench) {
	k := b.integrate(acme, "i")
	b.hear(k, rumour("a", "1", true))
	b.clock.pass(time.Second)
	b.hear(k, rumour("b", "2", false))
	found := b.pendingNews(k)
	b.same("in this order", []string{found[0].ProfileID, found[1].ProfileID}, []string{"2", "1"})
}

func newsTold(b *bench) {
	k, other := b.integrate(acme, "i"), b.integrate(acme, "other")
	l := b.lease("node")
	b.hear(k, rumour("1", "7", false))
	b.must(b.SettleNews(b.Context(), l, b.refusal(b.pendingNews(k)[0])))
	due, err := b.NextDue(b.Context(), k, store.TargetDidomi, store.LiveWithdrawal, 10)
	b.must(err)
	b.same("by the integration that heard of it", []any{len(due), due[0].Person, due[0].ConsentAt}, []any{1, b.person(acme, "ana"), noon})
	due, err = b.NextDue(b.Context(), other, store.TargetDidomi, store.LiveWithdrawal, 10)
	b.must(err)
	b.same("and by no other", len(due), 0)
	b.same("but it may have to tell Actito", len(b.next(other, store.LiveWithdrawal, 10)), 1)
	b.accept(acme, event("e1", at(1), yes("p")))
	due, err = b.NextDue(b.Context(), k, store.TargetDidomi, store.Ordinary, 10)
	b.must(err)
	b.same("what Didomi says is not told to it", len(due), 0)
}

func newsDoubt(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), no("p")))
	l := b.lease("node")
	d := b.delivery(k, "ana")
	f := answered(d, b.begin(l, d), b.now())
	f.Known = known(false)
	b.must(b.Finish(b.Context(), l, f))
	b.hear(k, rumour("1", "7", true))
	h := store.Heard{News: b.pendingNews(k)[0], Person: d.Person, Doubt: consent.Difference{Subscriptions: map[string]bool{"News": true}}}
	b.must(b.SettleNews(b.Context(), l, h))
	after := b.delivery(k, "ana")
	b.same("due", []any{after.State, after.Class, after.Known.Subscriptions["News"].Unknown}, []any{store.Pending, store.LiveWithdrawal, true})
}

func newsAgain(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	b.bring(k, store.Unmatched, nil)
	b.hear(k, store.News{EventID: "1", Told: store.Told{ProfileID: "7", Created: true}})
	b.must(b.SettleNews(b.Context(), b.lease("node"), store.Heard{News: b.pendingNews(k)[0], Person: b.person(acme, "ana"), Again: true}))
	b.same("state", b.delivery(k, "ana").State, store.Pending)
}

func newsProfile(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	_, err := b.PersonOfProfile(b.Context(), k, "7")
	b.kind(err, consent.NotFound)
	b.hear(k, rumour("1", "7", true))
	b.must(b.SettleNews(b.Context(), b.lease("node"), store.Heard{News: b.pendingNews(k)[0], Person: b.person(acme, "ana"), ProfileID: "7"}))
	p, err := b.PersonOfProfile(b.Context(), k, "7")
	b.must(err)
	b.same("whose it is", p, b.person(acme, "ana"))
	d := b.delivery(k, "ana")
	f := answered(d, b.begin(b.lease("node"), d), b.now())
	f.ProfileID = "8"
	b.must(b.Finish(b.Context(), b.lease("node"), f))
	b.must(b.RecordRead(b.Context(), b.lease("node"), store.Finish{DeliveryKey: d.DeliveryKey, Known: f.Known}, false))
	p, err = b.PersonOfProfile(b.Context(), k, "8")
	b.must(err)
	b.same("as a call told, and what is not told keeps it", p, b.person(acme, "ana"))
	_, err = b.PersonOfProfile(b.Context(), b.integrate(acme, "other"), "7")
	b.kind(err, consent.NotFound)
}

// An id is whatever text Actito's answer holds.
func newsOddProfile(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	for n, id := range []string{"a\x00b", "\xff"} {
		b.accept(acme, event(fmt.Sprint("e", n), at(n-9), no(fmt.Sprint("p", n))))
		d := b.delivery(k, "ana")
		f := answered(d, b.begin(l, d), b.now())
		f.ProfileID = id
		b.must(b.Finish(b.Context(), l, f))
		b.must(b.RecordRead(b.Context(), l, store.Finish{DeliveryKey: d.DeliveryKey, Known: f.Known, ProfileID: id}, false))
		b.hear(k, rumour(fmt.Sprint("n", n), id, true))
		b.must(b.SettleNews(b.Context(), l, store.Heard{News: b.pendingNews(k)[0], Person: d.Person, ProfileID: id}))
		p, err := b.PersonOfProfile(b.Context(), k, id)
		b.must(err)
		b.same("whose it is", p, d.Person)
	}
}

func ownWrites(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	b.accept(acme, event("e1", at(-9), yes("p")))
	d := b.delivery(k, "ana")
	writes := func() []consent.OwnWrite {
		all, err := b.OwnWrites(b.Context(), k, d.Person, b.now().Add(-store.EchoWindow))
		b.must(err)
		return all["News"]
	}
	call := b.begin(l, d)
	b.same("one under way", writes(), []consent.OwnWrite{{On: true, At: noon}})
	call.AnsweredAt, call.Outcome = b.now(), "invalid"
	f := answered(d, call, b.now())
	f.Calls[0].Outcome, f.State = "invalid", store.Failed
	b.must(b.Finish(b.Context(), l, f))
	b.same("one that was refused", writes(), []consent.OwnWrite(nil))
	b.clock.pass(time.Hour)
	l = b.lease("node")
	b.accept(acme, event("e2", at(59), no("p")))
	load := &store.Load{IntegrationKey: k, LoadID: store.NewID(), State: store.LoadBuilding, Columns: []string{"News"}, CreatedAt: b.now()}
	b.must(b.SaveLoad(b.Context(), l, load))
	_, err := b.JoinLoad(b.Context(), l, load, []store.Joining{b.joining(k, "ana", false)})
	b.must(err)
	b.same("one in a load", writes(), []consent.OwnWrite{{On: false, At: at(60)}})
	b.ended(l, load, store.LoadConfirmed)
	load.State = store.LoadDone
	b.must(b.SaveLoad(b.Context(), l, load))
	b.same("one of a load that is over", writes(), []consent.OwnWrite{{On: false, At: at(60)}})
	b.clock.pass(store.EchoWindow + time.Second)
	b.same("long ago", writes(), []consent.OwnWrite(nil))
}

func newsFenced(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	b.hear(k, rumour("1", "7", false))
	n := b.pendingNews(k)[0]
	b.clock.pass(store.LeaseLife)
	b.lease("other")
	b.kind(b.SettleNews(b.Context(), l, b.refusal(n)), consent.Conflict)
	b.kind(b.Postpone(b.Context(), l, n, b.now()), consent.Conflict)
	b.same("still there", []any{len(b.pendingNews(k)), b.says(acme, "ana")}, []any{1, []string(nil)})
}

func newsOfNobody(b *bench) {
	k, other := b.integrate(acme, "i"), b.integrate(acme, "other")
	b.must(b.DeleteIntegration(b.Context(), k))
	late, kept := rumour("1", "7", false), rumour("2", "7", false)
	late.IntegrationKey, kept.IntegrationKey = k, other
	b.must(b.Hear(b.Context(), []store.News{late, kept}))
	b.same("of whom", []int{len(b.pendingNews(k)), len(b.pendingNews(other))}, []int{0, 1})
}
