package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"maps"
	"path"
	"slices"
	"strings"
)

// entry is a file or folder of an archive.
type entry struct {
	name string // a folder's ends with /
	mode int64
	text []byte
}

// tarball packs files into one folder named after the version.
func (r *release) tarball(files map[string][]byte) ([]byte, error) {
	folder := "consentsync-" + r.version + "/"
	entries := []entry{{name: folder, mode: 0o755}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		entries = append(entries, entry{folder + name, modeOf(name), files[name]})
	}
	text, err := r.tar(entries)
	if err != nil {
		return nil, err
	}
	return zipped(text)
}

func modeOf(name string) int64 {
	if path.Base(name) == binaryName {
		return 0o755
	}
	return 0o644
}

// tar packs entries, in their order, as files of root's.
func (r *release) tar(entries []entry) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.text)), ModTime: r.at, Typeflag: tar.TypeReg, Format: tar.FormatGNU, Uname: "root", Gname: "root"}
		if strings.HasSuffix(e.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.text); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

func zipped(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}
