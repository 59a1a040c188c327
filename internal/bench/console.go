package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/simulator"
	"consentsync/internal/store"
	"consentsync/internal/store/sqlite"
)

const (
	mostPage  = 100 * time.Millisecond // of each page, at its worst
	pageTimes = 40                     // how often each page is asked for
	// barePage is drawn by the same program without asking the database.
	barePage = "/login"
	// failedPeople stand in the lists of who failed: more than are counted.
	failedPeople = store.MostTroubled + 2000
)

// paged is how long one page of the console took, sorted.
type paged struct {
	name string
	took []time.Duration
}

// console asks the program for every page of its console, in turn with a bare
// one.
func (b *bench) console(ctx context.Context, r *report) (err error) {
	data, err := b.database(ctx)
	if err != nil {
		return err
	}
	progress("making people fail")
	if err := inStore(ctx, data.dir, func(e *sqlite.Engine, hasher *store.Hasher) error { return failSome(ctx, e, hasher, data) }); err != nil {
		return err
	}
	_, actitoURL, stop, err := actito(ctx, simulator.ActitoOptions{})
	if err != nil {
		return err
	}
	defer stop()
	p, err := b.serve(ctx, data.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	u, err := newUser(ctx, p.url)
	if err != nil {
		return err
	}
	progress("setting up another integration, up to its activation")
	pages, err := u.pages(ctx, data, actitoURL)
	if err != nil {
		return err
	}
	progress("asking for %d pages, %d times each", len(pages), pageTimes)
	took, stranger := make([][]time.Duration, len(pages)), &user{base: p.url}
	for range pageTimes {
		for i, page := range pages {
			who := u
			if page.path == barePage {
				who = stranger // others are sent on from it
			}
			began := time.Now()
			if _, err := who.get(ctx, page.path); err != nil {
				return fmt.Errorf("%s: %w", page.name, err)
			}
			took[i] = append(took[i], time.Since(began))
		}
	}
	for i, page := range pages {
		slices.Sort(took[i])
		r.pages = append(r.pages, paged{page.name, took[i]})
	}
	return nil
}

// failSome has some people fail, for two reasons.
func failSome(ctx context.Context, e *sqlite.Engine, hasher *store.Hasher, data filled) error {
	leases, err := e.Acquire(ctx, "bench")
	if err != nil || len(leases) != 1 {
		return errors.Join(err, fmt.Errorf("%d leases, want 1", len(leases)))
	}
	for n := range min(failedPeople, data.People/4) {
		k := store.DeliveryKey{
			Organization: organization, Integration: data.Integration, Target: store.TargetActito,
			Person: hasher.Person(organization, consent.Subject{OrganizationUserID: userID(n)}),
		}
		if err := e.Fail(ctx, leases[0], k, 1, fmt.Sprintf("invalid: reason %d", n%2)); err != nil {
			return err
		}
	}
	return e.Release(ctx, "bench")
}

// userID is the id of a person as the webhooks have it.
func userID(person int) string { return fmt.Sprintf("person.%07d@example.com", person) }

// user is somebody who is signed in to the console.
type user struct {
	base   string
	client http.Client
}

// newUser invites an administrator and signs them in.
func newUser(ctx context.Context, base string) (*user, error) {
	var invitation struct{ URL string }
	if err := ask(ctx, http.MethodPost, base+"/v1/organizations/"+organization+"/invitations", object{"role": "administrator"}, &invitation); err != nil {
		return nil, err
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	u := &user{base: base, client: http.Client{Jar: jar}}
	link, err := url.Parse(invitation.URL)
	if err != nil {
		return nil, err
	}
	_, _, err = u.post(ctx, link.Path, "name", "Bench", "email", fmt.Sprintf("bench.%d@example.com", time.Now().UnixNano()), "password", "correct horse battery")
	return u, err
}

func (u *user) get(ctx context.Context, path string) (text string, err error) {
	_, text, err = u.do(ctx, http.MethodGet, path, "")
	return text, err
}

// post sends a form and follows to the page after it.
func (u *user) post(ctx context.Context, path string, pairs ...string) (at, text string, err error) {
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return u.do(ctx, http.MethodPost, path, form.Encode())
}

func (u *user) do(ctx context.Context, method, path, body string) (at, text string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, u.base+path, strings.NewReader(body))
	if err != nil {
		return "", "", err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := u.client.Do(r)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %.2000s", method, path, resp.Status, answer)
	}
	return resp.Request.URL.Path, string(answer), err
}

// page is one to ask for.
type page struct{ name, path string }

// pages are all that the console has, the bare one first.
func (u *user) pages(ctx context.Context, data filled, actitoURL string) ([]page, error) {
	setup, err := u.setUp(ctx, actitoURL)
	if err != nil {
		return nil, err
	}
	base := "/o/" + organization
	integration := base + "/integrations/" + data.Integration
	some := url.QueryEscape(userID(data.People / 2))
	text, err := u.get(ctx, base+"/events")
	if err != nil {
		return nil, err
	}
	_, event, found := strings.Cut(text, `href="`+base+`/events/`)
	event, _, _ = strings.Cut(event, `"`)
	if !found {
		return nil, errors.New("the list of events names none")
	}
	list := []page{
		{"bare", barePage},
		{"overview", base},
		{"people", base + "/people"},
		{"a person", base + "/people?id=" + some},
		{"failed and unmatched", integration + "/troubles"},
		{"those who failed", integration + "/troubles?status=failed"},
		{"those who failed for a reason", integration + "/troubles?status=failed&reason=" + url.QueryEscape("invalid: reason 1")},
		{"events", base + "/events"},
		{"events of a person", base + "/events?person=" + some},
		{"events of an outcome that none has", base + "/events?outcome=duplicate"},
		{"an event", base + "/events/" + event},
		{"an integration", integration},
		{"changes", base + "/changes"},
		{"users", base + "/users"},
		{"access", base + "/access"},
		{"organizations", "/organizations"},
		{"account", "/account"},
	}
	for _, step := range []string{"settings", "options", "mapping", "simulation"} {
		list = append(list, page{"set-up: " + step, setup + "/" + step})
	}
	return list, nil
}

// setUp goes through the set-up of another integration, and gives its address.
func (u *user) setUp(ctx context.Context, actitoURL string) (string, error) {
	at, _, err := u.post(ctx, "/o/"+organization+"/setups")
	if err != nil {
		return "", err
	}
	at = path.Dir(at)
	for _, step := range []struct {
		name string
		form []string
	}{
		{"settings", []string{"properties.base_url", actitoURL, "authentication.private_api_key", simulator.SampleKey}},
		{"settings", []string{
			"properties.base_url", actitoURL, "properties.entity_id", simulator.SampleEntity, "properties.table_name", simulator.SampleTable().Name,
			"properties.user_unique_key", "emailAddress",
		}},
		{"options", []string{"properties.calls_per_minute", "90", "properties.concurrency", "4", "properties.regulations", "gdpr"}},
		{"mapping", []string{"mapping.id", "PartnerOffers", "mapping.value", "consents_channels_email_enabled", "metadata", "all"}},
	} {
		if _, _, err := u.post(ctx, at+"/"+step.name, step.form...); err != nil {
			return "", err
		}
	}
	return at, nil
}

// pageLines are those of the part console.
func (r *report) pageLines(line func(...any)) {
	if len(r.pages) == 0 {
		return
	}
	bare := r.pages[0].took
	half, worst := bare[len(bare)/2], bare[len(bare)-1]
	for _, p := range r.pages[1:] {
		is, most := p.took[len(p.took)/2], p.took[len(p.took)-1]
		line("page: "+p.name+"; median and worst, beside a bare page", short(is)+", "+short(most), short(half)+", "+short(worst),
			fmt.Sprintf("%.1f", float64(is)/float64(half)), "under "+short(mostPage), yes(most < mostPage))
	}
}
