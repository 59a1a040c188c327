package main

import (
	"bytes"
	"crypto/md5" //nolint:gosec // what a Debian package has
	"fmt"
	"path"
	"slices"
	"strings"
)

// deb makes a Debian package with the binary and its documents
// (https://www.debian.org/doc/debian-policy/ap-pkg-binarypkg.html,
// https://manpages.debian.org/deb.5).
func (r *release) deb(p platform, files map[string][]byte) ([]byte, error) {
	installed := []entry{
		{"./usr/bin/" + binaryName, 0o755, files[binaryName]},
		{"./usr/share/doc/consentsync/README.md", 0o644, files["README.md"]},
		{"./usr/share/doc/consentsync/CHANGELOG.md", 0o644, files["CHANGELOG.md"]},
		{"./usr/share/doc/consentsync/copyright", 0o644, files["LICENSE"]},
	}
	data, err := r.tar(withFolders(installed))
	if err != nil {
		return nil, err
	}
	control, err := r.tar(append([]entry{{name: "./", mode: 0o755}}, r.control(p, installed)...))
	if err != nil {
		return nil, err
	}
	if data, err = zipped(data); err != nil {
		return nil, err
	}
	if control, err = zipped(control); err != nil {
		return nil, err
	}
	b := bytes.NewBufferString("!<arch>\n")
	for _, member := range []entry{{name: "debian-binary", text: []byte("2.0\n")}, {name: "control.tar.gz", text: control}, {name: "data.tar.gz", text: data}} {
		_, _ = fmt.Fprintf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", member.name, r.at.Unix(), 0, 0, "100644", len(member.text))
		b.Write(member.text)
		if len(member.text)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes(), nil
}

// control says what the package is.
func (r *release) control(p platform, installed []entry) []entry {
	size, sums := 0, ""
	for _, e := range installed {
		size += len(e.text)
		sums += fmt.Sprintf("%x  %s\n", md5.Sum(e.text), strings.TrimPrefix(e.name, "./")) //nolint:gosec // as above
	}
	control := fmt.Sprintf(`Package: consentsync
Version: %s
Architecture: %s
Maintainer: The consentsync authors <consentsync@localhost>
Installed-Size: %d
Recommends: ca-certificates
Section: net
Priority: optional
Description: keeps Actito profiles in agreement with Didomi preferences
 People choose on Didomi what a company may send them; the company sends from
 Actito. consentsync brings every choice to the person's Actito profile.
`, debianVersion(r.version), p.arch, (size+1023)/1024)
	return []entry{{"./control", 0o644, []byte(control)}, {"./md5sums", 0o644, []byte(sums)}}
}

// debianVersion is a version that dpkg takes: it begins with a digit.
func debianVersion(version string) string {
	if version == "" || version[0] < '0' || version[0] > '9' || !strings.Contains(version, ".") {
		return "0~" + version
	}
	return version
}

// withFolders puts the folders before the files that stand in them.
func withFolders(files []entry) []entry {
	all := []entry{{name: "./", mode: 0o755}}
	for _, f := range files {
		var folders []entry
		for d := path.Dir(f.name[2:]); d != "."; d = path.Dir(d) {
			folders = append(folders, entry{name: "./" + d + "/", mode: 0o755})
		}
		slices.Reverse(folders)
		for _, d := range folders {
			if !slices.ContainsFunc(all, func(e entry) bool { return e.name == d.name }) {
				all = append(all, d)
			}
		}
		all = append(all, f)
	}
	return all
}
