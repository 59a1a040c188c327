package browser_test

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"consentsync/internal/api/apitest"
	"consentsync/internal/app"
	"consentsync/internal/simulator"
)

const adminToken = "test-admin-token"

// chromium is the one browser of all tests; each window has cookies of its own.
var chromium context.Context

func TestMain(m *testing.M) {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && path == "" {
			path = found
		}
	}
	if path == "" {
		fmt.Fprintln(os.Stderr, "these tests need Chromium: install Debian's package chromium, or your system's equivalent")
		os.Exit(1)
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-background-networking", true),
		chromedp.WSURLReadTimeout(time.Minute))...)
	browser, stop := chromedp.NewContext(allocator)
	code := 1
	if err := chromedp.Do(browser); err != nil {
		fmt.Fprintln(os.Stderr, "Chromium does not start:", err)
	} else {
		chromium = browser
		code = m.Run()
	}
	stop()
	cancel()
	os.Exit(code)
}

// site is the program beside a simulated Actito.
type site struct {
	*testing.T
	app       *app.App
	url       string
	actito    *simulator.Actito
	actitoURL string
	token     string // of Didomi
	stop      func() // ends the program, once
}

func start(t *testing.T) *site {
	t.Helper()
	return startWith(t, func(*app.Config) {})
}

// startWith starts the program with a configuration that change has changed.
func startWith(t *testing.T, change func(*app.Config)) *site {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes most of the time, and the race detector does not see into it")
	}
	s := &site{T: t, actito: simulator.NewActito(simulator.ActitoOptions{CallsPerMinute: -1})}
	ends := httptest.NewServer(s.actito)
	s.actitoURL = ends.URL
	cfg := app.Config{
		Listen: "127.0.0.1:0", Data: t.TempDir(), AllowPrivateNetworks: true, TokenLife: time.Hour, AdminToken: adminToken,
		ConfirmAfter: time.Hour, ReadbackDelay: time.Second, LogLevel: "error",
	}
	change(&cfg)
	a, err := app.Start(context.Background(), cfg, cfg.Logger(t.Output()))
	if err != nil {
		t.Fatal(err)
	}
	s.app, s.url = a, a.URL()
	s.stop = sync.OnceFunc(func() {
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		s.stop()
		s.actito.Close()
		ends.Close()
	})
	return s
}

// ask makes a request of the API, whose answer has to be one that is
// documented, and wants it to succeed.
func (s *site) ask(method, path string, in, out any) {
	s.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		s.Fatal(err)
	}
	if in == nil {
		body = nil
	}
	s.send(method, path, body, adminToken, out)
}

func (s *site) send(method, path string, body []byte, token string, out any) {
	s.Helper()
	r, err := http.NewRequest(method, s.url+path, bytes.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: apitest.Transport(s, http.DefaultTransport)}).Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		s.Fatalf("%s %s answered %d: %s", method, path, resp.StatusCode, answer)
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			s.Fatal(err)
		}
	}
}

// window is one browser window, with its own cookies.
type window struct {
	*site
	ctx context.Context
	// plain says that the pages have no JavaScript.
	plain bool

	mu         sync.Mutex
	complaints []string // of the browser
}

// window opens one.
func (s *site) window() *window {
	s.Helper()
	ctx, cancel := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext())
	s.Cleanup(cancel)
	w := &window{site: s, ctx: ctx}
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *log.EventEntryAdded:
			if !strings.Contains(e.Entry.Text, "status of 4") { // refusals are looked for
				w.complain(e.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			w.complain(e.ExceptionDetails.Text)
		}
	})
	if err != nil {
		s.Fatal(err)
	}
	call(w, log.Enable, cdp.Empty{})
	w.run(chromedp.EmulateViewport(1200, 800))
	s.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, c := range w.complaints {
			s.Errorf("the browser complains: %s", c)
		}
	})
	return w
}

func (w *window) complain(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.complaints = append(w.complaints, text)
}

func (w *window) run(steps ...chromedp.Action[chromedp.Void]) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		w.broken(err)
	}
}

// patience is how long one thing may take.
const patience = 20 * time.Second

// broken ends the test, with what is on the screen.
func (w *window) broken(err error) {
	w.Helper()
	at, _ := chromedp.Run(w.ctx, chromedp.Location())
	text, _ := chromedp.Run(w.ctx, chromedp.Evaluate[string](`document.body.innerText`))
	w.Fatalf("%v, at %s:\n%.1500s", err, at, text)
}

