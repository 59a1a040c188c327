package storetest

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/audit"
	"consentsync/internal/consent"
	"consentsync/internal/mail"
	"consentsync/internal/store"
)

// Auditing is what sealing, proving and erasing ask.
type Auditing interface {
	audit.SealStore
	audit.KeepStore
	audit.Store
}

var audited = group{
	"R29 all that happened is sealed once, and verifies":                   sealedOnce,
	"R29 what is written late is sealed":                                   sealedLate,
	"R29 a call without an answer is sealed, and its answer when it comes": sealedBegun,
	"R29 one node seals":                            oneSeals,
	"R29 it is told how far sealing is behind":      sealingBehind,
	"R29 what is answered stays as it was answered": answerStays,
	"a proof leads from a record to its checkpoint": proved,
}

// signer is the key of the tests.
var signer = audit.NewSigner([]byte("a secret of 32 bytes for signing"))

// in gives a clock that is ahead of the machine's, by which ids are made.
func in(d time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(d) } }

func (b *bench) sealer(node string, now func() time.Time) *audit.Sealer {
	return &audit.Sealer{Store: b.Engine, Hasher: b.hasher, Signer: signer, Node: node, Lag: 30 * time.Second, Now: now, Log: slog.New(slog.DiscardHandler)}
}

// seal seals whatever there is, as if some time had passed.
func (b *bench) seal(after time.Duration) {
	b.Helper()
	s := b.sealer("node", in(after))
	for {
		worked, err := s.Pass(b.Context())
		b.must(err)
		if worked == 0 {
			return
		}
	}
}

func (b *bench) auditor() *audit.Service {
	return &audit.Service{
		Store: b.Engine, Hasher: b.hasher, Signer: signer, Now: b.clock.read,
		Order: func(m *store.Message) (mail.Order, error) { return mail.DecodeOrder(m.Body) },
		Decode: func(string, []byte) (*consent.Message, error) {
			return nil, consent.Errorf(consent.Invalid, "test", "no webhook")
		},
	}
}

// verify reads the whole chain of acme and checks it.
func (b *bench) verify(noted ...audit.Checkpoint) audit.Report {
	b.Helper()
	var v *audit.Verifier
	for cursor := ""; ; {
		page, err := b.auditor().Export(b.Context(), acme, cursor, 2)
		b.must(err)
		if v == nil {
			v = audit.NewVerifier(page.Header, signer.Public(), noted...)
		}
		for i := range page.Data {
			v.Link(&page.Data[i])
		}
		if page.Next == nil {
			return v.End()
		}
		cursor = *page.Next
	}
}

// whole expects a chain that verifies, with so many records.
func (b *bench) whole(records int64) audit.Report {
	b.Helper()
	r := b.verify()
	b.same("problems", r.Problems, []audit.Problem{})
	b.same("records", r.Records, records)
	return r
}

// history makes an organization in which ana has said something and was
// delivered: 1 change, 2 events and a call.
func (b *bench) history() store.IntegrationKey {
	b.Helper()
	k := b.integrate(acme, "i")
	b.must(b.SetFeature(b.Context(), acme, true, changeOf(acme, "", "organization.feature_set")))
	b.accept(acme, as(event("e1", at(-9), yes("p")), "ana", "d1"))
	b.bring(k, store.Synced, nil)
	b.accept(acme, as(event("e2", at(-8), yes("q")), "", "d1"))
	return k
}

func sealedOnce(b *bench) {
	b.history()
	b.seal(0)
	b.same("nothing is sealed that may still be on its way", b.verify().Records, int64(1)) // the call, by the clock of the tests
	b.seal(time.Minute)
	first := b.whole(4)
	b.seal(3 * time.Hour) // the second walk finds nothing new
	b.same("the end", b.whole(4).End, first.End)
	b.accept(acme, event("e3", at(-7), no("p")))
	b.accept(globex, event("e1", at(-7), no("p")))
	b.seal(time.Minute)
	r := b.whole(5)
	b.same("the end moves", r.End.Number > first.End.Number, true)
	b.same("what was noted down is in it", b.verify(first.End).Problems, []audit.Problem{})
}

func sealedLate(b *bench) {
	b.history()
	b.seal(time.Minute)
	late := changeOf(acme, "", "late")
	late.ID = store.FirstID(consent.TimeOf(time.Now().Add(-10 * time.Minute)))
	b.must(b.SetFeature(b.Context(), acme, true, late))
	b.seal(time.Minute)
	b.whole(4)
	b.seal(store.AuditTrail + time.Minute)
	b.whole(5)
}

