// Package layout guarantees the shape of this module: which package may import
// which, that no source file grows past 600 lines, and that every package says
// what it guarantees. It holds tests only; the table in rules_test.go is the
// rule, and .golangci.yml repeats its imports for editors.
package layout
