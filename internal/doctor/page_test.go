package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"consentsync/internal/actito"
	"consentsync/internal/assumption"
	"consentsync/internal/didomi"
)

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
