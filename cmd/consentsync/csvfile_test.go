package main

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// A file that was cut within a row is told from one with a broken row.
func TestACutExport(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		rows string
		cut  bool
	}{
		"whole":                         {"a,1,0\nb,0,1\n", false},
		"without a last line end":       {"a,1,0\nb,0,1", false},
		"within a row":                  {"a,1,0\nb,0", true},
		"within quotes":                 {"a,1,0\n\"b,0,1\nc,1,1\n", true},
		"a broken row, and others":      {"a,1\nb,0,1\n", false},
		"a broken row at the end":       {"a,1,0\nb,0\n", false},
		"a quote in a row, then others": {"a\"b,1,0\nb,0,1\n", false},
	} {
		e, err := readExport(strings.NewReader("email,News,Offers\n"+x.rows), "email", []string{"News", "Offers"})
		if err != nil {
			t.Fatal(err)
		}
		for err == nil || !strings.Contains(err.Error(), "cut off") && !errors.Is(err, io.EOF) {
			_, err = e.next()
		}
		if got := !errors.Is(err, io.EOF); got != x.cut {
			t.Errorf("%s: cut off is %v, want %v", name, got, x.cut)
		}
	}
}
