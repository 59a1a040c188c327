package console

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"consentsync/internal/consent"
)

// Form is what was typed, and what is wrong with it.
type Form struct {
	Values url.Values
	// Errors stand beside their fields, by name.
	Errors map[string]string
	// Problem is what is wrong with no field in particular.
	Problem string
}

// mostForm bounds what a form may send.
const mostForm = 1 << 20

// formOf reads what a form sent.
func formOf(w http.ResponseWriter, r *http.Request) (*Form, error) {
	r.Body = http.MaxBytesReader(w, r.Body, mostForm)
	if err := r.ParseForm(); err != nil {
		return nil, &consent.Error{Kind: consent.Invalid, Op: "console", Message: "what the form sent cannot be read", Err: err}
	}
	return &Form{Values: r.PostForm, Errors: map[string]string{}}, nil
}

// newForm makes a form with values to begin with: name, value, name, value.
func newForm(values ...string) *Form {
	f := &Form{Values: url.Values{}, Errors: map[string]string{}}
	for i := 0; i+1 < len(values); i += 2 {
		f.Values.Set(values[i], values[i+1])
	}
	return f
}

// Get gives what was typed into a field.
func (f *Form) Get(name string) string { return f.Values.Get(name) }

// Has tells whether a box was ticked, or a choice made, with this value.
func (f *Form) Has(name, value string) bool { return slices.Contains(f.Values[name], value) }

// refused puts an error beside the fields that it is about, and tells whether
// it is one that whoever typed can do something about. names translates the
// fields of the service to those of the form, where they differ: service, form,
// service, form.
func (f *Form) refused(err error, names ...string) bool {
	var known *consent.Error
	if !errors.As(err, &known) || known.Kind == consent.Internal {
		return false
	}
	for field, problem := range known.Fields {
		for i := 0; i+1 < len(names); i += 2 {
			if names[i] == field {
				field = names[i+1]
			}
		}
		f.Errors[field] = problem
	}
	if len(known.Fields) == 0 {
		f.Problem = sentence(known.Message)
	}
	return true
}

// Faults lists the fields with errors, for the summary above the form.
func (f *Form) Faults() []string { return slices.Sorted(maps.Keys(f.Errors)) }

// status is what a page with this form is answered with.
func (f *Form) status() int {
	if len(f.Errors) > 0 || f.Problem != "" {
		return http.StatusUnprocessableEntity
	}
	return http.StatusOK
}

// sentence makes a message of the services one that can stand alone.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	if !strings.ContainsAny(text[len(text)-1:], ".!?") {
		text += "."
	}
	return text
}

// field is one input with its label, hint and error.
type field struct {
	Form                *Form
	Name, Label         string
	Type, Hint          string
	Autocomplete        string
	Required, Autofocus bool
	Options             []option // of a select
	Rows                string   // of a text area
	List                string   // id of a list of suggestions
	InputMode           string
}

// option is one choice of a select.
type option struct{ Value, Text string }

// newField makes an input. Each setting is name=value: type, hint,
// autocomplete, rows, list, inputmode, option=value:text; or a bare required, autofocus.
func newField(f *Form, name, label string, settings ...string) field {
	x := field{Form: f, Name: name, Label: label, Type: "text"}
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		switch key {
		case "type":
			x.Type = value
		case "hint":
			x.Hint = value
		case "autocomplete":
			x.Autocomplete = value
		case "required":
			x.Required = true
		case "autofocus":
			x.Autofocus = true
		case "list":
			x.List = value
		case "inputmode":
			x.InputMode = value
		case "rows":
			x.Type, x.Rows = "textarea", value
		case "option":
			v, text, _ := strings.Cut(value, ":")
			x.Type, x.Options = "select", append(x.Options, option{v, text})
		}
	}
	return x
}

// ID is the id of the input in the page.
func (x field) ID() string { return "field-" + x.Name }

// Value is what was typed; a password is not given back.
func (x field) Value() string {
	if x.Type == "password" {
		return ""
	}
	return x.Form.Get(x.Name)
}

// Error is what is wrong with it.
func (x field) Error() string { return sentence(x.Form.Errors[x.Name]) }

// Describes lists the ids of what is said about the input.
func (x field) Describes() string {
	var ids []string
	if x.Error() != "" {
		ids = append(ids, x.ID()+"-error")
	}
	if x.Hint != "" {
		ids = append(ids, x.ID()+"-hint")
	}
	return strings.Join(ids, " ")
}