func sealedBegun(b *bench) {
	b.must(b.SetFeature(b.Context(), acme, true))
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	d, l := b.delivery(k, "ana"), b.lease("node")
	call := b.begin(l, d)
	b.seal(time.Minute)
	b.whole(1)
	b.seal(store.AuditTrail + time.Minute)
	b.whole(2)
	b.must(b.Finish(b.Context(), l, answered(d, call, b.now())))
	b.seal(store.AuditTrail + time.Minute)
	b.whole(3)
}

func answerStays(b *bench) {
	k := b.history()
	b.seal(time.Minute)
	b.whole(4)
	call := b.trace(acme, b.person(acme, "ana")).Calls[0]
	again := call
	again.AnsweredAt, again.Outcome, again.Detail = at(5), "invalid", "another"
	b.must(b.RecordRead(b.Context(), b.lease("node"), store.Finish{DeliveryKey: b.deliveryKey(k, "ana"), Known: known(true), Calls: []store.Call{again}}, false))
	b.same("the call", b.trace(acme, b.person(acme, "ana")).Calls, []store.Call{call})
	b.whole(4)
}

func oneSeals(b *bench) {
	b.history()
	claim := func(node string) (*store.AuditHead, bool) {
		b.Helper()
		h, ok, err := b.ClaimAudit(b.Context(), acme, node, time.Minute)
		b.must(err)
		return h, ok
	}
	mine, ok := claim("a")
	_, another := claim("b")
	again, renewed := claim("a")
	b.same("first, another, renewed", []any{ok, another, renewed, again.Epoch}, []any{true, false, true, mine.Epoch})
	link := func(h *store.AuditHead) store.AuditLink {
		return store.AuditLink{Organization: acme, Number: h.Number + 1, First: h.Position + 1, Last: h.Position + 1, Key: "k", Signature: []byte("s")}
	}
	record := func(h *store.AuditHead) []store.AuditRecord {
		return []store.AuditRecord{{Position: h.Position + 1, Kind: store.AuditChange, ID: store.NewID()}}
	}
	b.clock.pass(time.Minute)
	b.kind(b.AppendAudit(b.Context(), mine, link(mine), record(mine), nil), consent.Conflict) // its claim is over
	theirs, ok := claim("b")
	b.same("taken over, by a newer epoch", []any{ok, theirs.Epoch > mine.Epoch}, []any{true, true})
	b.kind(b.AppendAudit(b.Context(), mine, link(mine), record(mine), nil), consent.Conflict)
	b.must(b.AppendAudit(b.Context(), theirs, link(theirs), record(theirs), nil))
	b.kind(b.AppendAudit(b.Context(), theirs, link(theirs), record(theirs), nil), consent.Conflict) // the chain has another end
	head, err := b.AuditHead(b.Context(), acme)
	b.must(err)
	links, err := b.AuditLinks(b.Context(), acme, 0, 10)
	b.must(err)
	b.same("number, position, links", []any{head.Number, head.Position, len(links)}, []any{int64(1), int64(1), 1})
}

// A sealer that another keeps from sealing tells how old what waits is, until it
// is sealed.
func sealingBehind(b *bench) {
	b.history()
	now := in(time.Minute)
	s := b.sealer("a", func() time.Time { return now() })
	registry := prometheus.NewRegistry()
	s.Register(registry)
	waits := func() bool {
		b.Helper()
		families, err := registry.Gather()
		b.must(err)
		return families[0].GetMetric()[0].GetGauge().GetValue() > 0
	}
	pass := func() {
		b.Helper()
		_, err := s.Pass(b.Context())
		b.must(err)
	}
	_, _, err := b.ClaimAudit(b.Context(), acme, "b", time.Minute)
	b.must(err)
	before := waits()
	pass()
	b.same("before anything is looked at, and while another has the claim", []bool{before, waits()}, []bool{false, true})
	b.clock.pass(time.Minute)
	now = in(2 * time.Minute)
	pass()
	b.same("when it is sealed", waits(), false)
	b.whole(4)
}

func proved(b *bench) {
	b.history()
	b.seal(time.Minute)
	b.accept(acme, event("e3", at(-7), no("p")))
	p, err := b.auditor().Prove(b.Context(), acme, "ana")
	b.must(err)
	var got []string
	for _, x := range p.Data {
		text := string(x.Kind) + " " + x.EventID + x.Operation
		if x.Seal != nil {
			text += map[bool]string{true: " genuine", false: " changed"}[x.Seal.Genuine]
		}
		got = append(got, text)
	}
	slices.Sort(got)
	b.same("what is proved", got, []string{"call update genuine", "event e1 genuine", "event e2 genuine", "event e3"})
}

