package doctor

import (
	_ "embed"
	"slices"

	"consentsync/internal/actito"
	"consentsync/internal/assumption"
	"consentsync/internal/didomi"
)

//go:embed assumptions.md
var introduction string

// Assumptions is the page of what is assumed about both ends,
// docs/assumptions.md.
func Assumptions() string {
	return assumption.Page(introduction, map[string]string{"didomi": "Didomi", "actito": "Actito"}, slices.Concat(didomi.Assumed(), actito.Assumed()))
}
