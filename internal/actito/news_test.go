package actito

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"consentsync/internal/consent"
)

var tableSubscriptions = []string{"Newsletter", "Promotions", "SMS", "sms", "Été"}

// newsCase is what of News most tests look at.
type newsCase struct {
	id, event, profile string
	keys               map[string]string
	on                 map[string]bool
}

func TestParseNews(t *testing.T) {
	t.Parallel()
	type keys = map[string]string
	type on = map[string]bool
	off := on{"Newsletter": false}
	for body, want := range map[string][]newsCase{
		// The samples, and what client code relies on.
		`{"data":{"profileId":109}}`: {{profile: "109", keys: keys{"profileId": "109"}}},
		`{"id":"95f1","data":{"etl.id":"123456","_links":{"etl":{"href":"/x"}}},"_links":{}}`: {
			{id: "95f1", keys: keys{"etl.id": "123456"}},
		},
		`{"id":21,"tableType":"PROFILE_TABLE","tableId":"16","fields":null,"eventType":"UPDATED_SUBSCRIPTION","data":{"profileId":"109","Newsletter":false}}`: {
			{id: "21", event: "UPDATED_SUBSCRIPTION", profile: "109", keys: keys{"profileId": "109"}, on: off},
		},
		`{"eventType":"CREATE","data":{"profileId":109,"emailAddress":"a@b.c","age":7.0,"vip":true,"tags":["x"],"x":null}}`: {
			{event: "CREATE", profile: "109", keys: keys{"profileId": "109", "emailAddress": "a@b.c", "age": "7", "vip": "true"}},
		},

		`{"id":"e\u0000","data":{"profileId":"1\u000009","emailAddress":"a@b\u0000.c","Newsletter":false}}`: {{on: off}},

		// Arrays.
		`[]`: nil, `{"data":[]}`: nil, ` [{"data":[]},{"data":{}}] `: {{}},
		`{"id":"e","eventType":"updated_subscriptions","data":[{"profileId":1,"Newsletter":0},{"profileId":2,"Newsletter":1}]}`: {
			{id: "e", event: "UPDATED_SUBSCRIPTION", profile: "1", keys: keys{"profileId": "1"}, on: off},
			{id: "e", event: "UPDATED_SUBSCRIPTION", profile: "2", keys: keys{"profileId": "2"}, on: on{"Newsletter": true}},
		},
		`[{"id":"a","data":{"profileId":1}},{"id":"b","data":{"profileId":2}}]`: {
			{id: "a", profile: "1", keys: keys{"profileId": "1"}}, {id: "b", profile: "2", keys: keys{"profileId": "2"}},
		},

		// Where else things may stand.
		`{"profileId":109,"id":5,"Newsletter":false}`:                                                  {{profile: "109", keys: keys{"profileId": "109", "id": "5"}, on: off}},
		`{"profileId":"109","data":{"Newsletter":false}}`:                                              {{profile: "109", on: off}},
		`{"data":{"profile":{"id":109},"Newsletter":false}}`:                                           {{profile: "109", keys: keys{"id": "109"}, on: off}},
		`{"data":{"attributes":{"profileId":109,"a":"b"},"Newsletter":"N"}}`:                           {{profile: "109", keys: keys{"profileId": "109", "a": "b"}, on: off}},
		`{"data":{"attributes":[{"name":"a","value":"b"}],"ProfileID":"9"}}`:                           {{profile: "9", keys: keys{"a": "b", "ProfileID": "9"}}},
		`{"data":{"subscriptions":{"Newsletter":false}}}`:                                              {{on: off}},
		`{"data":{"subscriptions":{"Newsletter":{"subscribed":"false"}}}}`:                             {{on: off}},
		`{"data":{"subscriptions":[{"name":"Newsletter","subscribe":false}]}}`:                         {{on: off}},
		`{"data":{"subscriptions":[{"subscription":{"name":"Newsletter"},"belongs":0},7,"SMS"]}}`:      {{on: off}},
		`{"data":{"subscription":{"name":"Newsletter","value":"off"}}}`:                                {{on: off}},
		`{"data":{"subscription":"Newsletter","subscribed":false}}`:                                    {{keys: keys{"subscription": "Newsletter", "subscribed": "false"}, on: off}},
		`{"data":{"profile":{"profileId":1,"subscriptions":{"Newsletter":false}},"Newsletter":false}}`: {{profile: "1", keys: keys{"profileId": "1"}, on: off}},

		// Names: exact, or else alone in another letter case.
		`{"data":{"newsletter":false}}`:                                  {{on: off}},
		`{"data":{"ÉTÉ":1}}`:                                             {{on: on{"Été": true}}},
		`{"data":{"newsletter":true,"Newsletter":false}}`:                {{on: off}},
		`{"data":{"newsletter":true,"Newsletter":null}}`:                 {{}},
		`{"data":{"newsletter":false,"NEWSLETTER":false}}`:               {{}},
		`{"data":{"newsletter":true,"NEWSLETTER":true,"Newsletter":0}}`:  {{on: off}},
		`{"data":{"Sms":true}}`:                                          {{}},
		`{"data":{"SMS":true,"sms":false}}`:                              {{on: on{"SMS": true, "sms": false}}},
		`{"data":{"Newsletter2":true,"promotions ":true}}`:               {{keys: keys{"Newsletter2": "true", "promotions ": "true"}}},
		`{"data":{"Newsletter":false,"subscriptions":{"newsletter":1}}}`: {{on: off}},

		// Told twice: alike, or with more than one meaning.
		`{"data":{"Newsletter":false,"subscriptions":{"Newsletter":"0"}}}`:                                                             {{on: off}},
		`{"data":{"Newsletter":false,"subscriptions":{"Newsletter":true}}}`:                                                            {{}},
		`{"data":{"subscriptions":[{"name":"Newsletter","subscribe":true},{"name":"Newsletter","subscribe":false}],"Promotions":"Y"}}`: {{on: on{"Promotions": true}}},
	} {
		news, err := ParseNews([]byte(body), tableSubscriptions)
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		got := casesOf(news)
		for i := range want {
			if want[i].keys == nil {
				want[i].keys = keys{}
			}
			if want[i].on == nil {
				want[i].on = on{}
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s\ngot  %v\nwant %v", body, got, want)
		}
	}
}

func casesOf(news []News) (list []newsCase) {
	for _, n := range news {
		list = append(list, newsCase{n.EventID, string(n.Event), n.ProfileID, n.Keys, n.Subscriptions})
	}
	return list
}

func TestOnAndOffInNews(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]map[string]bool{
		`true`: {"Newsletter": true}, `"true"`: {"Newsletter": true}, `1`: {"Newsletter": true}, `"1"`: {"Newsletter": true},
		`"TRUE"`: {"Newsletter": true}, `"Y"`: {"Newsletter": true}, `{"subscribe":"yes"}`: {"Newsletter": true},
		`false`: {"Newsletter": false}, `"False"`: {"Newsletter": false}, `0`: {"Newsletter": false}, `"n"`: {"Newsletter": false},
		`"perhaps"`: {}, `""`: {}, `2`: {}, `-1`: {}, `null`: {}, `[]`: {}, `[true]`: {}, `{}`: {}, `{"moment":"2026"}`: {},
		`{"subscribe":null}`: {}, `{"old":false,"new":true}`: {},
	} {
		for _, body := range []string{
			`{"data":{"Newsletter":%s}}`, `{"data":{"subscriptions":{"Newsletter":%s}}}`,
			`{"data":{"subscriptions":[{"name":"Newsletter","value":%s}]}}`,
		} {
			if strings.Contains(body, "value") && strings.HasPrefix(value, "{") {
				continue
			}
			news, err := ParseNews(fmt.Appendf(nil, body, value), tableSubscriptions)
			if err != nil || len(news) != 1 {
				t.Fatalf(body+": %v", value, err)
			}
			if !reflect.DeepEqual(news[0].Subscriptions, want) || len(news[0].Keys) != 0 {
				t.Errorf(body+": got %+v", value, news[0])
			}
		}
	}
}

func TestNewsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		body, says string
		left       int
	}{
		{``, "the body is not one JSON value", 0},
		{`{"data":{}`, "the body is not one JSON value", 0},
		{`{"data":{}} {}`, "the body is not one JSON value", 0},
		{`null`, "the event is not an object", 0},
		{`"jane@example.com"`, "the event is not an object", 0},
		{`{}`, "the event has no data", 0},
		{`{"id":1,"data":null}`, "the event has no data", 0},
		{`{"data":"jane@example.com"}`, "the event has data that is neither an object nor an array", 0},
		{`{"data":[{"profileId":1},7]}`, "the event has data of which element 2 is not an object", 1},
		{`[{"data":{}},[],{"data":{}},{"data":true}]`, "event 2 is not an object; event 4 has data that is neither an object nor an array", 2},
		{`[1,2,3,4,5,6,7,8]`, "event 5 is not an object; and so on", 0},
	} {
		news, err := ParseNews([]byte(c.body), tableSubscriptions)
		wantKind(t, err, consent.Invalid)
		if len(news) != c.left || err == nil || !strings.HasSuffix(consent.MessageOf(err), c.says) || strings.Contains(err.Error(), "jane") {
			t.Errorf("%s: %d left, %v", c.body, len(news), err)
		}
	}
}