// get runs an action for what it gives.
func get[T any](w *window, a chromedp.Action[T]) T {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		w.broken(err)
	}
	return v
}

// call sends a command of the protocol.
func call[P, R any](w *window, c cdp.Command[P, R], params P) R {
	w.Helper()
	v, err := chromedp.Call(w.ctx, c, params)
	if err != nil {
		w.broken(err)
	}
	return v
}

// script runs JavaScript in the page, outside of its policy.
func script[T any](w *window, text string, options ...chromedp.EvaluateOption) T {
	w.Helper()
	return get(w, chromedp.Evaluate[T](text, options...))
}

// open goes to an address of the console.
func (w *window) open(path string) {
	w.Helper()
	if strings.HasPrefix(path, "/") {
		path = w.url + path
	}
	w.run(chromedp.Navigate(path), chromedp.WaitReady(chromedp.CSS("main")))
}

// fill types into fields, by their labels; a select gets its option.
func (w *window) fill(pairs ...string) {
	w.Helper()
	for i := 0; i+1 < len(pairs); i += 2 {
		script[bool](w, fmt.Sprintf(`(() => {
			const label = [...document.querySelectorAll("label")].find(l => l.textContent.trim() === %q);
			if (!label) throw new Error("no field " + %[1]q);
			const field = document.getElementById(label.htmlFor), value = %q;
			if (field.tagName === "SELECT") field.value = [...field.options].find(o => o.value === value || o.text === value).value;
			else field.value = value;
			return field.dispatchEvent(new Event("change", {bubbles: true}));
		})()`, pairs[i], pairs[i+1]))
	}
}

// press clicks the button or link with a text, and waits for the page after it.
// What moves may be exchanged between finding it and clicking: then it is found
// again.
func (w *window) press(text string) {
	w.Helper()
	err := w.tryPress(text)
	for range 5 {
		if err == nil || !errors.Is(err, errMissed) && !strings.Contains(err.Error(), "Could not find node") {
			break
		}
		err = w.tryPress(text)
	}
	if err != nil {
		w.broken(fmt.Errorf("press %q: %w", text, err))
	}
	w.run(chromedp.WaitReady(chromedp.CSS("main")))
}

// errMissed says that a link was not followed: it may have been exchanged for
// another in the moment of the press. Buttons are not pressed twice.
var errMissed = errors.New("the link was not followed")

func (w *window) tryPress(text string) error {
	w.Helper()
	find := fmt.Sprintf(`//*[self::button or self::a or self::summary][contains(normalize-space(.), %q)]`, text)
	kind := script[string](w, fmt.Sprintf(`(() => {
		document.querySelectorAll("[data-pressed]").forEach(e => e.removeAttribute("data-pressed"));
		const e = document.evaluate(%q, document, null, XPathResult.FIRST_ORDERED_NODE_TYPE, null).singleNodeValue;
		if (!e) throw new Error("nothing says " + %q);
		e.setAttribute("data-pressed", "");
		return e.tagName === "SUMMARY" || e.closest("[hx-post]") ? "stays" : e.tagName;
	})()`, find, text))
	wait := patience
	if kind == "A" {
		wait = patience / 2
	}
	ctx, cancel := context.WithTimeout(w.ctx, wait)
	defer cancel()
	click := chromedp.Click(chromedp.CSS("[data-pressed]"))
	if kind == "stays" {
		return chromedp.Do(ctx, click)
	}
	_, err := chromedp.RunResponse(ctx, click)
	if kind == "A" && errors.Is(err, context.DeadlineExceeded) {
		return errMissed
	}
	return err
}

// text gives what the page says.
func (w *window) text() string {
	w.Helper()
	return script[string](w, `document.querySelector("main").innerText`)
}

// says wants the page to say something, now or within seconds.
func (w *window) says(parts ...string) {
	w.Helper()
	for _, part := range parts {
		deadline := time.Now().Add(15 * time.Second)
		for text := ""; ; {
			if text = w.text(); strings.Contains(text, part) {
				break
			}
			if time.Now().After(deadline) {
				w.Fatalf("the page never says %q:\n%s", part, text)
			}
			w.run(chromedp.Sleep(50 * time.Millisecond))
		}
	}
}

// saysNothingOf wants the page not to say something.
func (w *window) saysNothingOf(parts ...string) {
	w.Helper()
	whole := script[string](w, `document.documentElement.outerHTML`)
	for _, part := range parts {
		if strings.Contains(whole, part) {
			w.Errorf("the page tells of %q", part)
		}
	}
}

