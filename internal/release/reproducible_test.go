//go:build reproducible

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Two builds, of two copies of the source in different folders, are the same
// bytes.
func TestABuildIsReproducible(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var sums [2]string
	for i := range sums {
		r := sample()
		r.root, r.out = filepath.Join(t.TempDir(), strings.Repeat("deeper/", i), "source"), t.TempDir()
		copySource(t, root, r.root)
		if err := r.make(t.Context(), []platform{linux}); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(r.out, "SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = string(text)
	}
	if sums[0] != sums[1] || strings.Count(sums[0], "\n") != 3 {
		t.Errorf("the first build gave\n%s\nthe second\n%s", sums[0], sums[1])
	}
}

// copySource copies what the program is made of.
func copySource(t *testing.T, from, to string) {
	t.Helper()
	for _, part := range []string{"cmd", "internal", "go.mod", "go.sum", "LICENSE", "README.md", "CHANGELOG.md"} {
		err := filepath.WalkDir(filepath.Join(from, part), func(path string, d os.DirEntry, err error) error {
			name, relErr := filepath.Rel(from, path)
			if err = errors.Join(err, relErr); err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			target := filepath.Join(to, name)
			return errors.Join(os.MkdirAll(filepath.Dir(target), 0o700), os.WriteFile(target, text, 0o600))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
