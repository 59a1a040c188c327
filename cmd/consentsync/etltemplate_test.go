package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"consentsync/internal/actito"
)

const etlIntegration = `{
	"type_id": "actito", "authentication": {"private_api_key": "k"},
	"properties": {"entity_id": "acme", "table_name": "Customers", "user_unique_key": "emailAddress"},
	"mappings": [
		{"id": "Sport, news", "value": "consents_purposes_sport_enabled"},
		{"id": "Newsletter", "value": "consents_channels_email_enabled"}
	],
	"upsert_mode": true
}`

// The sample is what a load would hold: the columns of the mapping in the order
// of a load, and every cell filled.
func TestETLTemplateSample(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sample.csv")
	got := command(t, etlIntegration, "etl-template", "-f", "-", "--out", file)
	if got.code != 0 || got.out != "" {
		t.Fatalf("%+v", got)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatalf("%q, %v", rows, err)
	}
	if want := actito.LoadColumns("emailAddress", []string{"Newsletter", "Sport, news"}); !slices.Equal(rows[0], want) {
		t.Errorf("header %q, want %q", rows[0], want)
	}
	for column := range rows[0] {
		a, b := rows[1][column], rows[2][column]
		if a == "" || b == "" || a == b {
			t.Errorf("column %d holds %q and %q", column, a, b)
		}
	}
	if strings.HasPrefix(string(text), "\xef\xbb\xbf") || strings.Count(string(text), "\r\n") != 3 {
		t.Errorf("not as a load writes it: %q", text)
	}
}

func TestETLTemplateSettings(t *testing.T) {
	t.Parallel()
	upsert := "create or update, since upsert_mode is on"
	update := "properties.etl_updates_only: true"
	always := []string{
		"separator   comma", "UTF-8 without BOM", "header      the first line", "in a zip", "key column  emailAddress",
		"subscriptions#Newsletter -> the subscription Newsletter", "properties.etl_id", "empty cells never occur", "at most 100 MB",
		"at most 24 a day", "any subset of these columns", "an assumption that nobody could check on a real account",
	}
	tests := []struct {
		name      string
		input     string
		args      []string
		want, not string
	}{
		{"of an integration that creates", etlIntegration, []string{"-f", "-"}, upsert, update},
		{"of one that does not", strings.Replace(etlIntegration, `"upsert_mode": true`, `"upsert_mode": false`, 1), []string{"-f", "-"}, update, upsert},
		{"of the answer of GET", strings.Replace(etlIntegration, `{`, `{"id": "x", "status": "active", "snapshot": {"subscriptions": []}, "revision": 3, `, 1), []string{"-f", "-"}, "of the table Customers in the entity", update},
		{"by flags", "", []string{"--key", "emailAddress", "--subscription", "Newsletter", "--subscription", "Sport, news"}, update, upsert},
		{"by flags, creating", "", []string{"--key", "emailAddress", "--subscription", "Newsletter", "--upsert-mode"}, upsert, update},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := command(t, tt.input, append([]string{"etl-template"}, tt.args...)...)
			if got.code != 0 || !strings.HasPrefix(got.out, "emailAddress,subscriptions#Newsletter") {
				t.Fatalf("%+v", got)
			}
			words := strings.Join(strings.Fields(got.err), " ")
			for _, want := range append([]string{tt.want}, always...) {
				if !strings.Contains(words, strings.Join(strings.Fields(want), " ")) {
					t.Errorf("no %q in %s", want, got.err)
				}
			}
			if strings.Contains(words, tt.not) {
				t.Errorf("%q in %s", tt.not, got.err)
			}
		})
	}
}

func TestETLTemplateNamesTheField(t *testing.T) {
	t.Parallel()
	change := func(from, to string) string { return strings.Replace(etlIntegration, from, to, 1) }
	tests := []struct {
		name  string
		input string
		args  []string
		code  int
		want  string
	}{
		{"no key", change(`"emailAddress"`, `" "`), nil, 1, "the standard input: properties.user_unique_key: is required"},
		{"a key of another name", change("user_unique_key", "unique_key"), nil, 1, "unique_key: there is no such field"},
		{"a key that is no text", change(`"emailAddress"`, `7`), nil, 1, "properties.user_unique_key: must be a text"},
		{"no mappings", `{"properties": {"user_unique_key": "k"}}`, nil, 1, "mappings: is required"},
		{"a mapping without a name", change(`"Newsletter"`, `""`), nil, 1, "mappings[1].id: is empty"},
		{"mapped twice", change(`"Newsletter"`, `"sport, NEWS"`), nil, 1, "mappings[1].id: "},
		{"a wrong path", change("consents_channels_email_enabled", "email"), nil, 1, "mappings[1].value: "},
		{"no JSON", "{", nil, 1, "the standard input: the body is not"},
		{"no file", "", []string{"-f", "/does/not/exist.json"}, 1, "--file: open /does/not/exist.json"},
		{"nowhere to write", etlIntegration, []string{"-f", "-", "--out", "/does/not/exist.csv"}, 1, "the sample cannot be written"},
		{"nothing given", "", []string{}, 2, "--file"},
		{"both ways", "", []string{"-f", "-", "--key", "k"}, 2, "leave out --key"},
		{"key alone", "", []string{"--key", "k"}, 1, "--subscription: is required"},
		{"subscription alone", "", []string{"--subscription", "A"}, 1, "--key: is required"},
		{"an empty subscription", "", []string{"--key", "k", "--subscription", ""}, 1, "--subscription: is empty"},
		{"one twice", "", []string{"--key", "k", "--subscription", "A", "--subscription", "a"}, 1, `--subscription: "a" is given twice`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := tt.args
			if args == nil {
				args = []string{"-f", "-"}
			}
			command(t, tt.input, append([]string{"etl-template"}, args...)...).refuses(t, tt.code, tt.want)
		})
	}
}
