package plan

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestColumns(t *testing.T) {
	t.Parallel()
	both, one := map[string]bool{"News": false, "Offers": false}, map[string]bool{"News": false}
	offers, news := map[string]bool{"Offers": true}, map[string]bool{"News": true}
	for name, c := range map[string]struct {
		sample  []Cells
		columns []string
		people  int
	}{
		"nobody":            {},
		"nothing to write":  {sample: []Cells{{Off: news}}},
		"what most need":    {[]Cells{{Differ: both}, {Differ: both}, {Differ: one}}, []string{"News", "Offers"}, 2},
		"refusals for more": {[]Cells{{Differ: both}, {Differ: one, Off: offers}, {Differ: one, Off: offers}}, []string{"News", "Offers"}, 3},
		"all together":      {[]Cells{{Differ: one, Off: offers}, {Differ: offers, Off: news}}, []string{"News", "Offers"}, 2},
		"no more than that": {[]Cells{{Differ: one, Off: offers}}, []string{"News"}, 1},
		"no grant again":    {[]Cells{{Differ: news}, {Differ: map[string]bool{"News": true, "Offers": true}}, {Differ: offers}}, []string{"News"}, 1},
	} {
		columns, people := Columns(c.sample)
		if !slices.Equal(columns, c.columns) || people != c.people {
			t.Errorf("%s: %v serves %d, want %v and %d", name, columns, people, c.columns, c.people)
		}
	}
}

// However people differ: whoever is served gets all that differs, and beyond it
// nothing but what is off already; no set of what somebody needs serves more;
// and the order of people does not matter.
func TestColumnsServeTheMost(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c"} // at most seven sets: all of them are tried
	rapid.Check(t, func(t *rapid.T) {
		var sample []Cells
		for range rapid.IntRange(0, 12).Draw(t, "people") {
			c := Cells{Differ: map[string]bool{}, Off: map[string]bool{}}
			for _, name := range names {
				switch rapid.SampledFrom([]string{"on", "off", "is off", "is on"}).Draw(t, name) {
				case "on":
					c.Differ[name] = true
				case "off":
					c.Differ[name] = false
				case "is off":
					c.Off[name] = true
				}
			}
			sample = append(sample, c)
		}
		columns, people := Columns(sample)
		served := func(columns []string) int {
			n := 0
			for _, c := range sample {
				row, ok := c.In(columns)
				if !ok {
					continue
				}
				n++
				left := maps.Clone(c.Differ)
				for i, name := range columns {
					if want, differs := c.Differ[name]; differs && want != row[i] || !differs && (row[i] || !c.Off[name]) {
						t.Fatalf("%v has the row %v of %v", c, row, columns)
					}
					delete(left, name)
				}
				if len(left) > 0 {
					t.Fatalf("%v is served by %v without %v", c, columns, left)
				}
			}
			return n
		}
		if n := served(columns); people != n && len(columns) > 0 {
			t.Fatalf("%v serves %d, and it is told that %d", columns, n, people)
		}
		for _, c := range sample {
			set := slices.Sorted(maps.Keys(c.Differ))
			if n := served(set); len(set) > 0 && n > people {
				t.Fatalf("%v serves %d, %v would serve %d", columns, people, set, n)
			}
		}
		seed := rapid.Uint64().Draw(t, "order")
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(sample), func(i, j int) { sample[i], sample[j] = sample[j], sample[i] })
		if again, n := Columns(sample); n != people || !slices.Equal(again, columns) {
			t.Fatalf("in another order it is %v and %d instead of %v and %d", again, n, columns, people)
		}
	})
}

// BenchmarkColumns is a sample of people who all differ in something else, of a
// table with many subscriptions.
func BenchmarkColumns(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	sample := make([]Cells, 1200)
	for n := range sample {
		sample[n] = Cells{Differ: map[string]bool{}, Off: map[string]bool{}}
		for s := range 100 {
			if name := fmt.Sprint("s", s); random.IntN(2) == 0 {
				sample[n].Differ[name] = random.IntN(2) == 0
			} else {
				sample[n].Off[name] = true
			}
		}
	}
	for b.Loop() {
		Columns(sample)
	}
}
