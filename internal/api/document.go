package api

import (
	_ "embed" // for the OpenAPI document
	"slices"
)

//go:embed openapi.yaml
var document []byte

// Document gives the OpenAPI document as GET /openapi.yaml answers it.
func Document() []byte { return slices.Clone(document) }
