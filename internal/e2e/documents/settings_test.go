package documents_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"consentsync/internal/api"
	"consentsync/internal/consent"
	"consentsync/internal/integration"
)

// What docs/configuration.md says of the settings of an integration is what an
// integration is checked by: each that is required is missed, each bound is the
// last value that is taken, and each default is what holds without it.
func TestDocumentedSettingsAreThoseThatAreChecked(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	schema := doc.Components.Schemas["PropertiesInput"].Value
	minimal := read(t, "examples/integration-minimal.json")
	// with gives what becomes of the minimal integration with another value of a
	// property, or without it.
	with := func(name string, value any) (*integration.File, error) {
		var body map[string]any
		if err := json.Unmarshal([]byte(minimal), &body); err != nil {
			t.Fatal(err)
		}
		properties := body["properties"].(map[string]any)
		if properties[name] = value; value == nil {
			delete(properties, name)
		}
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		return integration.ReadFile(text)
	}
	refused := func(name string, value any) {
		t.Helper()
		_, err := with(name, value)
		if e, ok := errors.AsType[*consent.Error](err); !ok || e.Fields["properties."+name] == "" {
			t.Errorf("%s of %v: %v, want a refusal that names it", name, value, err)
		}
	}
	taken := func(name string, value any) {
		t.Helper()
		if _, err := with(name, value); err != nil {
			t.Errorf("%s of %v: %v", name, value, err)
		}
	}
	checked := 0
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		p := schema.Properties[name].Value
		if slices.Contains(schema.Required, name) {
			refused(name, nil)
			checked++
		}
		if p.Min != nil {
			refused(name, *p.Min-1)
			taken(name, *p.Min)
			checked++
		}
		if p.Max != nil {
			refused(name, *p.Max+1)
			taken(name, *p.Max)
			checked++
		}
		if p.Default != nil {
			f, err := with(name, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(fmt.Sprint(p.Default), fmt.Sprint(held(t, f, name, p.Default))); diff != "" {
				t.Errorf("the default of %s: -document +code:\n%s", name, diff)
			}
			checked++
		}
	}
	if checked < 12 {
		t.Errorf("only %d settings were checked", checked)
	}
}

// held gives a property as JSON has it; one that is left out where it is nothing
// has the nothing of its kind.
func held(t *testing.T, f *integration.File, name string, like any) any {
	t.Helper()
	text, err := json.Marshal(f.Properties)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if value, there := all[name]; there {
		return value
	}
	if _, flag := like.(bool); flag {
		return false
	}
	return 0
}
