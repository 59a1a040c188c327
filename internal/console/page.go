package console

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/url"
	"strings"
	"time"

	"consentsync/internal/consent"
)

//go:embed templates
var templates embed.FS

// page is a page with the frame around it.
type page struct{ whole *template.Template }

// shown is what a page is drawn from.
type shown struct {
	*visit
	Title string
	Page  string // name of the template
	Path  string
	Done  string // what was just done
	Data  any
}

// parse reads the templates: each file in templates/pages is a page, drawn
// within templates/layout.html; those in templates/parts can be used by all.
func (c *Console) parse() (map[string]*page, error) {
	base, err := template.New("").Funcs(c.functions()).ParseFS(templates, "templates/layout.html", "templates/parts/*.html")
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(templates, "templates/pages/*.html")
	if err != nil {
		return nil, err
	}
	pages := map[string]*page{}
	for _, file := range files {
		t, err := base.Clone()
		if err != nil {
			return nil, err
		}
		if t, err = t.ParseFS(templates, file); err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(file[strings.LastIndex(file, "/")+1:], ".html")
		pages[name] = &page{t}
	}
	return pages, nil
}

func (p *page) execute(w io.Writer, data shown) error {
	return p.whole.ExecuteTemplate(w, "layout.html", data)
}

// part draws one part of a page alone.
func (p *page) part(w io.Writer, name string, data any) error {
	return p.whole.ExecuteTemplate(w, name, data)
}

func (c *Console) functions() template.FuncMap {
	return template.FuncMap{
		"provider": c.provider,
		"asset":    c.assets.path, "field": newField, "sentence": sentence, "path": url.PathEscape, "query": query, "escaped": url.QueryEscape,
		"stamp": stamp, "machine": machine, "ago": func(t consent.Time) string { return ago(c.Now(), t) },
		"number": number, "plural": plural, "action": actionText, "list": func(items ...string) []string { return items },
		"truth": func(on *bool) string { return map[bool]string{true: "on", false: "off"}[*on] },
		"either": func(yes bool, a, b string) string {
			if yes {
				return a
			}
			return b
		},
		"words": func(names []string) string { return strings.Join(names, ", ") },
		"clock": clock, "outcome": outcomeText, "span": func(seconds float64) string { return span(time.Duration(seconds * float64(time.Second))) },
		"join": func(parts ...string) string { return strings.Join(parts, "") },
	}
}

// query writes a value of an address after its question mark. As a string it
// would be escaped once more.
func query(value string) template.URL { return template.URL(url.QueryEscape(value)) } //nolint:gosec // nothing is left in it that could end the value

// stamp writes a time for people; all times of the console are UTC.
func stamp(t any) string {
	if std := timeOf(t); !std.IsZero() {
		return std.Format("2 Jan 2006, 15:04:05")
	}
	return "never"
}

// machine writes a time for the attribute datetime.
func machine(t any) string { return timeOf(t).Format(time.RFC3339) }

// clock writes the time of day with its milliseconds, for what follows one upon
// the other.
func clock(t consent.Time) string { return t.Std().Format("2 Jan 2006, 15:04:05.000") }

func timeOf(t any) time.Time {
	switch t := t.(type) {
	case consent.Time:
		return t.Std()
	case *consent.Time:
		if t != nil {
			return t.Std()
		}
	case time.Time:
		return t.UTC()
	}
	return time.Time{}
}

// ago tells how long ago something was.
func ago(now time.Time, t consent.Time) string {
	if t == 0 {
		return "never"
	}
	d := now.Sub(t.Std())
	if d < 0 {
		return "in " + span(-d)
	}
	if d < time.Second {
		return "now"
	}
	return span(d) + " ago"
}

// span writes a duration by its greatest unit.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}

// number writes a whole number with its thousands apart.
func number(n any) string {
	text := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// plural counts things.
func plural(n any, one, many string) string {
	if fmt.Sprint(n) == "1" {
		return "1 " + one
	}
	return number(n) + " " + many
}

// outcomeText says what became of an event, in words.
func outcomeText(o any) string {
	if text, known := outcomeTexts[fmt.Sprint(o)]; known {
		return text
	}
	return fmt.Sprint(o)
}

var outcomeTexts = map[string]string{
	"applied": "applied", "superseded": "superseded by something newer", "pending_approval": "waits for approval",
	"regulation_conflict": "not applied: two regulations are named", "no_person": "names nobody",
	"unlinked": "unlinked a Didomi user", "duplicate": "a duplicate",
}

// actionText says what a change was, in words.
func actionText(action string) string {
	if text, known := actionTexts[action]; known {
		return text
	}
	return strings.NewReplacer(".", " ", "_", " ").Replace(action)
}

var actionTexts = map[string]string{ //nolint:gosec // words, no secret
	"integration.created": "created the integration", "integration.changed": "changed the integration",
	"integration.refreshed": "took a new snapshot", "integration.deleted": "deleted the integration",
	"integration.paused": "paused the integration", "integration.resumed": "resumed the integration",
	"integration.grants_approved":        "approved grants",
	"integration.webhook_secret_rotated": "gave Actito's webhook a new secret",
	"people.retried":                     "tried those again who failed or are unmatched",
	"person.replayed":                    "sent a person again", "person.reread": "had a person read again",
	"email.created": "configured a type of message", "email.changed": "changed how a type of message is sent",
	"email.deleted": "deleted how a type of message is sent", "message.sent_again": "had a message sent again",
	"message.test_requested": "tested a type of message",
	"user.joined":            "joined", "user.invited": "invited somebody", "user.uninvited": "took an invitation back",
	"import.opened": "began an import", "import.ended": "ended an import", "reconciliation.started": "compared Actito's export", "catch_up.asked": "had Didomi asked for what may have been missed",
	"person.retold":     "had Didomi told of a person again",
	"user.role_changed": "changed a role", "user.removed": "removed a user",
	"privacy.changed": "changed how long data is kept", "person.erased": "erased a person", "retention.kept": "let go what was kept long enough",
	"organization.feature_set": "switched the Actito integration", "webhook_client.added": "made credentials for Didomi",
	"webhook_client.rotated": "gave Didomi's credentials a new secret", "webhook_client.removed": "removed credentials of Didomi",
	"keys.rotated": "changed the key that seals secrets", "keys.master_rotated": "changed the master key", "keys.forgotten": "forgot a key that sealed secrets",
	"api_key.added": "made a key of the API", "api_key.revoked": "revoked a key of the API",
}
