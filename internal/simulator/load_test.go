package simulator

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const importsPath = "/mass-imports/v5/entities/acme/"

// form makes a multipart body of the files.
func form(files ...string) (body []byte, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, file := range files {
		part, _ := w.CreateFormFile("inputFile", "profiles.csv")
		_, _ = io.WriteString(part, file)
	}
	_ = w.Close()
	return b.Bytes(), w.FormDataContentType()
}

// trigger hands a file to an ETL and gives the status and the execution's id.
func (b *bench) trigger(etl, file string) (status int, id string) {
	b.t.Helper()
	body, contentType := form(file)
	r := httptest.NewRequest(http.MethodPost, importsPath+"etls/"+etl+"/trigger-execution", bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+b.token)
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	func() {
		defer func() { _ = recover() }() // a reset
		b.ServeHTTP(w, r)
		status = w.Code
	}()
	var out struct{ ID string }
	_ = json.Unmarshal(w.Body.Bytes(), &out)
	return status, out.ID
}

// load triggers a load that has to be taken, and waits for its end.
func (b *bench) load(etl, file string) map[string]any {
	b.t.Helper()
	status, id := b.trigger(etl, file)
	if status != http.StatusAccepted || id == "" {
		b.t.Fatalf("trigger: %d, execution %q", status, id)
	}
	b.SettleLoads()
	return b.want("GET", importsPath+"etl-executions/"+id, "", 200)
}

func (b *bench) put(email string, on bool) {
	b.t.Helper()
	_, err := b.PutProfile(SampleEntity, SampleTableID, map[string]any{"emailAddress": email}, map[string]bool{"Newsletter": on})
	if err != nil {
		b.t.Fatal(err)
	}
}

// atOnce makes loads take no time.
func atOnce(opts ActitoOptions) ActitoOptions {
	opts.LoadDelay, opts.LoadRowsPerSecond, opts.MaxConcurrent, opts.CallsPerMinute = -1, -1, -1, -1
	return opts
}

func errorsIn(t *testing.T, execution map[string]any) string {
	t.Helper()
	list, ok := execution["rowErrors"].([]any)
	if !ok {
		t.Fatalf("no list of refused rows in %v", execution)
	}
	var lines []string
	for _, e := range list {
		row := e.(map[string]any)
		lines = append(lines, fmt.Sprintf("%v %v: %v", row["row"], row["key"], row["message"]))
	}
	return strings.Join(lines, "\n")
}

func TestLoadChangesTheColumnsOfTheFile(t *testing.T) {
	t.Parallel()
	b := direct(t, atOnce(ActitoOptions{}))
	_, err := b.PutProfile(SampleEntity, SampleTableID,
		map[string]any{"emailAddress": "ben@example.com", "firstName": "Ben", "vip": true}, map[string]bool{"Newsletter": true})
	if err != nil {
		t.Fatal(err)
	}
	var changes []Change
	b.OnChange(func(c Change) { changes = append(changes, c) })
	got := b.load(SampleETL, "subscriptions#Newsletter,emailAddress,firstName,vip,subscriptions#SmsAlerts\r\n"+
		"FALSE,anna@example.com,\"A\"\"nna, B\",N,y\r\n"+
		",ben@example.com,,,1\n")
	if got["status"] != "SUCCESS" || got["rows"] != 2.0 || got["rowsInError"] != 0.0 || errorsIn(t, got) != "" {
		t.Errorf("execution: %v", got)
	}
	anna, _ := b.Profile(SampleEntity, SampleTableID, "emailAddress", "anna@example.com")
	if anna.Subscriptions["Newsletter"] || !anna.Subscriptions["SmsAlerts"] ||
		anna.Attributes["firstName"] != `A"nna, B` || anna.Attributes["vip"] != false || anna.Attributes["age"] != int64(42) {
		t.Errorf("anna: %+v", anna)
	}
	ben, _ := b.Profile(SampleEntity, SampleTableID, "emailAddress", "ben@example.com")
	if len(ben.Attributes) != 1 || ben.Subscriptions["Newsletter"] || !ben.Subscriptions["SmsAlerts"] {
		t.Errorf("ben: %+v", ben)
	}
	if len(changes) != 2 || changes[0].Load != got["id"] || changes[0].Kind != KindUpdate ||
		!changes[0].Before.Subscriptions["Newsletter"] || changes[0].After.Subscriptions["Newsletter"] {
		t.Errorf("changes: %+v", changes)
	}
}

