package main

import (
	"errors"
	"io"
	"runtime"
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

// A quote that is not closed makes no row of all the rest: the file ends there, with
// the line on which that row began, and little of it was read.
func TestAnExportWithARowThatDoesNotEnd(t *testing.T) {
	const whole = 256 << 20
	for name, begin := range map[string]string{
		"a quote":       "email,News\na,1\n\nb,0\n\"c,1\nd,0\n",
		"a long cell":   "email,News\na,1\n\nb,0\n" + "c",
		"in the header": "email,\"News",
	} {
		rest := &endless{left: whole}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		e, err := readExport(io.MultiReader(strings.NewReader(begin), rest), "email", []string{"News"})
		rows := 0
		for err == nil {
			if _, err = e.next(); err == nil {
				rows++
			}
		}
		runtime.ReadMemStats(&after)
		want, line := 2, "line 5: "
		if e == nil {
			want, line = 0, "line 1: "
		}
		if rows != want || !strings.Contains(err.Error(), line) || !strings.Contains(err.Error(), "close its quotes") {
			t.Errorf("%s: %d rows, then %v", name, rows, err)
		}
		if read, used := whole-rest.left, after.TotalAlloc-before.TotalAlloc; read > 2*mostRow || used > 16*mostRow {
			t.Errorf("%s: %d bytes were read, and %d used", name, read, used)
		}
	}
}

// endless gives so many bytes without a line end or a quote.
type endless struct{ left int }

func (r *endless) Read(p []byte) (int, error) {
	n := min(len(p), r.left)
	for i := range p[:n] {
		p[i] = 'x'
	}
	r.left -= n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
