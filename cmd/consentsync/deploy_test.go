package main

import (
	"encoding/json"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func deployed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What the unit and the image start is a command that there is, and every
// variable that they name is one of its flags.
func TestDeployedCommandsAreThere(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	unit, image := deployed(t, "consentsync.service"), deployed(t, "Containerfile")
	start := regexp.MustCompile(`(?m)^ExecStart=\S+/consentsync (.*)$`).FindStringSubmatch(unit)
	if start == nil {
		t.Fatal("the unit starts nothing")
	}
	for where, args := range map[string][]string{"the unit": strings.Fields(start[1]), "the image": {"serve"}} {
		if _, err := parser.Parse(args); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
	known := map[string]bool{"CONSENTSYNC_MASTER_KEY": true, "CONSENTSYNC_ADMIN_TOKEN": true}
	for _, command := range parser.Model.Children {
		for _, flag := range command.Flags {
			for _, env := range flag.Envs {
				known[env] = true
			}
		}
	}
	for _, env := range regexp.MustCompile(`CONSENTSYNC_[A-Z_]+`).FindAllString(unit+image, -1) {
		if !known[env] {
			t.Errorf("there is no variable %s", env)
		}
	}
	if !strings.Contains(image, "\nFROM scratch\n") || !strings.Contains(image, "CGO_ENABLED=0") || !regexp.MustCompile(`\nUSER [1-9]`).MatchString(image) {
		t.Error("the image is not empty but for a static program that runs as nobody")
	}
}

func TestBillOfMaterials(t *testing.T) {
	t.Parallel()
	b := bill(&debug.BuildInfo{GoVersion: "go1.2.3", Deps: []*debug.Module{
		{Path: "example.com/a", Version: "v1.0.0", Sum: "h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="},
		{Path: "example.com/b", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/c", Version: "v2.0.0"}},
	}})
	if len(b.Components) != 3 || b.Components[0].PURL != "pkg:golang/std@1.2.3" || b.Components[1].Hashes[0].Content[:8] != "00010203" || b.Components[2].PURL != "pkg:golang/example.com/c@v2.0.0" {
		t.Errorf("%+v", b)
	}
	got := command(t, "", "version", "--sbom")
	var read billOfMaterials
	if err := json.Unmarshal([]byte(got.out), &read); err != nil || read.BOMFormat != "CycloneDX" {
		t.Errorf("%+v: %v", got, err)
	}
}
