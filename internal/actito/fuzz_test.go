package actito

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func packed(f *testing.F, text string) (zipFile, gzipFile []byte) {
	f.Helper()
	var z, g bytes.Buffer
	archive := zip.NewWriter(&z)
	w, err := archive.Create("rows.csv")
	if err != nil {
		f.Fatal(err)
	}
	stream := gzip.NewWriter(&g)
	for _, to := range []interface{ Write(p []byte) (int, error) }{w, stream} {
		if _, err := to.Write([]byte(text)); err != nil {
			f.Fatal(err)
		}
	}
	if archive.Close() != nil || stream.Close() != nil {
		f.Fatal("it cannot be packed")
	}
	return z.Bytes(), g.Bytes()
}

// A file about the rows of a load says the same each time it is read, and names
// no more rows than were counted.
func FuzzResultFile(f *testing.F) {
	const rows = "emailAddress;line;error\nana@example.com;2;\nbob@example.com;3;unknown\n"
	z, g := packed(f, rows)
	for _, seed := range [][]byte{[]byte(rows), z, g, []byte("\xef\xbb\xbfrow,message\n1,bad\n"), []byte("key\tstatus\treason\n\"a\nb\"\tOK\t\n"), []byte("PK\x03\x04"), {}} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, content []byte, onlyRefused bool) {
		file, err := newScratch("test")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.Write(content); err != nil {
			t.Fatal(err)
		}
		file.size = int64(len(content))
		table := &resultTable{file: file, key: "emailAddress", onlyRefused: onlyRefused}
		first, err := table.survey()
		again, errAgain := table.survey()
		if (err == nil) != (errAgain == nil) || first.refused != again.refused || first.named() != again.named() {
			t.Errorf("read twice it says %d and %d, %v and %v", first.refused, again.refused, err, errAgain)
		}
		if err != nil {
			return
		}
		n := 0
		for _, err := range table.rows() {
			if err != nil {
				t.Fatalf("a row that was surveyed cannot be read: %v", err)
			}
			n++
		}
		if n != first.refused {
			t.Errorf("%d rows, surveyed were %d", n, first.refused)
		}
	})
}

// Whatever an execution says of itself, only files of the API's own host are
// asked for, since the token goes with each call.
func FuzzExecution(f *testing.F) {
	for _, seed := range []string{
		`{"status":"SUCCESS","numberOfErrors":1,"errors":[{"emailAddress":"ana@example.com","message":"no"}],"links":[{"rel":"errorFile","href":"/v5/files/1"}]}`,
		`{"status":"SUCCESS","links":{"errors":{"href":"https://elsewhere.example/x"},"result":{"href":"//elsewhere.example/x"}}}`,
		`{"data":{"executionId":"12","status":"RUNNING"}}`, `"12"`, `[]`, `{"a":{"a":{"a":{"a":{"a":{"a":{}}}}}}}`, `{"errors":1e999}`,
	} {
		f.Add([]byte(seed))
	}
	const base = "https://api.actito.com/prefix"
	f.Fuzz(func(t *testing.T, body []byte) {
		if id := (v5{}).parseTrigger(Load{ETLID: "7"}, http.Header{"Location": {string(body)}}, body); strings.ContainsAny(id, "/?# \r\n") {
			t.Errorf("the execution is %q", id)
		}
		rep, err := v5{}.parseExecution(body, "emailAddress")
		if err != nil {
			return
		}
		for row, err := range rep.refused() {
			if err == nil && row.Row < 0 {
				t.Errorf("row %d", row.Row)
			}
		}
		_, _ = rep.told(), rep.numbered()
		for _, link := range append(rep.errorFiles, rep.resultFiles...) {
			req, ok := v5{}.resultFile(base, link)
			if !ok {
				continue
			}
			u, err := url.Parse(base + req.path)
			if err != nil || u.Host != "api.actito.com" || u.Scheme != "https" || u.User != nil || !strings.HasPrefix(u.Path, "/prefix/") {
				t.Errorf("%q leads to %s%s, %v", link.href, base, req.path, err)
			}
		}
	})
}

// No answer of the API makes a reader panic, and a token lives for some time.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		`{"accessToken":"t","expiresIn":3600}`, `{"access_token":"t","expires_in":"1e30"}`, `[{"id":1,"name":"acme"}]`, `{"data":{"tables":[{"id":"x"}]}}`,
		`{"attributes":[{"name":"a","valueType":"STRING","unique":true,"maxLength":10}],"subscriptions":["News"]}`, `{"profile":{"attributes":{"a":null},"subscriptions":[{"name":"News","subscribe":true}]}}`, `null`, `0`, "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if token, life, err := parseToken(body); err == nil && (token == "" || life <= 0 || life > 100*365*24*time.Hour) {
			t.Errorf("the token is %q, for %v", token, life)
		}
		_, _ = v5{}.parseEntities(body)
		_, _ = v5{}.parseTables(body)
		if table, err := (v5{}).parseStructure(body); err == nil {
			for _, a := range table.Attributes {
				if a.Name == "" {
					t.Error("an attribute has no name")
				}
			}
		}
		_, _ = parseProfile(body)
	})
}

// Whatever a list of webhooks says, each has an id that leads to it and to nothing
// else, and what looks masked counts as unknown.
func FuzzWebhooks(f *testing.F) {
	for _, seed := range []string{
		`[{"id":7,"on":"PROFILE_TABLE","onElementId":"3","eventType":"CREATE","targetUrl":"https://us.example/","isActive":true,"headers":{"X-Secret":"****"}}]`,
		`{"data":{"webhooks":[{"id":"a","webhook":{"targetUrl":"https://us.example/","eventType":"updated_subscriptions","headers":[{"name":"X","value":"v"}]}}]}}`,
		`{"webhookSubscriptions":[]}`, `{"id":"12"}`, `"12"`, `{"webhook":{"webhook":{"webhook":{}}}}`, `null`,
	} {
		f.Add([]byte(seed), "https://api.actito.com/webhooks/v4/entity/acme/webhookSubscription/12")
	}
	f.Fuzz(func(t *testing.T, body []byte, location string) {
		if id := (v4webhook{}).parseCreated(http.Header{"Location": {location}}, body); strings.ContainsAny(id, "/?# \r\n") {
			t.Errorf("the webhook is %q", id)
		}
		list, err := v4webhook{}.parseList(body)
		if err != nil {
			return
		}
		for _, w := range list {
			path := v4webhook{}.remove("acme", w.ID).path
			u, err := url.Parse("https://api.actito.com" + path)
			if w.ID == "" || err != nil || u.Host != "api.actito.com" || u.RawQuery != "" || u.Fragment != "" || strings.Count(u.EscapedPath(), "/") != 6 {
				t.Errorf("the webhook %q is at %s, %v", w.ID, path, err)
			}
			for name, value := range w.Headers {
				if looksMasked(value) {
					t.Errorf("the header %q is known as %q", name, value)
				}
			}
		}
	})
}
