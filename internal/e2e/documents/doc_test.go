// Package documents holds README.md, the pages of docs and the files of examples
// to the program: every command is run, every example loaded.
package documents_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const root = "../../../"

var programDir string

// program builds the program as users run it, once for all tests, and gives the
// directory that it is in.
var program = sync.OnceValues(func() (dir string, err error) {
	if programDir, err = os.MkdirTemp("", "consentsync-documents-"); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(programDir, "consentsync"), "consentsync/cmd/consentsync")
	build.Stderr = os.Stderr
	return programDir, build.Run()
})

func TestMain(m *testing.M) {
	code := m.Run()
	if programDir != "" {
		_ = os.RemoveAll(programDir)
	}
	os.Exit(code)
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(root + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// pagesOf gives the names of the pages, from the root.
func pagesOf(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(root + "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, root)
	}
	return append(names, "CONTRIBUTING.md", "SECURITY.md")
}
