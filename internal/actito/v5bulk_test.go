package actito

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

func readRefused(t *testing.T, r LoadResult) []RefusedRow {
	t.Helper()
	var rows []RefusedRow
	if r.Refused == nil {
		return nil
	}
	for row, err := range r.Refused {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

func TestLoadStates(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]LoadState{
		"SUCCESS": LoadSucceeded, "success": LoadSucceeded, "Completed": LoadSucceeded, "FINISHED": LoadSucceeded,
		"DONE": LoadSucceeded, "SUCCESS_WITH_ERRORS": LoadSucceeded, "completed with errors": LoadSucceeded,
		"PARTIAL-SUCCESS": LoadSucceeded, "FINISHED_WITHOUT_ERRORS": LoadSucceeded,
		"RUNNING": LoadRunning, "PENDING": LoadRunning, "IN_PROGRESS": LoadRunning, "QUEUED": LoadRunning,
		"CANCELLING": LoadRunning, "what is this": LoadRunning, "": LoadRunning,
		"ERROR": LoadFailed, "FAILED": LoadFailed, "IN_ERROR_X": LoadRunning, "ABORTED": LoadFailed, "CANCELED": LoadFailed,
		"REJECTED": LoadFailed, "UNSUCCESSFUL": LoadFailed, "TECHNICAL_ERROR": LoadFailed,
	} {
		if got, _ := stateOf(status); got != want {
			t.Errorf("%q: got %v, want %v", status, got, want)
		}
	}
}

func TestLoadResultShapes(t *testing.T) {
	t.Parallel()
	ada, ben := RefusedRow{0, "ada", "unknown"}, RefusedRow{3, "ben", ""}
	for _, test := range []struct {
		body    string
		state   LoadState
		told    bool
		refused []RefusedRow
	}{
		// Nothing about rows.
		{`{"id":1,"status":"SUCCESS"}`, LoadSucceeded, false, nil},
		{`{"status":"SUCCESS","rows":10,"warnings":[]}`, LoadSucceeded, false, nil},
		{`{"status":"SUCCESS","error":0}`, LoadSucceeded, false, nil},
		{`{"status":"SUCCESS","error":null,"errors":null}`, LoadSucceeded, false, nil},
		{`{"status":"SUCCESS","maxErrors":0,"ignoredColumns":[]}`, LoadSucceeded, false, nil},
		{`{"status":"RUNNING","rowsInError":0}`, LoadRunning, false, nil},
		{`{"status":"FAILED","rowErrors":[{"key":"ada"}]}`, LoadFailed, false, nil},
		{`{}`, LoadRunning, false, nil},
		// Numbers.
		{`{"status":"SUCCESS","rowsInError":0}`, LoadSucceeded, true, nil},
		{`{"status":"SUCCESS","result":{"errorCount":"0"}}`, LoadSucceeded, true, nil},
		{`{"status":"SUCCESS","errors":{"count":0}}`, LoadSucceeded, true, nil},
		{`{"status":"SUCCESS","rows":{"total":5,"rejected":0}}`, LoadSucceeded, true, nil},
		{`{"status":"SUCCESS","withErrors":false}`, LoadSucceeded, true, nil},
		{`{"status":"SUCCESS","withErrors":true}`, LoadSucceeded, false, nil},
		{`{"status":"SUCCESS","withErrors":true,"rowErrors":[]}`, LoadSucceeded, false, nil},
		{`{"status":"SUCCESS","rowsInError":3}`, LoadSucceeded, false, nil},
		{`{"status":"SUCCESS","rowsInError":-1}`, LoadSucceeded, false, nil},
		{`{"status":"SUCCESS","rowsInError":0,"rowsIgnored":2}`, LoadSucceeded, false, nil},
		{`{"status":"SUCCESS","rowsInError":0,"error":"the disk was full"}`, LoadSucceeded, false, nil},
		{`{"status":"SUCCESS_WITH_ERRORS","rowsInError":0}`, LoadSucceeded, false, nil},
		{`{"status":"SUCCESS_WITH_ERRORS","rowErrors":[]}`, LoadSucceeded, false, nil},
		// Lists.
		{`{"status":"SUCCESS","rowErrors":[]}`, LoadSucceeded, true, nil},
		{`{"status":"SUCCESS","rowErrors":[{"key":"ada","message":"unknown"}]}`, LoadSucceeded, true, []RefusedRow{ada}},
		{`{"status":"SUCCESS_WITH_ERRORS","rowsInError":2,"rowErrors":[{"key":"ada","message":"unknown"},{"line":4,"id":"ben"}]}`, LoadSucceeded, true, []RefusedRow{ada, ben}},
		{`{"status":"SUCCESS","errors":[{"key":"id","value":"ada","error":{"message":"unknown"}},{"row":3,"data":{"id":"ben"}}]}`, LoadSucceeded, true, []RefusedRow{ada, ben}},
		{`{"status":"SUCCESS","rejected":{"rows":[{"profileKey":"id=ada","reason":"unknown"},{"rowNumber":3,"key":{"id":"ben"}}]}}`, LoadSucceeded, true, []RefusedRow{ada, ben}},
		{`{"status":"SUCCESS","ignored":[{"key":"ada","message":"unknown"}],"rowsInError":0}`, LoadSucceeded, true, []RefusedRow{ada}},
		// Lists that do not name all.
		{`{"status":"SUCCESS","rowsInError":3,"rowErrors":[{"key":"ada","message":"unknown"},{"row":3,"key":"ben"}]}`, LoadSucceeded, false, []RefusedRow{ada, ben}},
		{`{"status":"SUCCESS","rowsInError":2,"rowErrors":[{"row":3,"key":"ben"},{"row":3,"key":"ben"}]}`, LoadSucceeded, false, []RefusedRow{ben, ben}},
		{`{"status":"SUCCESS","rowErrors":[{"row":7,"message":"unknown"}]}`, LoadSucceeded, true, []RefusedRow{{7, "", "unknown"}}},
		{`{"status":"SUCCESS","rowsInError":2,"rowErrors":[{"row":7},{"row":7}]}`, LoadSucceeded, false, []RefusedRow{{Row: 7}, {Row: 7}}},
		{`{"status":"SUCCESS","rowErrors":["unknown"]}`, LoadSucceeded, false, []RefusedRow{{0, "", "unknown"}}},
		{`{"status":"SUCCESS","rowsInError":0,"rowErrors":[{"attribute":"age","value":"ada"}]}`, LoadSucceeded, false, []RefusedRow{{}}},
		// Where the status stands.
		{`{"data":{"etl.executionStatus":"SUCCESS"},"status":"RUNNING"}`, LoadSucceeded, false, nil},
		{`{"etl":{"status":"OK"},"execution":{"status":"RUNNING"},"rowsInError":0}`, LoadRunning, false, nil},
		{`{"etl":{"status":"SUCCESS"},"rowsInError":0}`, LoadRunning, false, nil},
		{`{"status":{"code":"SUCCESS"},"rowsInError":0}`, LoadSucceeded, true, nil},
	} {
		f, c := newFake(t, nil, always(200, test.body))
		got, err := c.LoadResult(t.Context(), "acme", "12", "id")
		if err != nil {
			t.Errorf("%s: %v", test.body, err)
			continue
		}
		if got.State != test.state || got.Told != test.told {
			t.Errorf("%s: state %v, told %v; want %v, %v", test.body, got.State, got.Told, test.state, test.told)
		}
		if refused := readRefused(t, got); fmt.Sprint(refused) != fmt.Sprint(test.refused) {
			t.Errorf("%s: refused %v, want %v", test.body, refused, test.refused)
		}
		wantEqual(t, f.Seen(), []string{"GET /mass-imports/v5/entities/acme/etl-executions/12"})
	}
}

func TestLoadResultErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		handler http.HandlerFunc
		want    consent.Kind
	}{
		{always(404, ""), consent.NotFound},
		{always(500, ""), consent.Transient},
		{always(200, "<html>"), consent.Transient},
		{always(200, "null"), consent.Transient},
		{always(200, `{"status":"SUCCESS","rowErrors":[`), consent.Transient},
		{always(200, `{"a":`+strings.Repeat(`{"a":`, 20)+`1`+strings.Repeat(`}`, 21)), consent.Transient},
		{func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"status":"SUCCESS","rowsInError":0}`)
		}, consent.Transient},
	} {
		_, c := newFake(t, nil, test.handler)
		_, err := c.LoadResult(t.Context(), "acme", "12", "id")
		wantKind(t, err, test.want)
	}
}

func TestLoadResultMasksReasons(t *testing.T) {
	t.Parallel()
	_, c := newFake(t, nil, steps(
		200, `{"status":"FAILED","message":"line 3: the value \"Zoe\" of zoe@example.com, customer C-12345, `+strings.Repeat("x ", 110)+`\"Adam is`+strings.Repeat(" cut", 90)+`\""}`,
		200, `{"status":"SUCCESS","rowErrors":[{"key":"Zoe","message":"ZOE is unknown"},{"key":"ben","message":"is unknown"}]}`,
	))
	failed, err := c.LoadResult(t.Context(), "acme", "12", "id")
	if err != nil {
		t.Fatal(err)
	}
	if len([]rune(failed.Reason)) > outbound.MaxExcerpt || !strings.Contains(failed.Reason, "line 3: the value") {
		t.Errorf("reason %s", failed.Reason)
	}
	for _, secret := range []string{"Zoe", "example", "12345", "Adam", apiKey} {
		if strings.Contains(failed.Reason, secret) {
			t.Errorf("%s is in %s", secret, failed.Reason)
		}
	}
	result, err := c.LoadResult(t.Context(), "acme", "12", "id")
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, readRefused(t, result), []RefusedRow{{0, "Zoe", "… is unknown"}, {0, "ben", "is unknown"}})
	for _, err := range result.Refused {
		if err == nil {
			t.Error("read a second time, it gives rows")
		}
	}
}

func zipOf(name, text string) string {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, _ := w.Create(name)
	_, _ = io.WriteString(f, text)
	_ = w.Close()
	return b.String()
}

func gzipOf(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

func TestLoadResultFiles(t *testing.T) {
	noScratch(t)
	linked := func(more, name string) string {
		return `{"status":"SUCCESS"` + more + `,"_links":{"` + name + `":{"href":"/mass-imports/v5/x/file?part=1"}}}`
	}
	ben := []RefusedRow{{2, "ben", "unknown"}}
	all := "row,id,error\n1,ada,\n2,ben,unknown\n"
	for name, test := range map[string]struct {
		body, file string
		told       bool
		refused    []RefusedRow
	}{
		"of all rows":                      {linked("", "resultFile"), all, true, ben},
		"of refused rows":                  {linked("", "errors"), "row,id,error\n2,ben,unknown\n", true, ben},
		"without a reason":                 {linked("", "rejectedRows"), "line;id\r\n3;ben\r\n", true, []RefusedRow{{2, "ben", ""}}},
		"with a byte order mark":           {linked("", "errors"), "\xef\xbb\xbfid\trow\treason\nben\t2\tunknown\n", true, ben},
		"zipped":                           {linked("", "resultFile"), zipOf("a.csv", all), true, ben},
		"gzipped":                          {linked("", "resultFile"), gzipOf(all), true, ben},
		"no refused rows":                  {linked("", "errors"), "row,id,error\n", true, nil},
		"no refused rows of all":           {linked("", "resultFile"), "row,id,error\n1,ada,\n", true, nil},
		"a number that fits":               {linked(`,"rowsInError":1`, "resultFile"), all, true, ben},
		"a status that is not good":        {linked("", "resultFile"), "id,status,error\nada,OK,\nben,WAITING,\n", true, []RefusedRow{{0, "ben", ""}}},
		"fewer than the number told":       {linked(`,"rowsInError":2`, "resultFile"), all, false, nil},
		"fewer than the partial status":    {strings.Replace(linked("", "errors"), "SUCCESS", "PARTIAL", 1), "id,error\n", false, nil},
		"of all rows, empty":               {linked("", "resultFile"), "row,id,error\n", false, nil},
		"of all rows, without reasons":     {linked("", "resultFile"), "row,id\n1,ada\n", false, nil},
		"numbers instead of keys":          {linked("", "errors"), "row,error\n2,unknown\n", false, nil},
		"nothing that names a row":         {linked("", "errors"), "error\nunknown\n", false, nil},
		"empty":                            {linked("", "errors"), "", false, nil},
		"a row cut short":                  {linked("", "errors"), "row,id,error\n2,ben\n", false, nil},
		"a page":                           {linked("", "errors"), "<html>no</html>", false, nil},
		"half a zip":                       {linked("", "errors"), zipOf("a.csv", all)[:60], false, nil},
		"a link of another sort":           {linked("", "self"), all, false, nil},
		"a list of links":                  {`{"status":"SUCCESS","links":[{"rel":"errors","href":"/mass-imports/v5/x/file?part=1"}]}`, "id,error\n", true, nil},
		"a link as a text":                 {`{"status":"SUCCESS","resultFile":"/mass-imports/v5/x/file?part=1"}`, all, true, ben},
		"a link to the host by its name":   {strings.Replace(linked("", "errors"), "/mass", "http://HOST/mass", 1), "id,error\n", true, nil},
		"a list without keys, and a file":  {linked(`,"rowErrors":[{"row":2}]`, "resultFile"), all, true, ben},
		"a longer list, and a file":        {linked(`,"rowErrors":[{"row":2},{"row":3}]`, "resultFile"), all, false, []RefusedRow{{2, "", ""}, {3, "", ""}}},
		"a file that is not needed at all": {linked(`,"rowsInError":0`, "resultFile"), "<html>", true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, c := newFake(t, nil, serveResult(test.body, test.file))
			got, err := c.LoadResult(t.Context(), "acme", "12", "id")
			if err != nil {
				t.Fatal(err)
			}
			if refused := readRefused(t, got); got.Told != test.told || fmt.Sprint(refused) != fmt.Sprint(test.refused) {
				t.Errorf("told %v, refused %v; want %v, %v", got.Told, refused, test.told, test.refused)
			}
		})
	}
}

// serveResult answers an execution, with the host's name in it, and the file
// that it links to.
func serveResult(body, file string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/etl-executions/12") {
			_, _ = io.WriteString(w, strings.ReplaceAll(body, "HOST", r.Host))
			return
		}
		if r.URL.Path != "/mass-imports/v5/x/file" || r.URL.RawQuery != "part=1" || r.Header.Get("Accept") != "*/*" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, file)
	}
}

func TestLoadResultFileThatCannotBeHadNow(t *testing.T) {
	noScratch(t)
	body := `{"status":"SUCCESS","_links":{"errors":{"href":"/file"}}}`
	for status, want := range map[int]consent.Kind{500: consent.Transient, 503: consent.Transient, 429: consent.RateLimited} {
		_, c := newFake(t, nil, steps(200, body, status, ""))
		_, err := c.LoadResult(t.Context(), "acme", "12", "id")
		wantKind(t, err, want)
	}
	for _, status := range []int{302, 403, 404, 410} {
		_, c := newFake(t, nil, steps(200, body, status, ""))
		if got, err := c.LoadResult(t.Context(), "acme", "12", "id"); err != nil || got.Told {
			t.Errorf("%d: %+v, %v", status, got, err)
		}
	}
}

func TestLoadResultStaysOnItsHost(t *testing.T) {
	t.Parallel()
	other, _ := newFake(t, nil, always(200, "id,error\n"))
	for _, href := range []string{
		other.URL + "/file", strings.TrimPrefix(other.URL, "http:") + "/file", "file", "//", "/a/../file", "/a//file",
		`\\` + strings.TrimPrefix(other.URL, "http://") + "/file", "ftp://HOST/file", "http://user@HOST/file", "javascript:1", "http:file",
	} {
		_, c := newFake(t, nil, func(w http.ResponseWriter, r *http.Request) {
			body := `{"status":"SUCCESS","_links":{"errors":{"href":"` + strings.ReplaceAll(href, `\`, `\\`) + `"}}}`
			if !strings.HasSuffix(r.URL.Path, "/12") {
				body = "id,error\n"
			}
			_, _ = io.WriteString(w, strings.ReplaceAll(body, "HOST", r.Host))
		})
		got, err := c.LoadResult(t.Context(), "acme", "12", "id")
		if err != nil || got.Told {
			t.Errorf("%s: %+v, %v", href, got, err)
		}
	}
	if n := other.TokenCalls() + len(other.Seen()); n > 0 {
		t.Errorf("another host was called %d times", n)
	}
}

func TestResultFileBelowTheBaseURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ base, href, want string }{
		{"https://h", "/a/b?c=d", "/a/b?c=d"},
		{"https://h/gw", "/a/b", "/a/b"},
		{"https://h/gw", "/gw/a", "/a"},
		{"https://h/gw", "https://H/gw/a%20b", "/a%20b"},
		{"https://h/gw", "https://h/a", ""},
		{"https://h", "http://h/a", ""},
		{"https://h", "https://h:8443/a", ""},
	} {
		got, ok := v5{}.resultFile(test.base, resultLink{href: test.href})
		if ok != (test.want != "") || ok && got.path != test.want {
			t.Errorf("%s, %s: got %q, %v", test.base, test.href, got.path, ok)
		}
	}
}
