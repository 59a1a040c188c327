// Package incoming reads what callers send: bodies of a bounded size, and JSON
// that is taken literally. What is refused says which field is at fault and
// what to do about it.
package incoming

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"consentsync/internal/consent"
)

// Body reads a body of at most so many bytes: TooLarge if there are more,
// Invalid if it was cut off.
func Body(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	limited := http.MaxBytesReader(w, r.Body, most)
	var body []byte
	var err error
	if n := r.ContentLength; n > 0 && n <= most {
		body = make([]byte, n) // at once: webhooks come by the thousand
		_, err = io.ReadFull(limited, body)
	} else {
		body, err = io.ReadAll(limited)
	}
	if err == nil {
		return body, nil
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, consent.Errorf(consent.TooLarge, "incoming", "the body is larger than %d bytes", most)
	}
	return nil, consent.Errorf(consent.Invalid, "incoming", "the body was cut off")
}

// Decode reads a body that is one JSON object into v. A field that v does not
// have is refused rather than ignored.
func Decode(body []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return undecodable(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) || string(bytes.TrimSpace(body)) == "null" {
		return consent.Errorf(consent.Invalid, "incoming", "the body must be one JSON object")
	}
	return nil
}

func undecodable(err error) error {
	if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrongType.Field != "" {
		return RefuseField(field(wrongType.Field), fmt.Sprintf("must be %s, not a JSON %s", inWords(wrongType.Type.Kind()), wrongType.Value))
	}
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return RefuseField(strings.Trim(name, `"`), "there is no such field: correct its name or leave it out")
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return consent.Errorf(consent.Invalid, "incoming", "the body is not JSON: an error at byte %d", syntax.Offset)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return consent.Errorf(consent.Invalid, "incoming", "the body is not JSON: it ends too soon")
	}
	return consent.Errorf(consent.Invalid, "incoming", "the body must be one JSON object")
}

// field gives the path of a field as it stands in the body: encoding/json puts
// the name of an embedded struct before it, and no field of ours begins with a
// capital.
func field(path string) string {
	for path != "" && unicode.IsUpper(rune(path[0])) {
		_, path, _ = strings.Cut(path, ".")
	}
	return path
}

func inWords(kind reflect.Kind) string {
	switch kind {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.String:
		return "a text"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}

// RefuseField makes the error of one field of a request: what is wrong with it,
// and what to do.
func RefuseField(field, problem string) error {
	return Refuse(consent.Invalid, map[string]string{field: problem})
}

// Refuse makes the error of the fields at fault. Its message names them too,
// for those who only look there.
func Refuse(kind consent.Kind, fields map[string]string) error {
	names := slices.Sorted(maps.Keys(fields))
	message := "these fields cannot be accepted: " + strings.Join(names, ", ")
	if len(names) == 1 {
		message = names[0] + ": " + fields[names[0]]
	}
	return &consent.Error{Kind: kind, Op: "incoming", Message: message, Fields: fields}
}
