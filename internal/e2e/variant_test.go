package e2e_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// variant gives what builds the program, once for all tests, with its sources
// changed: each through change, and with files that are added. It is how tests
// get a program of another version, or one with a fault. What is in the working
// tree stays as it is.
func variant(name string, change func(path, text string) string, added map[string]string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		if _, err := program(); err != nil { // it makes the folder
			return "", err
		}
		root, err := filepath.Abs("../..")
		if err != nil {
			return "", err
		}
		v := overlay{root: root, dir: filepath.Join(programDir, name+"-sources"), Replace: map[string]string{}}
		if err := os.Mkdir(v.dir, 0o700); err != nil {
			return "", err
		}
		if err := v.change(change); err != nil {
			return "", err
		}
		if len(v.Replace) == 0 {
			return "", fmt.Errorf("the variant %s changes no source", name)
		}
		for path, text := range added {
			if err := v.put(filepath.Join(root, path), text); err != nil {
				return "", err
			}
		}
		return v.build(filepath.Join(programDir, name))
	})
}

// overlay tells go build which files to read instead of others.
type overlay struct {
	root, dir string
	Replace   map[string]string
}

// change puts every source of the program through change.
func (v *overlay) change(change func(path, text string) string) error {
	return filepath.WalkDir(v.root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(v.root, path)
		if err != nil {
			return err
		}
		if changed := change(filepath.ToSlash(inside), string(text)); changed != string(text) {
			return v.put(path, changed)
		}
		return nil
	})
}

func (v *overlay) put(path, text string) error {
	v.Replace[path] = filepath.Join(v.dir, fmt.Sprintf("%d-%s", len(v.Replace), filepath.Base(path)))
	return os.WriteFile(v.Replace[path], []byte(text), 0o600)
}

func (v *overlay) build(to string) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	file := filepath.Join(v.dir, "overlay.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-buildvcs=false", "-overlay", file, "-o", to, "consentsync/cmd/consentsync").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return to, nil
}