// RunTampering holds an engine's audit to finding what was done to the
// database behind the program's back: exec runs a statement that every engine
// takes.
func RunTampering(t *testing.T, open func(t *testing.T, clock func() time.Time) Engine, exec func(ctx context.Context, e Engine, statement string) error) {
	t.Helper()
	b := newBench(t, open)
	k := b.history()
	b.seal(time.Minute)
	b.must(b.Switch(b.Context(), k, store.Paused, changeOf(acme, "i", "integration.paused")))
	b.accept(acme, event("e3", at(-7), no("p")), event("e4", at(-6), yes("r")))
	b.seal(time.Minute)
	whole := b.whole(7)
	run := func(statement string) {
		t.Helper()
		b.must(exec(b.Context(), b.Engine, statement))
	}
	moved := func(table, where string) [2]string {
		return [2]string{
			"UPDATE " + table + " SET organization = 'gone' WHERE organization = 'acme' AND " + where,
			"UPDATE " + table + " SET organization = 'acme' WHERE organization = 'gone'",
		}
	}
	for what, x := range map[string]struct {
		done [][2]string
		want string
	}{
		"an event is changed":          {[][2]string{{"UPDATE events SET outcome = 'superseded' WHERE entity_id = 'e1'", "UPDATE events SET outcome = 'applied' WHERE entity_id = 'e1'"}}, "was changed after it was sealed"},
		"an event is of somebody else": {[][2]string{{"UPDATE events SET entity_id = 'x' WHERE entity_id = 'e1'", "UPDATE events SET entity_id = 'e1' WHERE entity_id = 'x'"}}, "was changed after it was sealed"},
		"a payload is removed":         {[][2]string{moved("payloads", "1 = 1")}, "payload of the event"},
		"an event is removed":          {[][2]string{moved("events", "entity_id = 'e1'")}, "was removed"},
		"a change is changed":          {[][2]string{{"UPDATE changes SET actor = 'bob' WHERE actor = 'ana@example.com'", "UPDATE changes SET actor = 'ana@example.com' WHERE actor = 'bob'"}}, "was changed after it was sealed"},
		"a change is removed":          {[][2]string{moved("changes", "action = 'integration.paused'")}, "was removed"},
		"an answer is changed":         {[][2]string{{"UPDATE calls SET outcome = 'unclear'", "UPDATE calls SET outcome = 'ok'"}}, "was changed after it was sealed"},
		"a call is changed":            {[][2]string{{`UPDATE calls SET subscriptions = '{"News":false}'`, `UPDATE calls SET subscriptions = '{"News":true}'`}}, "was changed after it was sealed"},
		"a call is removed":            {[][2]string{moved("calls", "1 = 1")}, "was removed"},
		"a record is taken out":        {[][2]string{moved("audit_records", "position = 2")}, "record 2: it was removed from the chain"},
		"records are put in another order": {[][2]string{
			{"UPDATE audit_records SET position = -1 WHERE position = 1", "UPDATE audit_records SET position = 2 WHERE position = -1"},
			{"UPDATE audit_records SET position = 1 WHERE position = 2", "UPDATE audit_records SET position = 1 WHERE position = 2"},
			{"UPDATE audit_records SET position = 2 WHERE position = -1", "UPDATE audit_records SET position = -1 WHERE position = 1"},
		}, "stand in another order"},
		"a digest is changed with its record": {[][2]string{
			{"UPDATE audit_records SET id = person, person = id WHERE position = 1", "UPDATE audit_records SET id = person, person = id WHERE position = 1"},
		}, "are not those that were sealed"},
		"the first link is cut off": {[][2]string{moved("audit_links", "number = 1"), moved("audit_records", "position <= 4")}, "no sealed record tells that retention did it"},
		"the end is cut off":        {[][2]string{moved("audit_links", "number = 2"), moved("audit_records", "position > 4")}, "its end was cut off"},
		"the end is cut off, and its note": {[][2]string{
			moved("audit_links", "number = 2"), moved("audit_records", "position > 4"), moved("audit_heads", "1 = 1"),
		}, "its end was cut off"},
		"a link is changed":      {[][2]string{{"UPDATE audit_links SET at = at + 1 WHERE number = 1", "UPDATE audit_links SET at = at - 1 WHERE number = 1"}}, "its hash is not that of what it says"},
		"a checkpoint is forged": {[][2]string{{"UPDATE audit_links SET signer = 'f', previous = signature, signature = previous WHERE number = 2", "UPDATE audit_links SET signer = '" + signer.Public().Name() + "', previous = signature, signature = previous WHERE number = 2"}}, "link 2"},
	} {
		for _, pair := range x.done {
			run(pair[0])
		}
		r := b.verify(whole.End)
		if !slices.ContainsFunc(r.Problems, func(p audit.Problem) bool { return strings.Contains(p.String(), x.want) }) {
			t.Errorf("%s: problems %v, want one with %q", what, r.Problems, x.want)
		}
		for _, pair := range slices.Backward(x.done) {
			run(pair[1])
		}
	}
	b.same("as before", b.verify(whole.End), whole)
}
