package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"consentsync/internal/audit"
	"consentsync/internal/consent"
	"consentsync/internal/mail"
	"consentsync/internal/store"
)

var personal = group{
	"everything about a person is exported, and erased": everythingOf,
}

// What names the person who is planted in every table, and what they said.
const plantedUser, plantedDidomi, plantedText = "planted-ana", "planted-d1", "Plantagenet"

// exported tells, by table, where the export shows what stands of a person there.
var exported = map[string]func(*audit.Personal) bool{
	"people": func(p *audit.Personal) bool {
		return len(p.Choices) > 0 && len(p.Texts) > 0 && len(p.DidomiUserIDs) > 0
	},
	"events":   func(p *audit.Personal) bool { return len(p.Events) > 0 },
	"payloads": func(p *audit.Personal) bool { return strings.Contains(p.Events[0].Payload, plantedText) },
	"deliveries": func(p *audit.Personal) bool {
		return len(p.Profiles) > 0 && strings.Contains(p.Profiles[0].LastError, plantedText)
	},
	"calls":    func(p *audit.Personal) bool { return len(p.Calls) > 0 },
	"messages": func(p *audit.Personal) bool { return len(p.Messages) > 0 },
	"load_rows": func(p *audit.Personal) bool {
		return len(p.Mentions.BulkRows) > 0 && p.Mentions.BulkRows[0].Subscriptions["News"]
	},
	"held_blocks": func(p *audit.Personal) bool {
		return len(p.Mentions.ExportRows) > 0 && p.Mentions.ExportRows[0].Subscriptions["News"]
	},
	"reconciliations": func(p *audit.Personal) bool { return len(p.Mentions.Differences) > 0 },
	"import_refusals": func(p *audit.Personal) bool { return len(p.Mentions.RefusedRows) == 1 },
	"inbox":           func(p *audit.Personal) bool { return len(p.Mentions.SetAside) > 0 },
	"erasures":        func(p *audit.Personal) bool { return p.Mentions.ErasureRequestedAt != nil },
}

// notExported are the tables of which the export shows nothing, and why.
var notExported = map[string]string{
	"ledger":        "keyed hashes of messages, for as long as they count as told",
	"audit_records": "digests of events and calls, which are shown",
	"import_blocks": "rows of a file that are about to be merged: the export says that it is catching up",
}

// staysErased are the tables in which the keyed hash of who was erased stays.
var staysErased = []string{"people", "ledger", "events", "calls", "messages", "audit_records"}

// everythingOf plants somebody in every table that can hold something of a
// person, which it takes from the list of tables, so that none can be forgotten.
func everythingOf(b *bench) {
	b.plant()
	of := []store.PersonKey{b.person(acme, plantedUser), b.user(acme, plantedDidomi)}
	keyed, texts := b.traces(of)
	for i := range store.Tables {
		name := store.Tables[i].Name
		about := slices.ContainsFunc(store.Tables[i].Columns(), func(c store.Column) bool { return c.Name == "person" || c.Name == "rows" })
		if about && !slices.Contains(keyed, name) {
			b.Errorf("%s has rows of people, and none of the planted one: have it planted", name)
		}
	}
	p, err := b.auditor().Personal(b.Context(), acme, plantedUser)
	b.must(err)
	for _, name := range slices.Concat(keyed, texts) {
		shows, is := exported[name]
		if _, not := notExported[name]; !is && !not {
			b.Errorf("%s holds something of a person: have it exported, or say why not", name)
		} else if is && !shows(p) {
			b.Errorf("what %s holds is not in the export: %+v", name, p)
		}
	}
	b.eraseStored(plantedUser)
	keyed, texts = b.traces(of)
	b.same("tables that hold what was said, or an id", texts, []string(nil))
	for _, name := range keyed {
		if !slices.Contains(staysErased, name) {
			b.Errorf("%s still has a row of who was erased", name)
		}
	}
}

