package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"runtime/debug"
	"strings"
)

type versionCommand struct {
	SBOM bool `help:"Print what is built into the program, as a CycloneDX bill of materials." name:"sbom" env:"CONSENTSYNC_VERSION_SBOM"`
}

// Run prints the version.
func (v versionCommand) Run(std streams) error {
	switch {
	case v.SBOM:
	case commit == "":
		std.sayf("consentsync %s\n", version)
		return nil
	default:
		std.sayf("consentsync %s (%s)\n", version, commit)
		return nil
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this program was built without the list of its modules: build it with `make build`")
	}
	text, err := json.MarshalIndent(bill(info), "", "  ")
	if err == nil {
		std.sayf("%s\n", text)
	}
	return err
}

// billOfMaterials is as much of CycloneDX 1.5 as a Go program has to say
// (https://cyclonedx.org/docs/1.5/json/).
type billOfMaterials struct {
	BOMFormat   string `json:"bomFormat"`
	SpecVersion string `json:"specVersion"`
	Version     int    `json:"version"`
	Metadata    struct {
		Component component `json:"component"`
	} `json:"metadata"`
	Components []component `json:"components"`
}

type component struct {
	Type    string         `json:"type"`
	Name    string         `json:"name"`
	Version string         `json:"version"`
	PURL    string         `json:"purl,omitempty"`
	Hashes  []materialHash `json:"hashes,omitempty"`
}

type materialHash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

// bill lists the modules that are built into a program, and the standard library.
func bill(info *debug.BuildInfo) *billOfMaterials {
	b := &billOfMaterials{BOMFormat: "CycloneDX", SpecVersion: "1.5", Version: 1}
	b.Metadata.Component = component{Type: "application", Name: "consentsync", Version: version}
	goVersion := strings.TrimPrefix(info.GoVersion, "go")
	b.Components = []component{{Type: "library", Name: "stdlib", Version: goVersion, PURL: "pkg:golang/std@" + goVersion}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		c := component{Type: "library", Name: m.Path, Version: m.Version, PURL: "pkg:golang/" + m.Path + "@" + m.Version}
		// The hash of go.sum: SHA-256 over the names and hashes of a module's files.
		if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(sum) > 0 {
			c.Hashes = []materialHash{{"SHA-256", hex.EncodeToString(sum)}}
		}
		b.Components = append(b.Components, c)
	}
	return b
}
