package docs

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

const (
	responsesPrefix = "#/components/responses/"
	written         = "This page is written by `make docs`, %s. A test fails when the two differ: do not change it here.\n"
)

// fieldColumns are those of a table of fields.
var fieldColumns = []string{"field", "type", "required", "what it is"}

// API writes docs/api.md: every route of the OpenAPI document with what it takes
// and answers, then what they share. takes tells which role a route takes; it is
// asked for those that want a token.
func API(doc *openapi3.T, takes func(pattern string) string) (string, error) {
	w := &apiPage{doc: doc, takes: takes}
	w.line("# API\n")
	w.line(written, "from [internal/api/openapi.yaml](../internal/api/openapi.yaml), which a running server gives as `GET /openapi.yaml`")
	w.para(doc.Info.Description)
	w.contents()
	for _, tag := range doc.Tags {
		w.line("## %s\n", tag.Name)
		w.para(tag.Description)
		for _, r := range w.routes(tag.Name) {
			w.route(r)
		}
	}
	w.shared()
	w.errors()
	w.line("## Schemas\n")
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		w.schema(name, doc.Components.Schemas[name])
	}
	return strings.TrimRight(w.String(), "\n") + "\n", w.failed
}

// apiPage is the page in the making. What could not be written is told in the
// end.
type apiPage struct {
	page
	schemas
	doc    *openapi3.T
	takes  func(pattern string) string
	failed error
}

// route is one operation of the document.
type route struct {
	method, path string
	*openapi3.Operation
	parameters openapi3.Parameters
}

func (r *route) pattern() string { return r.method + " " + r.path }

var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// routes gives those of a tag by address.
func (w *apiPage) routes(tag string) []*route {
	var found []*route
	for _, path := range slices.Sorted(maps.Keys(w.doc.Paths.Map())) {
		item := w.doc.Paths.Value(path)
		for _, method := range methods {
			o := item.GetOperation(method)
			if o != nil && slices.Contains(o.Tags, tag) {
				found = append(found, &route{method, path, o, slices.Concat(item.Parameters, o.Parameters)})
			}
		}
	}
	return found
}

func (w *apiPage) contents() {
	var rows [][]string
	for _, tag := range w.doc.Tags {
		for _, r := range w.routes(tag.Name) {
			rows = append(rows, []string{fmt.Sprintf("[%s](#%s)", code(r.pattern()), Anchor(r.pattern())), r.Summary})
		}
	}
	w.table([]string{"route", "what it is for"}, rows)
}

func (w *apiPage) route(r *route) {
	w.line("### `%s`\n", r.pattern())
	w.para("**" + strings.TrimRight(r.Summary, ".") + ".** " + r.Description)
	if r.Security != nil && len(*r.Security) > 0 {
		w.access(r)
	}
	var rows [][]string
	for _, p := range r.parameters {
		rows = append(rows, []string{code(p.Value.Name), p.Value.In, w.kind(p.Value.Schema), yes(p.Value.Required), p.Value.Description})
	}
	w.table([]string{"parameter", "in", "type", "required", "what it is"}, rows)
	if r.RequestBody != nil {
		w.body(r.RequestBody.Value)
	}
	w.answers(r)
}

// access tells what lets a caller in.
func (w *apiPage) access(r *route) {
	var schemes []string
	for _, requirement := range *r.Security {
		schemes = append(schemes, slices.Sorted(maps.Keys(requirement))...)
	}
	if slices.Contains(schemes, "administrator") {
		w.para("Takes the role " + w.takes(r.pattern()) + ".")
		return
	}
	var words []string
	for _, name := range schemes {
		words = append(words, strings.TrimRight(w.doc.Components.SecuritySchemes[name].Value.Description, ".\n"))
	}
	w.para("Takes: " + strings.Join(words, "; or: ") + ".")
}

func (w *apiPage) body(b *openapi3.RequestBody) {
	must := "may be left out"
	if b.Required {
		must = "has to be there"
	}
	types := slices.Sorted(maps.Keys(b.Content))
	first := b.Content[types[0]]
	same := true
	for _, name := range types {
		same = same && b.Content[name].Schema.Ref == first.Schema.Ref
	}
	for i, name := range types {
		m := b.Content[name]
		if same { // the same under several names
			if i > 0 {
				continue
			}
			name = strings.Join(types, "`, `")
		}
		w.para(fmt.Sprintf("**Body** (`%s`, %s): %s. %s", name, must, w.kind(m.Schema), b.Description))
		if named(m.Schema) == "" {
			w.table(fieldColumns, w.fields("", m.Schema))
		}
		w.examples(m)
	}
}