// plant has somebody leave something everywhere.
func (b *bench) plant() {
	b.Helper()
	k := b.integrate(acme, "i")
	b.must(b.SetFeature(b.Context(), acme, true))
	b.must(b.SetPrivacy(b.Context(), acme, store.Privacy{EraseDeletedUsers: true}))
	b.email(k, mail.ConfirmConsentChanged, nil)
	said := func(id string, s ...consent.Said) *consent.Message {
		return change(as(event(id, at(-9), s...), plantedUser, plantedDidomi), func(m *consent.Message) {
			m.Metadata = map[string]json.RawMessage{"name": json.RawMessage(`"` + plantedText + `"`)}
		})
	}
	b.live(acme, said("planted-1", yes("p")))

	l := b.lease("node")
	load := &store.Load{IntegrationKey: k, LoadID: store.NewID(), State: store.LoadBuilding, Epoch: l.Epoch, Columns: []string{"News"}, CreatedAt: b.now()}
	b.must(b.SaveLoad(b.Context(), l, load))
	taken, err := b.JoinLoad(b.Context(), l, load, []store.Joining{b.joining(k, plantedUser, true)})
	b.must(err)
	b.same("in the load", taken, []bool{true})
	b.ended(l, load, store.LoadConfirmed)

	b.live(acme, said("planted-2", no("q")))
	d := b.delivery(k, plantedUser)
	f := answered(d, b.begin(l, d), b.now())
	f.State, f.LastError, f.Calls[0].Detail = store.Failed, plantedText+" is refused", plantedText+" is refused"
	b.must(b.Finish(b.Context(), l, f))

	s := b.step(b.opened(acme, "export"), 0, said("planted-4", yes("s")))
	s.Rows, s.Refused = 3, []store.ImportRefusal{{File: "a", Row: 1, Reason: "user." + plantedUser + " is no user"}, {File: "a", Row: 2, Reason: "user." + plantedUser + "bel is no user"}}
	b.takeRows(s)
	r := b.reconcile(k)
	b.must(b.StageHeld(b.Context(), r, []store.HeldRow{{Person: d.Person, Cells: "1"}}))
	r.State, r.Report.Examples = store.ReconciliationComparing, []store.DriftExample{{Kind: "turned_on", OrganizationUserID: plantedUser, Subscription: "News"}}
	b.must(b.SaveReconciliation(b.Context(), r, store.ReconciliationStep{}))

	b.must(b.Enqueue(b.Context(), []store.Inbound{inbound(acme, said("planted-3", yes("r")))}))
	b.setAside(store.InboxKey{Organization: acme, Lane: store.OrdinaryLane})
	b.accept(acme, &consent.Message{Type: consent.UserDeleted, EntityID: plantedDidomi, DidomiUserID: plantedDidomi})
	b.seal(time.Minute)
}

// traces lists the tables in which there is a row with a key of somebody, and
// those that hold an id or a text of theirs.
func (b *bench) traces(of []store.PersonKey) (keyed, texts []string) {
	b.Helper()
	for i := range store.Tables {
		t := &store.Tables[i]
		rows, err := b.Engine.(interface {
			ReadRows(ctx context.Context, t *store.Table, after []any, limit int) ([]store.CopyRow, error)
		}).ReadRows(b.Context(), t, nil, 1000)
		b.must(err)
		var hasKey, hasText bool
		for _, row := range rows {
			for n, c := range t.Columns() {
				var value []byte
				switch v := row[n].(type) {
				case string:
					value = []byte(v)
				case []byte:
					value = v
				}
				// A block holds the rows of several people.
				hasKey = hasKey || (c.Name == "person" || c.Name == "rows") && slices.ContainsFunc(of, func(k store.PersonKey) bool { return bytes.Contains(value, k[:]) })
				for _, text := range []string{plantedUser, plantedDidomi, plantedText, "planted-1", "planted-2", "planted-3", "planted-4"} {
					hasText = hasText || bytes.Contains(bytes.ReplaceAll(value, []byte(plantedUser+"bel"), nil), []byte(text))
				}
			}
		}
		if hasKey {
			keyed = append(keyed, t.Name)
		}
		if hasText {
			texts = append(texts, t.Name)
		}
	}
	return keyed, texts
}
