package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"
)

var linux = platform{"linux", "amd64"}

func sample() *release {
	return &release{version: "1.2.3", commit: "c0ffee", at: time.Unix(1_700_000_000, 0).UTC()}
}

func files() map[string][]byte {
	return map[string][]byte{binaryName: []byte("binary"), "LICENSE": []byte("licence"), "README.md": []byte("read"), "CHANGELOG.md": []byte("changes")}
}

func untar(t *testing.T, text []byte) map[string]string {
	t.Helper()
	got := make(map[string]string)
	for r := tar.NewReader(bytes.NewReader(text)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.ModTime.Unix() != 1_700_000_000 || h.Uid != 0 {
			t.Errorf("%s is of %s and user %d", h.Name, h.ModTime, h.Uid)
		}
		got[h.Name] = strconv.FormatInt(h.Mode, 8) + " " + string(body)
	}
}

func unzip(t *testing.T, text []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func TestTheDebianPackage(t *testing.T) {
	t.Parallel()
	text, err := sample().deb(linux, files())
	if err != nil {
		t.Fatal(err)
	}
	rest, ok := strings.CutPrefix(string(text), "!<arch>\n")
	members := make(map[string]string)
	for ok && rest != "" {
		size, err := strconv.Atoi(strings.TrimSpace(rest[48:58]))
		if err != nil || rest[58:60] != "`\n" {
			t.Fatalf("a header of %q", rest[:60])
		}
		members[strings.TrimSpace(rest[:16])] = rest[60 : 60+size]
		rest = rest[60+size+size%2:]
	}
	if members["debian-binary"] != "2.0\n" {
		t.Errorf("members %d, debian-binary %q", len(members), members["debian-binary"])
	}
	control := untar(t, unzip(t, []byte(members["control.tar.gz"])))["./control"]
	for _, want := range []string{"Package: consentsync\n", "Version: 1.2.3\n", "Architecture: amd64\n"} {
		if !strings.Contains(control, want) {
			t.Errorf("the control file lacks %q:\n%s", want, control)
		}
	}
	data := untar(t, unzip(t, []byte(members["data.tar.gz"])))
	for name, want := range map[string]string{"./usr/bin/consentsync": "755 binary", "./usr/share/doc/consentsync/copyright": "644 licence", "./usr/share/": "755 "} {
		if data[name] != want {
			t.Errorf("%s is %q, want %q", name, data[name], want)
		}
	}
	for version, want := range map[string]string{"1.2.3": "1.2.3", "abc123": "0~abc123", "1234567": "0~1234567"} {
		if got := debianVersion(version); got != want {
			t.Errorf("version %s is %s for Debian, want %s", version, got, want)
		}
	}
}

// The image is found by its index, each part by its digest, and the binary by
// what is started.
func TestTheImage(t *testing.T) {
	t.Parallel()
	text, err := sample().image(linux, []byte("binary"))
	if err != nil {
		t.Fatal(err)
	}
	parts := untar(t, text)
	type ref struct{ Digest string }
	part := func(d string, into any) string {
		body := strings.TrimPrefix(parts["blobs/"+strings.Replace(d, ":", "/", 1)], "644 ")
		if digest([]byte(body)) != d {
			t.Fatalf("%s is not what it is called", d)
		}
		if into != nil {
			if err := json.Unmarshal([]byte(body), into); err != nil {
				t.Fatal(err)
			}
		}
		return body
	}
	var index struct{ Manifests []ref }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(parts["index.json"], "644 ")), &index); err != nil || len(index.Manifests) != 1 {
		t.Fatalf("%v, index %+v", err, index)
	}
	var manifest struct {
		Config ref
		Layers []ref
	}
	part(index.Manifests[0].Digest, &manifest)
	var config struct {
		Architecture string
		Config       struct{ Entrypoint []string }
		Rootfs       struct {
			Diff []string `json:"diff_ids"`
		}
	}
	part(manifest.Config.Digest, &config)
	layer := untar(t, []byte(part(manifest.Layers[0].Digest, nil)))
	if layer[strings.TrimPrefix(config.Config.Entrypoint[0], "/")] != "755 binary" || config.Architecture != "amd64" || config.Rootfs.Diff[0] != manifest.Layers[0].Digest {
		t.Errorf("config %+v, layer %v", config, layer)
	}
}
