package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"

	"consentsync/internal/consent"
)

// readFile reads what --file names, and gives the name by which errors are to
// call it.
func readFile(file string, in io.Reader) (name string, body []byte, err error) {
	if file == "-" {
		name = "the standard input"
		body, err = io.ReadAll(in)
	} else {
		name = file
		body, err = os.ReadFile(file)
	}
	if err != nil {
		return name, nil, fmt.Errorf("--file: %w", err)
	}
	return name, body, nil
}

// inFile says what is wrong with an integration in a file, a line for each
// field.
func inFile(name string, err error) error {
	if known, ok := errors.AsType[*consent.Error](err); ok && len(known.Fields) > 0 {
		return problems(name+": ", known.Fields)
	}
	return fmt.Errorf("%s: %s", name, cmp.Or(consent.MessageOf(err), err.Error()))
}
