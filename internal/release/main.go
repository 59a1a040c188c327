// Command release builds what is given out: static binaries for each platform
// in an archive, Debian packages, container images, and their checksums.
//
// The same source, version and Go make the same bytes, on any machine: all times
// are that of the commit, all names are sorted, and nothing of the machine is
// stamped into anything.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// platform is what a binary is built for.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "-" + p.arch }

// platforms are those that are released. Darwin's are for trying it out.
var platforms = []platform{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}}

// release is what is made.
type release struct {
	version, commit string
	at              time.Time // of the commit
	root, out       string
}

func main() {
	var r release
	var when string
	flag.StringVar(&r.version, "version", "", "the version, as in 1.2.3; by default that of the tag")
	flag.StringVar(&when, "at", "", "the time of all files, in seconds since 1970; by default that of the commit")
	flag.StringVar(&r.out, "out", "dist", "`directory` for what is made")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := r.describe(ctx, when)
	if err == nil {
		err = r.make(ctx, platforms)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// describe finds out what is released where that was not said.
func (r *release) describe(ctx context.Context, when string) (err error) {
	if r.root, err = output(ctx, ".", "go", "list", "-m", "-f", "{{.Dir}}"); err != nil {
		return err
	}
	if r.version == "" {
		if r.version, err = output(ctx, r.root, "git", "describe", "--tags", "--always", "--dirty"); err != nil {
			return err
		}
	}
	r.version = strings.TrimPrefix(r.version, "v")
	if r.commit, err = output(ctx, r.root, "git", "rev-parse", "HEAD"); err != nil {
		return err
	}
	if when == "" {
		if when, err = output(ctx, r.root, "git", "log", "-1", "--format=%ct"); err != nil {
			return err
		}
	}
	seconds, err := strconv.ParseInt(when, 10, 64)
	if err != nil {
		return fmt.Errorf("-at: %w", err)
	}
	r.at = time.Unix(seconds, 0).UTC()
	return nil
}

// make builds everything for platforms into the directory.
func (r *release) make(ctx context.Context, platforms []platform) error {
	if err := os.MkdirAll(r.out, 0o755); err != nil { //nolint:gosec // to be given out
		return err
	}
	var made []string
	for _, p := range platforms {
		files, err := r.contents(ctx, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		name := fmt.Sprintf("consentsync_%s_%s.tar.gz", r.version, p)
		if err := r.write(name, func() ([]byte, error) { return r.tarball(files) }); err != nil {
			return err
		}
		made = append(made, name)
		if p.os != "linux" {
			continue
		}
		deb := fmt.Sprintf("consentsync_%s_%s.deb", r.version, p.arch)
		image := fmt.Sprintf("consentsync_%s_%s.image.tar", r.version, p)
		if err := errors.Join(
			r.write(deb, func() ([]byte, error) { return r.deb(p, files) }),
			r.write(image, func() ([]byte, error) { return r.image(p, files[binaryName]) }),
		); err != nil {
			return err
		}
		made = append(made, deb, image)
	}
	return r.write("SHA256SUMS", func() ([]byte, error) { return r.sums(made) })
}

// binaryName is what the program is called in every archive.
const binaryName = "consentsync"

// contents are the files of an archive, by name.
func (r *release) contents(ctx context.Context, p platform) (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "consentsync-release-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	path := filepath.Join(dir, binaryName)
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", //nolint:gosec // our own words
		"-ldflags", fmt.Sprintf("-s -w -buildid= -X main.version=%s -X main.commit=%s", r.version, r.commit), "-o", path, "./cmd/consentsync")
	build.Dir, build.Stderr = r.root, os.Stderr
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.os, "GOARCH="+p.arch, "GOFLAGS=")
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("go build: %w", err)
	}
	files := make(map[string][]byte)
	if files[binaryName], err = os.ReadFile(path); err != nil {
		return nil, err
	}
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md"} {
		if files[name], err = os.ReadFile(filepath.Join(r.root, name)); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func (r *release) write(name string, content func() ([]byte, error)) error {
	text, err := content()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(filepath.Join(r.out, name), text, 0o644) //nolint:gosec // to be given out
}

// sums are the checksums in the form of sha256sum.
func (r *release) sums(names []string) ([]byte, error) {
	var b []byte
	for _, name := range slices.Sorted(slices.Values(names)) {
		text, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			return nil, err
		}
		b = fmt.Appendf(b, "%x  %s\n", sha256.Sum256(text), name)
	}
	return b, nil
}

// output gives the first line of what a command prints.
func output(ctx context.Context, dir string, command ...string) (string, error) {
	c := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // our own words
	c.Dir, c.Stderr = dir, os.Stderr
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(command, " "), err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line, nil
}
