package storetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var events = group{
	"R29 the payload stands apart and the header commits to it": payloadApart,
	"R29 equal payloads have different salts":                   saltsDiffer,
	"a trace is the newest, oldest first":                       traceOrder,
	"a trace of several subjects":                               traceOfSeveral,
	"the header says all":                                       header,
	"payloads of every size":                                    payloadSizes,
	"a bad event harms nobody":                                  badEvents,
	"a batch that fails changes nothing":                        failedBatch,
	"where in a trace an event was accepted":                    placesInTraces,
}

func payloadApart(b *bench) {
	in := inbound(acme, event("e1", at(-9), yes("p")))
	receipts, err := b.Accept(b.Context(), []store.Inbound{in})
	b.must(err)
	found := b.trace(acme, b.person(acme, "ana")).Events
	if len(found) != 1 || found[0].Payload != nil || found[0].Salt != [16]byte{} {
		b.Fatalf("the trace is %+v", found)
	}
	salt, body, err := b.Payload(b.Context(), acme, receipts[0].Event)
	b.must(err)
	b.same("payload", string(body), string(in.Payload))
	if sha256.Sum256(append(salt[:], body...)) != found[0].Commitment {
		b.Error("the header does not commit to salt and payload")
	}
}

func saltsDiffer(b *bench) {
	receipts := b.accept(acme, event("", at(-1), no("p")), event("", at(-1), no("p")))
	salt1, body1, err1 := b.Payload(b.Context(), acme, receipts[0].Event)
	salt2, body2, err2 := b.Payload(b.Context(), acme, receipts[1].Event)
	b.must(errors.Join(err1, err2))
	if !bytes.Equal(body1, body2) || salt1 == salt2 || salt1 == [16]byte{} {
		b.Errorf("salts %x and %x of %s and %s", salt1, salt2, body1, body2)
	}
}

func traceOrder(b *bench) {
	var batch []*consent.Message
	for i := range 10 {
		batch = append(batch, event(fmt.Sprintf("e%d", i), at(-i), yes("p")))
	}
	b.accept(acme, batch[:6]...)
	b.clock.pass(time.Minute)
	b.accept(acme, batch[6:]...)
	t, err := b.Trace(b.Context(), acme, []store.PersonKey{b.person(acme, "ana")}, 7)
	b.must(err)
	var ids []string
	for _, e := range t.Events {
		ids = append(ids, e.EntityID)
	}
	b.same("events", ids, []string{"e3", "e4", "e5", "e6", "e7", "e8", "e9"})
}

func traceOfSeveral(b *bench) {
	b.accept(acme, as(event("e1", at(-9), yes("p")), "", "d1"))
	b.accept(acme, as(event("e2", at(-9), yes("p")), "ana", "d1"), as(event("e3", at(-9), yes("p")), "bob", "d2"))
	b.accept(acme, as(event("e4", at(-8), yes("p")), "", "d1"))
	var ids []string
	for _, e := range b.trace(acme, b.person(acme, "ana"), b.user(acme, "d1")).Events {
		ids = append(ids, e.EntityID)
	}
	b.same("events", ids, []string{"e1", "e2", "e4"})
}

func header(b *bench) {
	b.clock.set(at(7))
	m := typed(event("e1", at(-9), yes("p")), consent.EventUpdated, at(-3))
	m.Regulation = "cpra"
	receipts := b.accept(acme, m, deletion("e1"))
	found := b.trace(acme, b.person(acme, "ana")).Events
	if len(found) != 2 {
		b.Fatalf("the trace is %+v", found)
	}
	for i := range found {
		found[i].Commitment = [32]byte{}
	}
	b.same("headers", found, []store.Event{
		{
			Organization: acme, ID: receipts[0].Event, Type: consent.EventUpdated, EntityID: "e1", Person: b.person(acme, "ana"),
			Regulation: "cpra", ConsentAt: at(-3), ArrivedAt: at(7), Outcome: applied,
		},
		{ // It belongs to the person whom it is about.
			Organization: acme, ID: receipts[1].Event, Type: consent.EventDeleted, EntityID: "e1", Person: b.person(acme, "ana"),
			Regulation: "gdpr", ArrivedAt: at(7), Outcome: applied,
		},
	})
}

func payloadSizes(b *bench) {
	for i, size := range []int{0, 1, 4096, 1 << 20} {
		in := inbound(acme, event(fmt.Sprintf("e%d", i), at(-9), yes("p")))
		in.Payload = bytes.Repeat([]byte{0, 0xff, '\n', 'x'}, size/4+1)[:size]
		receipts, err := b.Accept(b.Context(), []store.Inbound{in})
		b.must(err)
		_, body, err := b.Payload(b.Context(), acme, receipts[0].Event)
		b.must(err)
		if !bytes.Equal(body, in.Payload) {
			b.Errorf("a payload of %d bytes comes back as another", size)
		}
	}
	in := inbound(acme, event("none", at(-9), yes("p")))
	in.Payload = nil
	_, err := b.Accept(b.Context(), []store.Inbound{in})
	b.must(err)
}

// An engine may refuse a message that it cannot hold, but not with Transient,
// which would have it come again and take its batch-mates along; or it holds
// all of it.
func badEvents(b *bench) {
	k := b.integrate(acme, "i")
	huge := strings.Repeat("x", 1<<20)
	for i, text := range []string{"a\x00b", "\x00", "\xff\xfe", "\xed\xa0\x80", "'; DROP TABLE people; --", "%_", "\U0001F600", " ", huge} {
		for j, m := range []*consent.Message{
			event(text, at(-9), yes("p")),
			as(event("e", at(-9), no("p")), text, ""),
			as(event("e", at(-9), no("p")), "", text),
			as(event("e", at(-9), no("p")), fmt.Sprintf("owner of %d", i), text),
			event("e", at(-9), no(text)),
			change(event("e", at(-9), no("p")), func(m *consent.Message) { m.Regulation = text }),
			deletion(text),
			{Type: consent.UserDeleted, EntityID: text, DidomiUserID: text},
		} {
			b.bad(k, i*10+j, m)
		}
	}
	b.same("a good one", b.says(acme, "mate"), []string{"-p"})
}

