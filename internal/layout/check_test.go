package layout

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A source is what the rules need to know of one Go file.
type source struct {
	name      string // from the module's root
	pkg       string
	doc       string
	imports   []string
	lines     int
	generated bool
}

func (s source) folder() string { return path.Dir(s.name) }
func (s source) isTest() bool   { return strings.HasSuffix(s.name, "_test.go") }

// check reads every Go file below root, whatever its build tags, and returns
// what breaks the rules, one line each.
func check(root fs.FS, rules []rule) ([]string, error) {
	sources, err := read(root)
	if err != nil {
		return nil, err
	}
	var problems []string
	for _, src := range sources {
		problems = append(problems, checkImports(src, rules)...)
		if src.lines > maxLines && !src.generated && !src.isTest() {
			problems = append(problems, fmt.Sprintf("%s: %d lines, at most %d are allowed", src.name, src.lines, maxLines))
		}
	}
	return append(problems, checkComments(sources)...), nil
}

func checkImports(src source, rules []rule) []string {
	var problems []string
	for _, r := range rules {
		if !r.binds(src) {
			continue
		}
		for _, imp := range src.imports {
			if r.forbids(imp) {
				problems = append(problems, fmt.Sprintf("%s: imports %q: %s", src.name, imp, r.why))
			}
		}
	}
	return problems
}

func (r rule) binds(src source) bool {
	if src.isTest() && !r.tests {
		return false
	}
	return (len(r.in) == 0 || underAny(src.folder(), r.in)) && !underAny(src.folder(), r.except)
}

// forbids says whether a file that the rule binds breaks it by importing imp.
func (r rule) forbids(imp string) bool {
	ours, isOurs := strings.CutPrefix(imp, module+"/")
	if slices.Contains(r.never, anythingButStd) {
		first, _, _ := strings.Cut(imp, "/")
		std := imp != module && !isOurs && imp != "C" && !strings.Contains(first, ".")
		own := isOurs && underAny(ours, r.in)
		return !std && !own
	}
	return underAny(ours, r.never) // CutPrefix leaves the paths of others as they are
}

// checkComments wants a package comment of the usual form in every folder. It
// may stand in a test file only where there is nothing else.
func checkComments(sources []source) []string {
	var problems []string
	for folder, files := range byFolder(sources) {
		if code := slices.DeleteFunc(slices.Clone(files), source.isTest); len(code) > 0 {
			files = code
		}
		if !slices.ContainsFunc(files, hasPackageComment) {
			problems = append(problems, fmt.Sprintf("%s: package %s has no package comment (in doc.go: what it guarantees)", folder, files[0].pkg))
		}
	}
	slices.Sort(problems)
	return problems
}

func hasPackageComment(src source) bool {
	if src.pkg == "main" {
		return src.doc != ""
	}
	return strings.HasPrefix(src.doc, "Package "+strings.TrimSuffix(src.pkg, "_test")+" ")
}

func byFolder(sources []source) map[string][]source {
	folders := map[string][]source{}
	for _, src := range sources {
		folders[src.folder()] = append(folders[src.folder()], src)
	}
	return folders
}

// read parses the head of every Go file of the module at root. Other modules
// nested in it, and folders the go command ignores, are left out.
func read(root fs.FS) ([]source, error) {
	var sources []source
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && ignored(root, name):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		src, err := readFile(root, name)
		sources = append(sources, src)
		return err
	})
	return sources, err
}

func ignored(root fs.FS, folder string) bool {
	base := path.Base(folder)
	if base == "testdata" || base == "vendor" || base == "node_modules" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := fs.Stat(root, path.Join(folder, "go.mod"))
	return err == nil
}

func readFile(root fs.FS, name string) (source, error) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return source{}, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return source{}, err
	}
	src := source{
		name:      name,
		pkg:       file.Name.Name,
		doc:       file.Doc.Text(),
		lines:     bytes.Count(text, []byte("\n")),
		generated: ast.IsGenerated(file),
	}
	for _, spec := range file.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, fmt.Errorf("%s: %w", name, err)
		}
		src.imports = append(src.imports, imp)
	}
	return src, nil
}

// under says whether name is folder or lies below it.
func under(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}

func underAny(name string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return under(name, folder) })
}
