package doctor

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consentsync/internal/actito"
	"consentsync/internal/assumption"
	"consentsync/internal/didomi"
)

var update = flag.Bool("update", false, "write docs/assumptions.md anew")

// The page says what the tables say.
func TestPageOfAssumptions(t *testing.T) {
	t.Parallel()
	const file = "../../docs/assumptions.md"
	want := Assumptions()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/assumptions.md is not as the tables say; make assumptions writes it: -want +got:\n%s", diff)
	}
}

// Every assumption has a name of its own, says what backs it and where it is relied
// upon, and how to find out.
func TestAssumptionsAreWhole(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for _, a := range slices.Concat(didomi.Assumed(), actito.Assumed()) {
		if ids[a.ID] {
			t.Errorf("%s stands there twice", a.ID)
		}
		ids[a.ID] = true
		if a.Assumed == "" || a.How == "" && a.ByHand == "" || len(a.Where) == 0 {
			t.Errorf("%s does not say all: %+v", a.ID, a)
		}
		if len(a.Sources) == 0 && a.Sure != assumption.Guess {
			t.Errorf("%s is %s, and has no source", a.ID, a.Sure)
		}
		for _, where := range a.Where {
			if _, err := os.Stat(filepath.Join("../..", where)); err != nil {
				t.Errorf("%s: %v", a.ID, err)
			}
		}
	}
}