// bad accepts a message together with a good one, and where that is refused,
// one by one.
func (b *bench) bad(k store.IntegrationKey, n int, m *consent.Message) {
	b.Helper()
	m = change(m, func(m *consent.Message) { m.Metadata = map[string]json.RawMessage{"n": fmt.Append(nil, n)} })
	mate := as(event(fmt.Sprintf("mate %d", n), at(n), no("p")), "mate", "")
	b.clock.set(at(n))
	batch := []store.Inbound{inbound(acme, mate), inbound(acme, m)}
	// JSON does not tell texts apart that are not UTF-8.
	batch[1].Canonical = fmt.Append(nil, n)
	_, err := b.Accept(b.Context(), batch)
	if err != nil {
		if consent.KindOf(err) == consent.Transient {
			b.Errorf("%.60q is refused as if the same again could work: %v", fmt.Sprint(*m), err)
		}
		if got := b.says(acme, "mate"); n > 0 && b.delivery(k, "mate").ConsentAt == at(n) {
			b.Errorf("the batch was refused but took effect: %v", got)
		}
		_, err := b.Accept(b.Context(), batch[:1])
		b.must(err)
		return
	}
	person, key := b.held(m)
	if m.Type != consent.EventCreated {
		return
	}
	found := b.trace(acme, key).Events
	if len(found) == 0 || found[len(found)-1].EntityID != m.EntityID || found[len(found)-1].Regulation != m.Regulation {
		b.Errorf("%.60q was accepted but its header is another", fmt.Sprint(*m))
	}
	if m.OrganizationUserID == "" {
		return
	}
	if person == nil || person.OrganizationUserID != m.OrganizationUserID {
		b.Errorf("%.60q was accepted but its person is another", fmt.Sprint(*m))
	}
	if d := b.delivery(k, m.OrganizationUserID); d.DueAt > at(n) {
		b.Errorf("%.60q was accepted but made nothing due", fmt.Sprint(*m))
	}
	if m.DidomiUserID != "" {
		b.linkHolds(n, m)
	}
}

// held reads the person of a message, if it names one.
func (b *bench) held(m *consent.Message) (*store.Person, store.PersonKey) {
	b.Helper()
	if m.OrganizationUserID == "" {
		return nil, b.user(acme, m.DidomiUserID)
	}
	key := b.person(acme, m.OrganizationUserID)
	p, err := b.Person(b.Context(), acme, key)
	b.must(err)
	return p, key
}

// linkHolds checks that what a linked Didomi user withdraws reaches its person.
func (b *bench) linkHolds(n int, m *consent.Message) {
	b.Helper()
	in := inbound(acme, as(event("follow", at(-8), no("followed")), "", m.DidomiUserID))
	in.Canonical = fmt.Append(nil, "follow ", n)
	_, err := b.Accept(b.Context(), []store.Inbound{in})
	b.must(err)
	if got := b.says(acme, m.OrganizationUserID); len(got) == 0 || got[0] != "-followed" {
		b.Errorf("what the Didomi user %.60q withdrew does not reach its person: %v", m.DidomiUserID, got)
	}
}

func failedBatch(b *bench) {
	k := b.integrate(acme, "i")
	bad := inbound(acme, as(event("e2", at(-9), no("p")), "\xff", ""))
	_, err := b.Accept(b.Context(), []store.Inbound{inbound(acme, event("e1", at(-9), no("p"))), bad})
	b.kind(err, consent.Invalid)
	b.same("choices", b.says(acme, "ana"), []string{})
	b.same("trace", b.trace(acme, b.person(acme, "ana")), store.Trace{})
	_, err = b.Delivery(b.Context(), b.deliveryKey(k, "ana"))
	b.kind(err, consent.NotFound)
	b.same("the good one comes again and is no duplicate", b.acme(event("e1", at(-9), no("p"))), []consent.Outcome{applied})
}

// It stays with the event through the inbox too, and is found for whom it is about.
func placesInTraces(b *bench) {
	traced := func(m *consent.Message, place string) store.Inbound {
		in := inbound(acme, m)
		in.Trace = []byte(place)
		return in
	}
	_, err := b.Accept(b.Context(), []store.Inbound{traced(event("e1", at(-9), yes("p")), "first"), inbound(acme, event("e2", at(-8), no("p")))})
	b.must(err)
	b.clock.pass(time.Minute)
	since := b.now()
	b.must(b.Enqueue(b.Context(), []store.Inbound{traced(event("e3", at(-7), yes("q")), "second"), inbound(acme, event("e4", at(-6), yes("r")))}))
	b.merge(acme, store.OrdinaryLane, 10)
	for _, x := range []struct {
		organization, person string
		since                consent.Time
		want                 []string
	}{{acme, "ana", 0, []string{"first", "second"}}, {acme, "ana", since, []string{"second"}}, {acme, "bob", 0, nil}, {"other", "ana", 0, nil}} {
		found, err := b.TracesOf(b.Context(), x.organization, b.person(x.organization, x.person), x.since)
		b.must(err)
		var got []string
		for _, place := range found {
			got = append(got, string(place))
		}
		slices.Sort(got)
		b.same("places of "+x.organization+" "+x.person, got, x.want)
	}
}