func TestMostNewsOfABody(t *testing.T) {
	t.Parallel()
	rows := func(n int) string { return strings.TrimSuffix(strings.Repeat(`{"profileId":1},`, n), ",") }
	events := func(n int) string { return strings.TrimSuffix(strings.Repeat(`{"data":{}},`, n), ",") }
	for body, want := range map[string]int{
		`[` + events(1000) + `]`: 1000, `{"data":[` + rows(1000) + `]}`: 1000,
		`[` + events(1001) + `]`: -1, `{"data":[` + rows(1001) + `]}`: -1,
		`[{"data":[` + rows(600) + `]},{"data":[` + rows(401) + `]}]`: -1,
	} {
		news, err := ParseNews([]byte(body), nil)
		if len(news) != max(0, want) || (err != nil) != (want < 0) {
			t.Errorf("%.30s: %d, %v", body, len(news), err)
		}
		if want < 0 {
			wantKind(t, err, consent.Invalid)
		}
	}
}

func TestR27CanonicalData(t *testing.T) {
	t.Parallel()
	form := func(data string) string {
		t.Helper()
		news, err := ParseNews([]byte(`{"id":"e","data":`+data+`}`), tableSubscriptions)
		if err != nil {
			t.Fatal(err)
		}
		return string(news[0].Canonical)
	}
	for _, same := range [][]string{
		{`{"profileId":109,"Newsletter":true}`, ` { "Newsletter" : "true" , "profileId" : "109" } `, `{"profileId":1.09E2,"Newsletter":true}`},
		{`{"a":{"y":1,"x":[1,null]}}`, `{"a":{"x":["1",null],"y":1.0}}`},
		{`{"a":"\u00e9\/"}`, `{"a":"é/"}`},
	} {
		for _, other := range same[1:] {
			if form(same[0]) != form(other) {
				t.Errorf("%s and %s: %s and %s", same[0], other, form(same[0]), form(other))
			}
		}
	}
	seen := map[string]string{}
	for _, data := range []string{
		`{}`, `{"a":null}`, `{"a":""}`, `{"a":"null"}`, `{"a":[]}`, `{"a":{}}`, `{"a":"[]"}`, `{"a":true}`, `{"a":false}`,
		`{"a":1}`, `{"a":10}`, `{"a":-1}`, `{"a":0.1}`, `{"a":[1,2]}`, `{"a":[2,1]}`, `{"a":["1,2"]}`, `{"a":1,"b":2}`,
		`{"a":"1\",\"b\":\"2"}`, `{"b":1}`, `{"A":1}`, `{"a":1e400}`, `{"a":1e401}`,
	} {
		if other, again := seen[form(data)]; again {
			t.Errorf("%s and %s have one form", data, other)
		}
		seen[form(data)] = data
	}
}

func TestFieldInOtherLetterCase(t *testing.T) {
	t.Parallel()
	for range 20 { // whatever the order of a map
		object := map[string]any{"DATA": 1, "Data": 2, "dAtA": 3, "Other": 4}
		wantEqual(t, field(object, "none", "data", "other"), any(1))
	}
	wantEqual(t, field(map[string]any{"DATA": 1, "other": 2}, "data", "other"), any(2))
}

func TestPlainNumber(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]string{
		"0": "0", "-0": "0", "0.000": "0", "0e99": "0", "109": "109", "109.0": "109", "1.09e+2": "109", "10900E-2": "109",
		"-12.50": "-12.5", "0.001": "0.001", "1e-3": "0.001", "100": "100", "1e3": "1000", "9007199254740993": "9007199254740993",
		"1e100": "1e100", "10e99": "1e100", "0.1e101": "1e100", "1e-100": "1e-100", "1e999999999999999999999": "1e999999999999999999999",
		strings.Repeat("7", 50): strings.Repeat("7", 50), "1e999999999": "1e999999999",
	} {
		if got := plainNumber(number); got != want {
			t.Errorf("%s: got %s, want %s", number, got, want)
		}
	}
}

func FuzzNews(f *testing.F) {
	seeds, err := filepath.Glob("testdata/news/*.json")
	if err != nil || len(seeds) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range seeds {
		seed, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		news, err := ParseNews(body, tableSubscriptions)
		if err != nil && consent.KindOf(err) != consent.Invalid {
			t.Errorf("%v", err)
		}
		again, _ := ParseNews(body, tableSubscriptions)
		if len(news) > MaxNews || !reflect.DeepEqual(news, again) {
			t.Errorf("read differently, or too much: %d", len(news))
		}
		for _, n := range news {
			for name := range n.Subscriptions {
				if !slices.Contains(tableSubscriptions, name) {
					t.Errorf("subscription %q", name)
				}
			}
			// The canonical form is data with the same form.
			round, err := ParseNews(append(append([]byte(`{"data":`), n.Canonical...), '}'), tableSubscriptions)
			if err != nil || len(round) != 1 || !bytes.Equal(round[0].Canonical, n.Canonical) {
				t.Errorf("%s: %v, %v", n.Canonical, round, err)
			}
		}
	})
}