// at gives the address, without the host.
func (w *window) at() string {
	w.Helper()
	return strings.TrimPrefix(get(w, chromedp.Location()), w.url)
}

//go:embed testdata/axe.min.js
var axe string

// looksGood has axe look at the page, light and dark, wide and narrow, and
// keeps a picture under the name where CONSENTSYNC_SCREENS says in which folder.
func (w *window) looksGood(name string) {
	w.Helper()
	for _, look := range []struct {
		scheme string
		width  int64
		rules  string // that can come to something else than on the first look; empty for all
	}{{"light", 1200, ""}, {"dark", 1200, `"color-contrast"`}, {"light", 360, `"color-contrast", "scrollable-region-focusable", "target-size"`}} {
		call(w, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}},
		})
		w.run(chromedp.EmulateViewport(look.width, 800))
		w.axe(fmt.Sprintf("%s, %s, %d wide", name, look.scheme, look.width), look.rules)
		if script[bool](w, `document.documentElement.scrollWidth > innerWidth`) {
			w.Errorf("%s is wider than a screen of %d, by %s", name, look.width, script[string](w, wide))
		}
		suffix := ""
		if look.scheme != "light" || look.width < 600 {
			suffix = fmt.Sprintf("-%s-%d", look.scheme, look.width)
		}
		if folder := os.Getenv("CONSENTSYNC_SCREENS"); folder != "" && (suffix == "" || name == "overview") {
			w.picture(filepath.Join(folder, name+suffix+".webp"))
		}
	}
	call(w, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{})
	w.run(chromedp.EmulateViewport(1200, 800))
}

// wide tells of the deepest element that is wider than the screen.
const wide = `[...document.querySelectorAll("main *")].filter(e => e.scrollWidth > e.clientWidth + 1 && !e.closest(".scroll")).map(e => e.outerHTML.slice(0, 200)).pop() ?? "something"`

// axe wants no finding of axe on the page, by rules or by all.
func (w *window) axe(where, rules string) {
	w.Helper()
	if w.plain { // axe needs timers
		w.scripts(true)
		defer w.scripts(false)
	}
	type finding struct {
		ID     string `json:"id"`
		Impact string `json:"impact"`
		Help   string `json:"help"`
		Nodes  []struct {
			HTML    string `json:"html"`
			Summary string `json:"failureSummary"`
		} `json:"nodes"`
	}
	if !script[bool](w, `!!window.axe`) {
		script[bool](w, axe+"\n;true")
	}
	only := ""
	if rules != "" {
		only = `, runOnly: [` + rules + `]`
	}
	for _, v := range script[[]finding](w, `axe.run(document, {resultTypes: ["violations"]`+only+`}).then(r => r.violations)`, chromedp.EvalAwaitPromise) {
		w.Errorf("%s: %s (%s): %s: %.300s %.300s", where, v.ID, v.Impact, v.Help, v.Nodes[0].HTML, v.Nodes[0].Summary)
	}
}

func (w *window) picture(path string) {
	w.Helper()
	quality := int64(75)
	image := call(w, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: "webp", Quality: &quality}).Data
	if err := os.WriteFile(path, image, 0o644); err != nil {
		w.Fatal(err)
	}
}

// administrator opens a window in which the first user is signed in, who
// administers everything.
func (s *site) administrator() *window {
	s.Helper()
	w := s.window()
	w.open(s.app.FirstInvitation())
	w.fill("Your name", "Ada Admin", "E-mail address", "ada@example.com", "Password", "correct horse battery")
	w.press("Create the account")
	w.says("Welcome.")
	return w
}

// member opens a window in which somebody with a role is signed in.
func (s *site) member(organization, role, name string) *window {
	s.Helper()
	var invitation struct{ URL string }
	s.ask(http.MethodPost, "/v1/organizations/"+organization+"/invitations", map[string]string{"role": role}, &invitation)
	w := s.window()
	w.open(invitation.URL)
	w.fill("Your name", name, "E-mail address", strings.ToLower(name)+"@example.com", "Password", "correct horse battery")
	w.press("Create the account")
	w.says("Welcome.")
	return w
}

// value gives what stands in a field, by its name.
func (w *window) value(name string) string {
	w.Helper()
	return script[string](w, fmt.Sprintf(`document.getElementById("field-" + %q).value`, name))
}
