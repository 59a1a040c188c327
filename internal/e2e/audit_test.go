package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"consentsync/internal/app"
	"consentsync/internal/audit"
	"consentsync/internal/backfill"
	"consentsync/internal/simulator"
	"consentsync/internal/store/pgtest"
)

// verified reads the audit chain of the organization and checks it.
func (b *bundle) verified() audit.Report {
	b.t.Helper()
	var v *audit.Verifier
	path := "/v1/organizations/" + organization + "/audit?limit=3"
	for cursor := ""; ; {
		var page audit.Page
		b.must(http.MethodGet, path+cursor, "", http.StatusOK, &page)
		if v == nil {
			v = audit.NewVerifier(page.Header, page.PublicKey)
		}
		v.Horizons(page.Horizons)
		for i := range page.Data {
			v.Link(&page.Data[i])
		}
		if page.Next == nil {
			return v.End()
		}
		cursor = "&cursor=" + *page.Next
	}
}

// What a person said, what was sent and what was answered is proved; when they
// are erased nothing of them is left on the disk, the chain verifies, and what
// they say afterwards counts.
func TestProofAndErasure(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*app.Config){
		"sqlite":     func(*app.Config) {},
		"postgresql": func(c *app.Config) { c.Database = pgtest.Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1}, change, func(c *app.Config) { c.SealAfter = 50 * time.Millisecond })
			proofAndErasure(b)
		})
	}
}

func proofAndErasure(b *bundle) {
	const email, planted = "planted.person@example.com", "Plantagenet"
	query := "?organization_id=" + organization
	id := b.integrate(mails)
	b.email("consents-user-created", simulator.SampleConfirmation, object{"links": welcomeLink["links"]})
	b.send(simulator.EventCreated(organization, simulator.Event{
		ID: "planted-event", OrganizationUserID: email, DidomiUserID: "planted-user", CreatedAt: time.Now().Add(-time.Minute),
		Purposes: simulator.Choices{"newsletter": yes(), "promotions": no()}, Metadata: map[string]any{"firstName": planted},
	}))
	b.eventually("synced", func() bool { return b.person(email).status() == "synced" })
	b.eventually("a message is sent", func() bool { return len(b.messages("sent")) == 1 })
	b.plantInFiles(id, email)

	var proof audit.Proof
	b.looks("all is sealed", func() bool {
		b.must(http.MethodGet, "/v1/users/"+email+"/proof"+query, "", http.StatusOK, &proof)
		for _, x := range proof.Data {
			if x.Seal == nil {
				return false
			}
		}
		return len(proof.Data) >= 2
	})
	first := proof.Data[0]
	calls := slices.DeleteFunc(slices.Clone(proof.Data), func(x audit.Proven) bool { return x.Mapping == 0 }) // but for the message, which follows none
	if len(calls) == 0 {
		b.t.Fatalf("no call follows a mapping: %+v", proof.Data)
	}
	last := calls[len(calls)-1]
	if first.EventID != "planted-event" || len(first.Said) != 2 || !strings.Contains(first.Payload, planted) || first.Outcome != "applied" {
		b.t.Errorf("the event is proved as %+v", first)
	}
	if last.Outcome != "ok" || last.Mapping == 0 || last.AnsweredAt == nil {
		b.t.Errorf("the call is proved as %+v", last)
	}
	for _, x := range proof.Data {
		if !x.Seal.Genuine || x.Seal.Position == 0 {
			b.t.Errorf("%s %s is not proved: %+v", x.Kind, x.ID, x.Seal)
		}
	}
	var all audit.Personal
	b.must(http.MethodGet, "/v1/users/"+email+"/export"+query, "", http.StatusOK, &all)
	if len(all.Choices) != 2 || len(all.Texts) == 0 || len(all.Profiles) != 1 || len(all.Events) != 1 || all.DidomiUserIDs[0] != "planted-user" ||
		len(all.Messages) != 1 || len(all.Mentions.Differences) != 1 {
		b.t.Errorf("the data of a person is %+v", all)
	}

	privacy := "/v1/organizations/" + organization + "/privacy"
	b.must(http.MethodPatch, privacy, `{"retention_days":{"payloads":-1,"mails":3}}`, http.StatusBadRequest, nil)
	b.must(http.MethodPatch, privacy, `{"retention_days":{"payloads":400}}`, http.StatusOK, nil)
	var kept struct {
		RetentionDays map[string]int `json:"retention_days"`
	}
	b.must(http.MethodGet, privacy, "", http.StatusOK, &kept)
	if kept.RetentionDays["payloads"] != 400 || kept.RetentionDays["events"] != 0 {
		b.t.Errorf("kept for %v", kept)
	}

	erase := "/v1/users/" + email + query + "&confirm="
	b.must(http.MethodDelete, erase+"somebody.else", "", http.StatusBadRequest, nil)
	b.must(http.MethodDelete, erase+email, "", http.StatusOK, nil)
	b.must(http.MethodGet, "/v1/users/"+email+query, "", http.StatusNotFound, nil)
	b.must(http.MethodGet, "/v1/users/"+email+"/proof"+query, "", http.StatusNotFound, nil)
	b.looks("the erasure is sealed, and the chain verifies", func() bool {
		r := b.verified()
		return r.Erased > 0 && len(r.Problems) == 0
	})
	if b.cfg.Database == "" {
		b.stop()
		succeeds(b.t, "compact", "--data", b.cfg.Data)
		for _, secret := range []string{email, planted, "planted-event", "planted-user", "planted-row"} {
			b.nowhere(secret)
		}
		b.start()
	}

	b.send(event("late", email, time.Now().Add(-30*time.Minute), map[string]*bool{"newsletter": yes(), "promotions": yes()}))
	b.send(event("refusal", email, time.Now(), map[string]*bool{"newsletter": no()}))
	b.eventually("the withdrawal is delivered", func() bool {
		p, _ := b.profile(email)
		return !p.Subscriptions["Newsletter"] && b.person(email).status() == "synced"
	})
	if p := b.person(email); len(p.Choices) != 1 || p.Choices[0].Enabled {
		b.t.Errorf("after the erasure the choices are %+v", p.Choices)
	}
	b.looks("the chain goes on", func() bool {
		r := b.verified()
		return len(r.Problems) == 0 && r.Records > 5
	})
}

