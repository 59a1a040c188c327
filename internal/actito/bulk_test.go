package actito

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"iter"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

func rowsLike(rows ...LoadRow) iter.Seq2[LoadRow, error] {
	return func(yield func(LoadRow, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

func sampleLoad() Load {
	return Load{
		Entity: "acme", ETLID: "77", KeyAttribute: "emailAddress", Subscriptions: []string{"Newsletter", "Offers, partners"},
		Rows: rowsLike(
			LoadRow{"jane@example.com", []bool{true, false}},
			LoadRow{`a "b", c`, []bool{false, true}},
			LoadRow{" spaced\nÉmile", []bool{false, false}},
		),
	}
}

// noScratch gives the test a folder of its own for temporary files, and fails if
// one is left in it, or left open where the system shows that.
func noScratch(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		open, _ := filepath.Glob("/proc/self/fd/*")
		for _, fd := range open {
			if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, dir) {
				t.Errorf("left open: %s", to)
			}
		}
	})
}

// received takes a call with a load apart.
type received struct{ part, fileName, entry, text string }

func receive(t *testing.T, r *http.Request) received {
	t.Helper()
	form, err := r.MultipartReader()
	if err != nil {
		t.Error(err)
		return received{}
	}
	part, err := form.NextPart()
	if err != nil {
		t.Error(err)
		return received{}
	}
	got := received{part: part.FormName(), fileName: part.FileName()}
	packed, err := io.ReadAll(part)
	if err != nil {
		t.Error(err)
	}
	if _, err := form.NextPart(); !errors.Is(err, io.EOF) {
		t.Errorf("after the file: %v", err)
	}
	archive, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil || len(archive.File) != 1 {
		t.Errorf("zip: %v, %v", archive, err)
		return got
	}
	got.entry = archive.File[0].Name
	file, err := archive.File[0].Open()
	if err != nil {
		t.Error(err)
		return got
	}
	text, err := io.ReadAll(file)
	if err != nil {
		t.Error(err)
	}
	got.text = string(text)
	return got
}

