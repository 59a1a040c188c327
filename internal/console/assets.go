package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"time"
)

//go:embed static
var static embed.FS

// assets are files that pages refer to by an address with the hash of their
// content: a browser may keep them for ever.
type assets struct {
	content map[string][]byte
	version map[string]string
}

func newAssets() *assets {
	a := &assets{content: map[string][]byte{}, version: map[string]string{}}
	entries, _ := fs.ReadDir(static, "static") // it is part of the program
	for _, e := range entries {
		b, _ := fs.ReadFile(static, "static/"+e.Name())
		sum := sha256.Sum256(b)
		a.content[e.Name()], a.version[e.Name()] = b, hex.EncodeToString(sum[:6])
	}
	return a
}

// path gives the address of a file.
func (a *assets) path(name string) string { return "/static/" + a.version[name] + "/" + name }

func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	content, there := a.content[name]
	if !there {
		http.NotFound(w, r)
		return
	}
	// A page of an older program may still be on a screen: it gets what there is
	// now, and does not keep it.
	if r.PathValue("version") == a.version[name] {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}