func (w *apiPage) examples(m *openapi3.MediaType) {
	if m.Example != nil {
		w.show(m.Example)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Examples)) {
		e := m.Examples[name].Value
		w.para(strings.TrimRight(e.Summary, ".") + ":")
		w.show(e.Value)
	}
}

func (w *apiPage) show(value any) {
	if err := w.example(value); err != nil && w.failed == nil {
		w.failed = err
	}
}

// answers lists what is answered; errors that are as everywhere only by number.
func (w *apiPage) answers(r *route) {
	statuses := slices.Sorted(maps.Keys(r.Responses.Map()))
	var rows [][]string
	var usual []string
	for _, status := range statuses {
		a := r.Responses.Value(status)
		if isError(status) && a.Ref != "" {
			usual = append(usual, fmt.Sprintf("[%s](#errors)", status))
			continue
		}
		what := *a.Value.Description
		if name := sharedName(a); name != "" {
			what += fmt.Sprintf(" [An example](#%s).", Anchor(sharedTitle(name)))
		}
		rows = append(rows, []string{status, what, w.content(a.Value)})
	}
	w.table([]string{"answer", "what it says", "body"}, rows)
	for _, status := range statuses {
		a := r.Responses.Value(status)
		if a.Ref == "" {
			w.answer(a.Value)
		}
	}
	if len(usual) > 0 {
		w.para("Errors: " + strings.Join(usual, ", ") + ".")
	}
}

// answer writes what a table row has no room for.
func (w *apiPage) answer(a *openapi3.Response) {
	for _, name := range slices.Sorted(maps.Keys(a.Content)) {
		m := a.Content[name]
		if m.Schema != nil && named(m.Schema) == "" {
			w.table(fieldColumns, w.fields("", m.Schema))
		}
		w.examples(m)
	}
}

// content tells in a few words what the body of an answer is.
func (w *apiPage) content(a *openapi3.Response) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(a.Content)) {
		text := code(name)
		if m := a.Content[name]; m.Schema != nil && name == "application/json" {
			text = w.kind(m.Schema)
		}
		all = append(all, text)
	}
	return strings.Join(all, " or ")
}

func isError(status string) bool {
	n, err := strconv.Atoi(status)
	return err == nil && n >= http.StatusBadRequest
}

func sharedName(a *openapi3.ResponseRef) string {
	name, _ := strings.CutPrefix(a.Ref, responsesPrefix)
	return name
}

func sharedTitle(name string) string { return "Answer: " + name }

// shared writes the answers that several routes give.
func (w *apiPage) shared() {
	w.line("## Shared answers\n")
	for _, name := range slices.Sorted(maps.Keys(w.doc.Components.Responses)) {
		a := w.doc.Components.Responses[name].Value
		if w.errorStatus(name) != "" {
			continue
		}
		w.line("### %s\n", sharedTitle(name))
		w.para(*a.Description + " Body: " + w.content(a) + ".")
		w.answer(a)
	}
}

// errors writes what every error looks like.
func (w *apiPage) errors() {
	w.line("## Errors\n")
	w.para("The body of each is an " + w.link("Error") + ".")
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(w.doc.Components.Responses)) {
		status := w.errorStatus(name)
		if status == "" {
			continue
		}
		a := w.doc.Components.Responses[name].Value
		says := ""
		for _, media := range slices.Sorted(maps.Keys(a.Content)) {
			if example, ok := a.Content[media].Example.(map[string]any); ok {
				says = code(fmt.Sprint(example["message"]))
			}
		}
		rows = append(rows, []string{status, *a.Description, says})
	}
	slices.SortStableFunc(rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	w.table([]string{"status", "what it means", "such as"}, rows)
}

// errorStatus gives the status under which routes give a shared answer, if it is
// an error.
func (w *apiPage) errorStatus(name string) string {
	for _, item := range w.doc.Paths.Map() {
		for _, o := range item.Operations() {
			for status, a := range o.Responses.Map() {
				if sharedName(a) == name && isError(status) {
					return status
				}
			}
		}
	}
	return ""
}

func (w *apiPage) schema(name string, ref *openapi3.SchemaRef) {
	w.line("### %s\n", name)
	w.para(ref.Value.Description)
	rows := w.fields("", ref)
	if len(rows) == 0 {
		kind := w.kind(ref)
		w.para(strings.ToUpper(kind[:1]) + kind[1:] + ".")
		return
	}
	w.table(fieldColumns, rows)
}