func TestLoadRefusesRows(t *testing.T) {
	t.Parallel()
	b := direct(t, atOnce(ActitoOptions{}))
	b.put("ben@example.com", false)
	b.put("eve@example.com", false)
	b.RefuseInLoads(func(key string) string {
		if strings.HasPrefix(key, "eve") {
			return "not today"
		}
		return ""
	})
	file := "emailAddress,age,subscriptions#Newsletter\n" +
		"anna@example.com,7,FALSE\n" +
		"nobody@example.com,7,TRUE\n" +
		"ben@example.com,seven,TRUE\n" +
		"ben@example.com,8,TRUE\n" +
		"eve@example.com,8,TRUE\n" +
		",8,TRUE\n" +
		"x\n" +
		"dan@example.com,8,perhaps\n" +
		"fay@\xff.com,8,TRUE\n"
	got := b.load(SampleETL, file)
	want := strings.Join([]string{
		"2 nobody@example.com: there is no such profile",
		"3 ben@example.com: age: this is not a value of type INTEGER",
		"4 ben@example.com: the key stands in the file twice",
		"5 eve@example.com: not today",
		"6 : the key is empty",
		"7 : the row has 1 cells, the header 3",
		"8 dan@example.com: subscription Newsletter takes TRUE or FALSE",
		"9 fay@\ufffd.com: the row is not UTF-8",
	}, "\n")
	if said := errorsIn(t, got); said != want {
		t.Errorf("got\n%s\nwant\n%s", said, want)
	}
	if got["status"] != "SUCCESS_WITH_ERRORS" || got["rows"] != 9.0 || got["rowsInError"] != 8.0 || b.newsletter() {
		t.Errorf("execution: %v", got)
	}
	if n := len(b.Profiles(SampleEntity, SampleTableID)); n != 3 {
		t.Errorf("%d profiles", n)
	}
	made := b.load(SampleETLUpsert, "emailAddress,subscriptions#Newsletter\nnobody@example.com,TRUE\nnonsense,TRUE\n")
	if said := errorsIn(t, made); said != "2 nonsense: emailAddress: this is not a value of type EMAIL_ADDRESS" {
		t.Error(said)
	}
	p, ok := b.Profile(SampleEntity, SampleTableID, "emailAddress", "nobody@example.com")
	if !ok || !p.Subscriptions["Newsletter"] || p.Subscriptions["SmsAlerts"] {
		t.Errorf("made: %+v, %v", p, ok)
	}
}

func zipOf(files ...string) string {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, text := range files {
		f, _ := w.Create(strconv.Itoa(i))
		_, _ = io.WriteString(f, text)
	}
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

func TestLoadFiles(t *testing.T) {
	t.Parallel()
	const good = "emailAddress,subscriptions#Newsletter\nanna@example.com,FALSE\n"
	b := direct(t, atOnce(ActitoOptions{MaxLoadBytes: 500}))
	for name, test := range map[string]struct {
		etl, file string
		status    int
	}{
		"plain":                     {SampleETL, good, 202},
		"zipped":                    {SampleETL, zipOf(good), 202},
		"gzipped":                   {SampleETL, gzipOf(good), 202},
		"no such ETL":               {"79", good, 404},
		"a byte order mark":         {SampleETL, "\xef\xbb\xbf" + good, 400},
		"without the key":           {SampleETL, "subscriptions#Newsletter\nTRUE\n", 400},
		"an unknown subscription":   {SampleETL, "emailAddress,subscriptions#Nothing\na,TRUE\n", 400},
		"an unknown attribute":      {SampleETL, "emailAddress,nothing\na,TRUE\n", 400},
		"a technical attribute":     {SampleETL, "emailAddress,creationMoment\na,b\n", 400},
		"a column twice":            {SampleETL, "emailAddress,age,age\na,1,1\n", 400},
		"another separator":         {SampleETL, "emailAddress;subscriptions#Newsletter\na;TRUE\n", 400},
		"empty":                     {SampleETL, "", 400},
		"two files in a zip":        {SampleETL, zipOf(good, good), 400},
		"half a zip":                {SampleETL, zipOf(good)[:40], 400},
		"larger than what is taken": {SampleETL, good + strings.Repeat("x", 500), 400},
	} {
		if status, _ := b.trigger(test.etl, test.file); status != test.status {
			t.Errorf("%s: %d, want %d", name, status, test.status)
		}
	}
	b.SettleLoads()
	if loads := b.Loads(); len(loads) != 3 || loads[2].Rows != 1 || loads[2].Status != LoadSucceeded {
		t.Errorf("loads: %+v", loads)
	}
	for name, files := range map[string][]string{"no file": nil, "two files": {good, good}} {
		body, contentType := form(files...)
		r := httptest.NewRequest(http.MethodPost, importsPath+"etls/77/trigger-execution", bytes.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+b.token)
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	b.want("POST", importsPath+"etls/77/trigger-execution", `{}`, 400)
	b.want("GET", importsPath+"etls/77/trigger-execution", "", 405)
	b.want("GET", importsPath+"etl-executions/1", "", 404)
	b.want("GET", importsPath+"etl-executions/1001/more", "", 404)
	b.want("GET", "/profiles/v5/entities/acme/etl-executions/1001", "", 404)
	b.RemoveTable(SampleEntity, SampleTableID)
	if status, _ := b.trigger(SampleETL, good); status != http.StatusNotFound {
		t.Errorf("without the table: %d", status)
	}
}

func TestLoadNeedsRights(t *testing.T) {
	t.Parallel()
	b := direct(t, atOnce(ActitoOptions{}))
	b.AddKey("reader", RightReadImports, RightWriteProfiles)
	b.token = b.fetchToken("reader")
	b.want("GET", importsPath+"etl-executions/1", "", 404)
	if status, _ := b.trigger(SampleETL, "emailAddress\na\n"); status != http.StatusForbidden {
		t.Errorf("trigger: %d", status)
	}
	b.AddKey("writer", RightWriteImports)
	b.token = b.fetchToken("writer")
	b.want("GET", importsPath+"etl-executions/1", "", 403)
}

func TestLoadTakesItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := direct(t, ActitoOptions{LoadRowsPerSecond: 100})
		var file strings.Builder
		file.WriteString("emailAddress\n")
		for i := range 400 {
			fmt.Fprintf(&file, "p%d@example.com\n", i)
		}
		start := time.Now()
		_, id := b.trigger(SampleETLUpsert, file.String())
		path := importsPath + "etl-executions/" + id
		time.Sleep(1900 * time.Millisecond)
		if got := b.want("GET", path, "", 200); got["status"] != "RUNNING" || got["rows"] != nil || len(b.Profiles(SampleEntity, SampleTableID)) != 1 {
			t.Errorf("before the delay is over: %v", got)
		}
		time.Sleep(2 * time.Second)
		if n := len(b.Profiles(SampleEntity, SampleTableID)); n < 150 || n > 250 {
			t.Errorf("%d profiles half way", n)
		}
		b.SettleLoads()
		if took := time.Since(start); took < 5800*time.Millisecond || took > 6200*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		if got := b.want("GET", path, "", 200); got["status"] != "SUCCESS" || got["rows"] != 400.0 {
			t.Errorf("at the end: %v", got)
		}
	})
}