// plantInFiles has a row about somebody refused by an import, and another, in
// which Actito says otherwise than we know, be an example of a reconciliation.
func (b *bundle) plantInFiles(id, email string) {
	b.t.Helper()
	part := b.rows(b.importing("planted"), "planted.json", 0, object{"id": "planted-row", "user": object{"organization_user_id": email}, "consents": "all"})
	if len(part.Refused) != 1 {
		b.t.Errorf("of the import became %+v", part)
	}
	path := "/v1/marketplace/integrations/" + id + "/reconciliations"
	var v backfill.ReconciliationView
	b.must(http.MethodPost, path, fmt.Sprintf(`{"as_of":%q,"policy":"report","columns":["Newsletter"]}`, time.Now().Format(time.RFC3339Nano)), http.StatusCreated, &v)
	path += "/" + v.ID
	b.must(http.MethodPost, path+"/rows?from=0&fingerprint=x", fmt.Sprintf(`{"key":%q,"subscriptions":{"Newsletter":false}}`, email), http.StatusOK, nil)
	b.must(http.MethodPost, path+"/end", "", http.StatusAccepted, nil)
	b.eventually("compared", func() bool {
		b.must(http.MethodGet, path, "", http.StatusOK, &v)
		return v.State == "done"
	})
	if len(v.Report.Examples) != 1 {
		b.t.Errorf("the reconciliation has found %+v", v.Report)
	}
}

// nowhere checks that no file of the data directory has a text in it.
func (b *bundle) nowhere(text string) {
	b.t.Helper()
	files, err := filepath.Glob(filepath.Join(b.cfg.Data, "*"))
	if err != nil || len(files) == 0 {
		b.t.Fatal("there are no files", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			b.t.Fatal(err)
		}
		if bytes.Contains(content, []byte(text)) {
			b.t.Errorf("%s still has %q in it", filepath.Base(file), text)
		}
	}
}
