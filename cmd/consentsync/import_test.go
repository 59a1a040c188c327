package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"consentsync/internal/backfill"
)

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRowsOfAFile(t *testing.T) {
	t.Parallel()
	whole := string(zipped(t, strings.Repeat("{\"a\":1}\n", 3)))
	for name, x := range map[string]struct {
		text string
		rows []string
		err  string
	}{
		"lines":              {"{\"a\":1}\n{broken\n\n{\"b\":2}", []string{`{"a":1}`, `{broken`, ``, `{"b":2}`}, ""},
		"zipped":             {whole, []string{`{"a":1}`, `{"a":1}`, `{"a":1}`}, ""},
		"zipped, cut off":    {whole[:len(whole)-9], []string{`{"a":1}`, `{"a":1}`, `{"a":1}`}, "cut off"},
		"a list":             {" [ {\"a\":\n 1},\n{\"b\": [2]} ]", []string{`{"a":1}`, `{"b":[2]}`}, ""},
		"a list, broken":     {`[{"a":1}, {"b" 2}, {"c":3}]`, []string{`{"a":1}`}, "after 1 event, at byte"},
		"a list without end": {`[{"a":1}, {"b":2}`, []string{`{"a":1}`, `{"b":2}`}, "does not end"},
		"nothing":            {"", nil, ""},
		"a line without end": {strings.Repeat("x", mostRow+1), nil, "longer than"},
		"an empty list":      {"[]", nil, ""},
		"only a beginning":   {"\x1f\x8b", nil, "cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var rows []string
			said := ""
			r, err := unzipped(strings.NewReader(x.text))
			if err != nil {
				said = err.Error()
			} else {
				for row, err := range rowsOf(r) {
					if err != nil {
						said = err.Error()
						break
					}
					rows = append(rows, string(row))
				}
			}
			if !slices.Equal(rows, x.rows) || !strings.Contains(said, x.err) || (said == "") != (x.err == "") {
				t.Errorf("%q, error %q", rows, said)
			}
		})
	}
}

// lineOf is an event as Didomi exports it.
func lineOf(organization string, n int, on bool) string {
	return fmt.Sprintf(`{"id":"e%d","organization_id":%q,"created_at":"2026-06-03T21:28:55Z","user":{"organization_user_id":"p%d@example.com"},"consents":{"purposes":[{"id":"news","enabled":%t}]}}`,
		n, organization, n, on)
}

// A folder of Didomi's export is taken in by one command beside a running server;
// a file that is cut off, a broken line and a file of another organization are
// named, all that is good before them is kept, and a rerun goes on from there.
func TestImport(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c, data := running(t)
	if _, err := c.ask(ctx, http.MethodPut, "/v1/premium-features/acme", map[string]any{"actito": true}, nil); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	put := func(name string, content []byte) {
		t.Helper()
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	take := func() ran {
		return command(t, "", "import", "--url", c.url, "--data", data, "--organization", "acme", folder)
	}
	known := func(n int) bool {
		_, err := c.ask(ctx, http.MethodGet, fmt.Sprintf("/v1/users/p%d@example.com?organization_id=acme", n), nil, nil)
		if err != nil && !notFound(err) {
			t.Fatal(err)
		}
		return err == nil
	}
	says := func(got ran, code int, want ...string) {
		t.Helper()
		if got.code != code {
			t.Errorf("exit code %d: %s%s", got.code, got.out, got.err)
		}
		for _, w := range want {
			if !strings.Contains(got.out+got.err, w) {
				t.Errorf("no %q in %s%s", w, got.out, got.err)
			}
		}
	}

	var events strings.Builder
	const many = partRows + 500
	for n := range many {
		fmt.Fprintln(&events, lineOf("acme", n, n%2 == 0))
	}
	whole := zipped(t, events.String())
	put("date=2026-11-25/events/part-0.json.gz", whole[:len(whole)*9/10])
	put("date=2026-11-25/events/part-1.json", []byte("["+lineOf("acme", 10_000, true)+",\n"+lineOf("acme", 10_001, false)+"]"))
	put("date=2026-11-25/events/part-2.ndjson", []byte(lineOf("acme", 20_000, true)+"\n{\"id\": broken\n"+lineOf("acme", 20_001, true)+"\n"))
	put("date=2026-11-25/events/part-3.ndjson", []byte(lineOf("acme", 30_000, true)+"\n"+lineOf("globex", 30_001, true)+"\n"+lineOf("acme", 30_002, true)+"\n"))
	put("date=2026-11-25/users/part-0.ndjson", []byte(`{"id":"d1","organization_user_id":"p40000@example.com","created_at":"2026-06-03T21:28:55Z","updated_at":"2026-06-03T21:28:55Z","consents":{"purposes":[{"id":"news","enabled":true}]}}`))
	put("date=2026-11-25/proofs/proof.json", []byte(lineOf("acme", 50_000, true)))
	put("readme.txt", []byte("hello"))
	says(take(), 1, "part-0.json.gz, row", "the file is cut off", "part-2.ndjson, row 2: the payload is not JSON",
		`part-3.ndjson, row 2: it is of organization "globex", not "acme"`, "1 file of other kinds", "2 files were not taken in to the end")
	for n, want := range map[int]bool{
		0: true, 1500: true, many - 1: false, 10_000: true, 10_001: true, 20_000: true, 20_001: true, 30_000: true, 30_001: false, 30_002: false, 40_000: true, 50_000: false,
	} {
		if known(n) != want {
			t.Errorf("person %d: known %t, want %t", n, !want, want)
		}
	}

	var before, after struct{ Data []backfill.ImportView }
	if _, err := c.ask(ctx, http.MethodGet, "/v1/imports?organization_id=acme", nil, &before); err != nil {
		t.Fatal(err)
	}
	put("date=2026-11-25/events/part-0.json.gz", whole)
	put("date=2026-11-25/events/part-3.ndjson", []byte(lineOf("acme", 30_000, true)+"\n"+lineOf("acme", 30_002, true)+"\n"))
	// Another file of the same name begins anew.
	put("date=2026-11-25/events/part-2.ndjson", []byte(lineOf("acme", 20_002, true)+"\n"))
	says(take(), 0, "of an earlier run")
	for _, n := range []int{many - 1, 20_002, 30_002} {
		if !known(n) {
			t.Errorf("person %d is not known", n)
		}
	}
	if _, err := c.ask(ctx, http.MethodGet, "/v1/imports?organization_id=acme", nil, &after); err != nil {
		t.Fatal(err)
	}
	if len(after.Data) != 1 || !after.Data[0].Ended || after.Data[0].Outcomes["duplicate"] != 1 || after.Data[0].Refused != 1 ||
		after.Data[0].Outcomes["applied"] != many+2+3+2+1 || before.Data[0].ID != after.Data[0].ID {
		t.Errorf("the imports are %+v, were %+v", after.Data, before.Data)
	}
	says(take(), 0, "Taken in: 0 rows")
	says(command(t, "", "import", "--url", c.url, "--data", data, "--organization", "acme", filepath.Join(folder, "readme.txt")), 1, "readme.txt, row 1", "not JSON")
	says(command(t, "", "import", "--url", c.url, "--data", data, "--organization", "nobody", folder), 1, `no organization "nobody"`)
}