func TestCloseEndsLoads(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{LoadDelay: time.Hour})
	b.trigger(SampleETL, "emailAddress,subscriptions#Newsletter\nanna@example.com,FALSE\n")
	b.Close()
	if loads := b.Loads(); loads[0].Status != LoadRunning || !b.newsletter() {
		t.Errorf("after the end: %+v", loads)
	}
}

func TestLoadsADay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := direct(t, atOnce(ActitoOptions{TokenLife: 100 * time.Hour, RetryAfter: time.Minute}))
		b.AddTable(SampleEntity, Table{ID: "17", Attributes: []Attribute{{Name: "id", Unique: true}}})
		b.AddETL(SampleEntity, ETL{"90", "17", "id", CreateUpdate})
		for i := range 24 {
			if status, _ := b.trigger([]string{SampleETL, SampleETLUpsert}[i%2], "emailAddress\na\n"); status != 202 {
				t.Fatalf("load %d: %d", i, status)
			}
			time.Sleep(time.Minute)
		}
		wantStatus := func(etl, file string, want int) {
			t.Helper()
			if status, _ := b.trigger(etl, file); status != want {
				t.Errorf("%d, want %d", status, want)
			}
		}
		wantStatus(SampleETL, "nonsense\n", 400)
		wantStatus(SampleETL, "emailAddress\na\n", 429)
		wantStatus("90", "id\na\n", 202)
		time.Sleep(24*time.Hour - 24*time.Minute - time.Second)
		wantStatus(SampleETL, "emailAddress\na\n", 429)
		time.Sleep(time.Second)
		wantStatus(SampleETL, "emailAddress\na\n", 202)
		wantStatus(SampleETL, "emailAddress\na\n", 429)
		b.ResetCounters()
		wantStatus(SampleETL, "emailAddress\na\n", 202)
		b.SettleLoads()
	})
	free := direct(t, atOnce(ActitoOptions{LoadsPerDay: -1}))
	for range 30 {
		if status, _ := free.trigger(SampleETL, "emailAddress\na\n"); status != 202 {
			t.Fatal(status)
		}
	}
	free.SettleLoads()
}

func TestLoadResultForms(t *testing.T) {
	t.Parallel()
	const file = "emailAddress,subscriptions#Newsletter\nanna@example.com,FALSE\n\"no,body\",TRUE\n"
	for form, want := range map[LoadResults]string{
		LoadResultsRows:   "etl id rowErrors rows rowsInError status SUCCESS_WITH_ERRORS",
		LoadResultsCounts: "etl id rows rowsInError status SUCCESS_WITH_ERRORS",
		LoadResultsNone:   "etl id status SUCCESS",
		LoadResultsFile:   "_links etl id status SUCCESS_WITH_ERRORS",
	} {
		b := direct(t, atOnce(ActitoOptions{LoadResults: form}))
		got := b.load(SampleETL, file)
		var names []string
		for name := range got {
			names = append(names, name)
		}
		slices.Sort(names)
		if said := strings.Join(names, " ") + " " + got["status"].(string); said != want {
			t.Errorf("%s: %s", form, said)
		}
		path := importsPath + "etl-executions/1001/row-errors"
		if form != LoadResultsFile {
			b.want("GET", path, "", 404)
			continue
		}
		href := got["_links"].(map[string]any)["rowErrors"].(map[string]any)["href"]
		_, text := b.rawCall(t.Context(), "GET", path, "")
		if href != path || string(text) != "row,key,error\n2,\"no,body\",there is no such profile\n" {
			t.Errorf("%v: %s", href, text)
		}
	}
}
