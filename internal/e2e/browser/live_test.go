package browser_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"

	"consentsync/internal/simulator"
)

// stream opens what keeps a part of a page up to date, as the window's user.
// Its lines come one by one; the channel is closed at its end.
func (w *window) stream(path string) <-chan string {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	w.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, nil)
	if err != nil {
		w.Fatal(err)
	}
	for _, c := range call(w, network.GetCookies, network.GetCookiesParams{}).Cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	lines := make(chan string, 10_000)
	go func() {
		defer resp.Body.Close()
		defer close(lines)
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			lines <- in.Text()
		}
	}()
	return lines
}

// until reads up to a line that begins so, and gives all before it.
func until(t *testing.T, lines <-chan string, begins string) (before []string) {
	t.Helper()
	for line := range lines {
		if strings.HasPrefix(line, begins) {
			return before
		}
		before = append(before, line)
	}
	t.Fatalf("%q never comes; what came is %q", begins, before)
	return nil
}

// A part of a page is sent when it has changed, until whoever looks signs out or
// the server shuts down, which it does not put off.
func TestLiveParts(t *testing.T) {
	t.Parallel()
	s, admin, _ := integrated(t)
	v := s.member(organization, "viewer", "Vera")
	v.open("/o/acme-org")
	path := script[string](v, `document.getElementById("live").dataset.live`)
	lines := v.stream(path)
	s.didomi(simulator.Event{ID: "e1", OrganizationUserID: anna, CreatedAt: time.Now(), Purposes: simulator.Choices{"newsletter": yes()}})
	if before := strings.Join(until(t, lines, "event: part"), ""); before != ":" {
		t.Errorf("what the browser has is sent: %s", before)
	}
	until(t, lines, `data: <div id="live"`)
	v.press("Vera")
	v.press("Sign out")
	until(t, lines, "event: end")
	if _, more := <-lines; more { // the empty line that ends it
		for line := range lines {
			if line != "" && line != "data: " {
				t.Errorf("after the end comes %q", line)
			}
		}
	}

	lines = admin.stream(path)
	until(t, lines, "event: part")
	begun := time.Now()
	s.stop()
	for range lines {
		continue // what was on its way
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("a page that is open puts a shutdown off by %s", took)
	}
}
