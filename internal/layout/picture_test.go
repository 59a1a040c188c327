package layout

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The picture of the layers in docs/design.md is the true one: every package is
// in it, once, and imports only what stands on lower lines.
func TestDesignDocumentDrawsTheImports(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	text, err := os.ReadFile(filepath.Join(root, "docs", "design.md"))
	if err != nil {
		t.Fatal(err)
	}
	sources, err := read(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range checkPicture(string(text), sources) {
		t.Error(problem)
	}
}

var (
	picture = regexp.MustCompile("(?s)\\n## Layout\\n.*?\\n```text\\n(.*?)\\n```\\n")
	gap     = regexp.MustCompile(` {2,}`)
)

// checkPicture gives what of the sources is not as the picture in a document has
// it. Each of its lines is a label and packages, two spaces apart, written from
// internal on.
func checkPicture(document string, sources []source) []string {
	drawn := picture.FindStringSubmatch(document)
	if drawn == nil {
		return []string{"there is no picture under \"## Layout\""}
	}
	var problems []string
	lines := map[string]int{} // of each package, counted from the top
	for n, line := range strings.Split(drawn[1], "\n") {
		for _, name := range gap.Split(line, -1)[1:] {
			if _, twice := lines[folderOf(name)]; twice {
				problems = append(problems, name+" is drawn twice")
			}
			lines[folderOf(name)] = n
		}
	}
	there := map[string]bool{}
	for _, src := range sources {
		there[src.folder()] = true
		line, is := lines[src.folder()]
		if !is {
			problems = append(problems, src.folder()+" is not drawn")
			continue
		}
		for _, imp := range src.imports {
			below, ours := strings.CutPrefix(imp, module+"/")
			if at, is := lines[below]; ours && !src.isTest() && is && at <= line {
				problems = append(problems, fmt.Sprintf("%s imports %s, which is drawn no lower", src.name, below))
			}
		}
	}
	for folder := range lines {
		if !there[folder] {
			problems = append(problems, folder+" is drawn, and there is no such package")
		}
	}
	slices.Sort(problems)
	return slices.Compact(problems)
}

// folderOf gives the folder of a package as the picture names it.
func folderOf(name string) string {
	if strings.HasPrefix(name, "cmd/") {
		return name
	}
	return "internal/" + name
}

// TestCheckPicture shows that whatever is not as it is drawn is told.
func TestCheckPicture(t *testing.T) {
	t.Parallel()
	document := "x\n## Layout\n\nHere:\n\n```text\ntop  cmd/x  api\nlow words  store\n```\n"
	of := func(name string, imports ...string) source { return source{name: name, imports: imports} }
	all := []source{of("cmd/x/a.go", module+"/internal/api"), of("internal/api/a.go", module+"/internal/store", "fmt"), of("internal/store/a.go")}
	for name, x := range map[string]struct {
		document string
		sources  []source
		want     []string
	}{
		"one line, one way": {document, all, []string{"cmd/x/a.go imports internal/api, which is drawn no lower"}},
		"upwards":           {document, append(all[1:], of("cmd/x/a.go"), of("internal/store/b.go", module+"/internal/api")), []string{"internal/store/b.go imports internal/api, which is drawn no lower"}},
		"in a test":         {document, append(all[1:], of("cmd/x/a.go"), of("internal/store/b_test.go", module+"/internal/api")), nil},
		"a new package":     {document, append(all[1:], of("cmd/x/a.go"), of("internal/new/a.go")), []string{"internal/new is not drawn"}},
		"one that is gone":  {document, []source{of("cmd/x/a.go"), of("internal/api/a.go")}, []string{"internal/store is drawn, and there is no such package"}},
		"drawn twice":       {strings.Replace(document, "store", "store  api", 1), append(all[2:], of("cmd/x/a.go"), of("internal/api/a.go")), []string{"api is drawn twice"}},
		"no picture":        {"## Layout\n", nil, []string{"there is no picture under \"## Layout\""}},
	} {
		if got := checkPicture(x.document, x.sources); !slices.Equal(got, x.want) {
			t.Errorf("%s: got %q, want %q", name, got, x.want)
		}
	}
}
