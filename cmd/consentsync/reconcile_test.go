package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestExportOfATable(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		text string
		rows []string // what is wrong with a row begins with !
		err  string
	}{
		"commas": {
			"emailAddress,subscriptions#News,age\nana@x.be,TRUE,7\n\"b,ob@x.be\",0,\neve@x.be,,\n",
			[]string{`{"key":"ana@x.be","subscriptions":{"News":true}}`, `{"key":"b,ob@x.be","subscriptions":{"News":false}}`, `{"key":"eve@x.be","subscriptions":{}}`},
			"",
		},
		"semicolons, a mark, bare names": {
			"\xef\xbb\xbfSms;emailAddress;Other\r\nyes;ana@x.be;1\r\n", []string{`{"key":"ana@x.be","subscriptions":{"Sms":true}}`}, "",
		},
		"a subscription that is not in the table": {
			"emailAddress,News,subscriptions#Gone\na,1,0\n", []string{`{"key":"a","subscriptions":{"Gone":false,"News":true}}`}, "",
		},
		"broken rows": {
			"emailAddress,News\na,1\nb,maybe\nc\n,1\nd,\"x\"y\ne,0\n",
			[]string{
				`{"key":"a","subscriptions":{"News":true}}`, `!line 3: column "News" is neither on nor off`, `!line 4: it has 1 cells, the header 2`, `!line 5: the unique key is empty`,
				`!line 6: extraneous`, `{"key":"e","subscriptions":{"News":false}}`,
			},
			"",
		},
		"no key":           {"mail,News\na,1\n", nil, `no column "emailAddress", the unique key of the integration; it has mail, News`},
		"no subscriptions": {"emailAddress,age\na,1\n", nil, "no subscription of the table"},
		"twice":            {"emailAddress,News,subscriptions#News\n", nil, "there twice"},
		"nothing":          {"", nil, "there is no header"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := readExport(strings.NewReader(x.text), "emailAddress", []string{"News", "Sms"})
			if (err == nil) != (x.err == "") || err != nil && !strings.Contains(err.Error(), x.err) {
				t.Fatalf("the header: %v", err)
			}
			if err != nil {
				return
			}
			var rows []string
			for {
				row, err := e.next()
				if errors.Is(err, io.EOF) {
					break
				}
				if bad, ok := errors.AsType[*errRow](err); ok {
					rows = append(rows, "!"+bad.Error())
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				rows = append(rows, string(row))
			}
			if !slices.EqualFunc(rows, x.rows, func(got, want string) bool {
				return got == want || strings.HasPrefix(want, "!") && strings.HasPrefix(got, want)
			}) {
				t.Errorf("%q", rows)
			}
		})
	}
}