func TestTriggerLoadSendsTheDocumentedFile(t *testing.T) {
	noScratch(t)
	var got received
	f, c := newFake(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength <= 0 || len(r.TransferEncoding) > 0 {
			t.Errorf("length %d, encoding %v", r.ContentLength, r.TransferEncoding)
		}
		got = receive(t, r)
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"id":4711}`)
	})
	id, err := c.TriggerLoad(t.Context(), sampleLoad())
	if err != nil || id != "4711" {
		t.Fatalf("got %q, %v", id, err)
	}
	if want := "POST /mass-imports/v5/entities/acme/etls/77/trigger-execution "; !strings.HasPrefix(f.Seen()[0], want) {
		t.Errorf("called %.100s", f.Seen()[0])
	}
	wantEqual(t, got, received{
		"inputFile", "profiles.zip", "profiles.csv",
		"emailAddress,subscriptions#Newsletter,\"subscriptions#Offers, partners\"\r\n" +
			"jane@example.com,TRUE,FALSE\r\n" +
			"\"a \"\"b\"\", c\",FALSE,TRUE\r\n" +
			"\" spaced\nÉmile\",FALSE,FALSE\r\n",
	})
	records, err := csv.NewReader(strings.NewReader(got.text)).ReadAll()
	if err != nil || records[2][0] != `a "b", c` || records[3][0] != " spaced\nÉmile" {
		t.Errorf("read back: %q, %v", records, err)
	}
}

func TestRowBytesIsABound(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"a", `"`, `""""`, "jane@example.com", "é, è", " "} {
		for columns := range 3 {
			row := appendRow(nil, LoadRow{key, make([]bool, columns)})
			if len(row) > RowBytes(key, columns) {
				t.Errorf("%q: %d bytes, bound %d", row, len(row), RowBytes(key, columns))
			}
		}
	}
	wantEqual(t, LoadColumns("id", []string{"A"}), []string{"id", "subscriptions#A"})
}

func TestLoadableKey(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]bool{
		"": false, "a": true, `a "b", c`: true, "a\nb": false, "a\rb": false, "a\x00": false, "\xff": false,
		strings.Repeat("é", 255): true, strings.Repeat("é", 256): false,
	} {
		if LoadableKey(key) != want {
			t.Errorf("%q: not %v", key, want)
		}
	}
}

func TestTriggerLoadSendsNothing(t *testing.T) {
	noScratch(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	broken := errors.New("the store is gone")
	for name, test := range map[string]struct {
		ctx    context.Context
		change func(*Load)
		want   consent.Kind
	}{
		"an error in the rows": {t.Context(), func(l *Load) {
			l.Rows = func(yield func(LoadRow, error) bool) {
				_ = yield(LoadRow{"a", []bool{true, true}}, nil) && yield(LoadRow{}, broken)
			}
		}, consent.Internal},
		"a row too short":         {t.Context(), func(l *Load) { l.Rows = rowsLike(LoadRow{"a", []bool{true}}) }, consent.Invalid},
		"a row without a key":     {t.Context(), func(l *Load) { l.Rows = rowsLike(LoadRow{"", []bool{true, true}}) }, consent.Invalid},
		"no rows":                 {t.Context(), func(l *Load) { l.Rows = rowsLike() }, consent.Invalid},
		"no subscriptions":        {t.Context(), func(l *Load) { l.Subscriptions = nil }, consent.Invalid},
		"an ETL that climbs":      {t.Context(), func(l *Load) { l.ETLID = ".." }, consent.Invalid},
		"a context that is ended": {gone, func(*Load) {}, consent.Transient},
		"too many bytes": {t.Context(), func(l *Load) {
			l.Rows = rowsLike(LoadRow{"a", []bool{true, true}}, LoadRow{strings.Repeat("k", MaxLoadBytes-60), []bool{true, true}})
		}, consent.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			f, c := newFake(t, nil, always(202, `{"id":1}`))
			l := sampleLoad()
			test.change(&l)
			id, err := c.TriggerLoad(test.ctx, l)
			wantKind(t, err, test.want)
			if test.want == consent.Internal && !errors.Is(err, broken) {
				t.Errorf("the cause is lost: %v", err)
			}
			if id != "" || len(f.Seen()) > 0 {
				t.Errorf("id %q, called %d times", id, len(f.Seen()))
			}
		})
	}
}

func TestTriggerLoadThatIsGivenUpReadsNoFurther(t *testing.T) {
	noScratch(t)
	f, c := newFake(t, nil, always(202, `{"id":1}`))
	ctx, cancel := context.WithCancel(t.Context())
	l, read := sampleLoad(), 0
	l.Rows = func(yield func(LoadRow, error) bool) {
		for read < 100 && yield(LoadRow{"a", []bool{true, true}}, nil) {
			read++
			cancel()
		}
	}
	_, err := c.TriggerLoad(ctx, l)
	wantKind(t, err, consent.Transient)
	if read > 1 || len(f.Seen()) > 0 {
		t.Errorf("read %d rows, called %d times", read, len(f.Seen()))
	}
}

func TestTriggerLoadRenewsTheTokenOnceAndSendsTheFileAgain(t *testing.T) {
	noScratch(t)
	var mu sync.Mutex
	var texts []string
	refusals := 1
	f, c := newFake(t, nil, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		texts = append(texts, receive(t, r).text)
		if len(texts) <= refusals {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"id":1}`)
	})
	if id, err := c.TriggerLoad(t.Context(), sampleLoad()); err != nil || id != "1" {
		t.Fatalf("got %q, %v", id, err)
	}
	if len(texts) != 2 || texts[0] != texts[1] || texts[0] == "" || f.TokenCalls() != 2 {
		t.Errorf("%d tokens, files %q", f.TokenCalls(), texts)
	}
	texts, refusals = nil, 9
	_, err := c.TriggerLoad(t.Context(), sampleLoad())
	wantKind(t, err, consent.Unauthorized)
	wantEqual(t, len(texts), 2)
}

// A large file takes longer than any other call may.
func TestFilesHaveATimeoutOfTheirOwn(t *testing.T) {
	t.Parallel()
	f, _ := newFake(t, nil, func(w http.ResponseWriter, r *http.Request) {
		body := map[string]string{
			"/mass-imports/v5/entities/acme/etls/77/trigger-execution": `{"id":12}`,
			"/mass-imports/v5/entities/acme/etl-executions/12":         `{"status":"SUCCESS","errorFile":"/errors.csv"}`,
		}[r.URL.Path]
		_, _ = io.WriteString(w, cmp.Or(body, "key,reason\r\n"))
	})
	left := map[string]time.Duration{}
	c := NewClient(outbound.New(outbound.Options{Timeout: time.Minute, Network: noting(func(r *http.Request) {
		deadline, _ := r.Context().Deadline()
		left[path.Base(r.URL.Path)] = time.Until(deadline).Round(time.Minute)
	})}), f.URL, apiKey)
	if _, err := c.TriggerLoad(t.Context(), sampleLoad()); err != nil {
		t.Error(err)
	}
	if result, err := c.LoadResult(t.Context(), "acme", "12", "emailAddress"); err != nil || !result.Told {
		t.Errorf("%+v, %v", result, err)
	}
	wantEqual(t, left, map[string]time.Duration{
		"token": time.Minute, "trigger-execution": 10 * time.Minute, "12": time.Minute, "errors.csv": 10 * time.Minute,
	})
}

// noting looks at requests on their way to the network.
type noting func(*http.Request)

func (n noting) RoundTrip(r *http.Request) (*http.Response, error) {
	n(r)
	return http.DefaultTransport.RoundTrip(r)
}

func TestTriggerLoadKindsOfFailure(t *testing.T) {
	noScratch(t)
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    consent.Kind
	}{
		"no such ETL":      {always(404, ""), consent.NotFound},
		"a refused file":   {always(400, ""), consent.Invalid},
		"a large file":     {always(413, ""), consent.TooLarge},
		"the day's limit":  {always(429, ""), consent.RateLimited},
		"not available":    {always(503, ""), consent.Transient},
		"a failure":        {always(500, ""), consent.Unclear},
		"a gateway's":      {always(504, ""), consent.Unclear},
		"no id":            {always(202, `{"status":"accepted"}`), consent.Unclear},
		"no JSON":          {always(200, `<html>`), consent.Unclear},
		"the ETL's own id": {always(202, `{"id":"77"}`), consent.Unclear},
		"a reset":          {abort, consent.Unclear},
	} {
		t.Run(name, func(t *testing.T) {
			f, c := newFake(t, nil, test.handler)
			id, err := c.TriggerLoad(t.Context(), sampleLoad())
			wantKind(t, err, test.want)
			if id != "" || len(f.Seen()) != 1 {
				t.Errorf("id %q, called %d times", id, len(f.Seen()))
			}
		})
	}
}

func TestTriggerLoadHidesTheKeys(t *testing.T) {
	t.Parallel()
	_, c := newFake(t, nil, always(400, `{"message":"column \"subscriptions#Newsletter\": row Customer-Zoe is wrong, CUSTOMER-ZOE too, and Ad\u00e8le"}`))
	l := sampleLoad()
	l.Rows = rowsLike(LoadRow{"customer-zoe", []bool{true, true}}, LoadRow{"Adèle", []bool{true, true}}, LoadRow{"other", []bool{true, true}})
	_, err := c.TriggerLoad(t.Context(), l)
	wantKind(t, err, consent.Invalid)
	said := consent.MessageOf(err)
	for _, secret := range []string{"oe", "Ad"} {
		if strings.Contains(said, secret) {
			t.Errorf("%q is in %s", secret, said)
		}
	}
	if !strings.Contains(said, "subscriptions#Newsletter") {
		t.Errorf("nothing useful is left in %s", said)
	}
	l.Rows = func(yield func(LoadRow, error) bool) {
		for c := range strings.SplitSeq("abcdefghijklmnopqrstuvwxyz", "") {
			for range 9 {
				if !yield(LoadRow{c, []bool{true, true}}, nil) {
					return
				}
			}
		}
	}
	_, err = c.TriggerLoad(t.Context(), l)
	if said := consent.MessageOf(err); strings.Contains(said, "column") {
		t.Errorf("with too many keys to hide it says %s", said)
	}
}

func TestTriggerLoadReadsTheID(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ body, location, want string }{
		{body: `{"id":4711}`, want: "4711"},
		{body: `{"id":"4711"}`, want: "4711"},
		{body: `{"executionId":"a-1","id":"9"}`, want: "a-1"},
		{body: `{"etl":{"id":77},"execution":{"id":12}}`, want: "12"},
		{body: `{"id":"77","etlExecutionId":12}`, want: "12"},
		{body: `{"data":{"etl.id":"77","etl.executionId":"12"}}`, want: "12"},
		{body: `{"data":{"id":12}}`, want: "12"},
		{body: `12`, want: "12"},
		{body: `"0b1c-12"`, want: "0b1c-12"},
		{body: `"accepted"`},
		{body: `{"id":77,"_links":{"self":{"href":"/mass-imports/v5/entities/acme/etl-executions/12"},"etl":{"href":"/x/etls/77"}}}`, want: "12"},
		{location: "https://api.example.com/mass-imports/v5/entities/acme/etl-executions/12?x=1", want: "12"},
		{location: "/somewhere/12"},
		{body: `{"requester":{"id":12}}`},
		{body: `{"id":".."}`},
		{body: `{"id":"a/b"}`},
		{body: `{}`},
		{body: ``},
		{body: `null`},
		{body: `[]`},
	} {
		_, c := newFake(t, nil, func(w http.ResponseWriter, _ *http.Request) {
			if test.location != "" {
				w.Header().Set("Location", test.location)
			}
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, test.body)
		})
		id, err := c.TriggerLoad(t.Context(), sampleLoad())
		if id != test.want || (test.want == "") != (consent.KindOf(err) == consent.Unclear && err != nil) {
			t.Errorf("%s %s: got %q, %v; want %q", test.body, test.location, id, err, test.want)
		}
	}
}
