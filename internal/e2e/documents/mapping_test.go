package documents_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/didomi"
	"consentsync/internal/docs"
)

// aForm is a row of docs/mapping.md: a form of path, an example, and what the
// event of the page makes of it.
type aForm struct{ form, example, makes string }

var mappingRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| `([^`]+)` \\| ([^|]+) \\|")

// Each form of path is shown with an example that has the form, and that the
// event of the page makes what the page says; and no form is left out.
func TestEveryPathHasItsExample(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/mapping.md")
	subscriptions, attributes, found := strings.Cut(page, "## Attributes")
	if !found {
		t.Fatal("the page has no part about attributes")
	}
	choices, texts := forms(t, subscriptions, consent.CheckSubscriptionPath), forms(t, attributes, consent.CheckAttributePath)
	p := projected(t, page, choices, texts)
	for _, f := range choices {
		if w, there := p.Subscriptions[f.example]; !there || on(w.On) != f.makes {
			t.Errorf("%s: the page says %s, the event makes it %+v, %v", f.example, f.makes, w, there)
		}
	}
	for _, f := range texts {
		if w, there := p.Attributes[f.example]; !there || fmt.Sprintf("`%v`", w.Value) != f.makes {
			t.Errorf("%s: the page says %s, the event makes it %+v, %v", f.example, f.makes, w, there)
		}
	}
}

func on(enabled bool) string {
	if enabled {
		return "on"
	}
	return "off"
}

// forms reads the rows of a part of the page. What check says to a path of no
// form lists all that there are.
func forms(t *testing.T, part string, check func(string) error) []aForm {
	t.Helper()
	plain := regexp.MustCompile(`<[^>]*>`)
	said := plain.ReplaceAllString(check("nothing").Error(), "<>")
	listed := regexp.MustCompile(`(consents|user)_[a-z_<>]+`).FindAllString(said, -1)
	var found []aForm
	for _, m := range mappingRow.FindAllStringSubmatch(part, -1) {
		f := aForm{m[1], m[2], strings.TrimSpace(m[3])}
		pattern := strings.ReplaceAll(plain.ReplaceAllString(f.form, "<>"), "<>", `\w+`)
		if !regexp.MustCompile("^" + pattern + "$").MatchString(f.example) {
			t.Errorf("%s is no example of %s", f.example, f.form)
		}
		if err := check(f.example); err != nil {
			t.Error(err)
		}
		found = append(found, f)
		form := plain.ReplaceAllString(f.form, "<>")
		for i, l := range listed {
			if l == form {
				listed = append(listed[:i], listed[i+1:]...)
				break
			}
		}
	}
	if len(found) < 4 || len(listed) > 0 {
		t.Errorf("%d forms have an example; not so %q", len(found), listed)
	}
	return found
}

// projected takes the event of the page in as a webhook and gives what a profile
// should hold whose fields are named after the paths that feed them.
func projected(t *testing.T, page string, choices, texts []aForm) consent.Projection {
	t.Helper()
	fences, err := docs.Fences("docs/mapping.md", page)
	if err != nil {
		t.Fatal(err)
	}
	var event string
	for _, f := range fences {
		if f.Language() != "json" {
			continue
		}
		if !json.Valid([]byte(f.Text)) {
			t.Errorf("docs/mapping.md:%d: no JSON", f.Line)
		}
		if event == "" {
			event = f.Text
		}
	}
	message, err := didomi.Decode([]byte(event), "acme-org")
	if err != nil {
		t.Fatal(err)
	}
	state := &consent.State{}
	for _, s := range consent.Resolve(message, consent.TimeOf(time.Now())).Statements {
		state.Apply(s)
	}
	rules := consent.Rules{Regulations: []string{consent.DefaultRegulation}}
	for _, f := range choices {
		rules.Subscriptions = append(rules.Subscriptions, consent.Mapping{ID: f.example, Value: f.example})
		rules.Snapshot.Subscriptions = append(rules.Snapshot.Subscriptions, consent.Subscription{Name: f.example})
	}
	for _, f := range texts {
		rules.Attributes = append(rules.Attributes, consent.Mapping{ID: f.example, Value: f.example})
		rules.Snapshot.Attributes = append(rules.Snapshot.Attributes, consent.Attribute{Name: f.example, Kind: consent.String})
	}
	return consent.Project(consent.Combine(message.OrganizationUserID, state, nil), rules)
}
