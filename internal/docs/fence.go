package docs

import (
	"fmt"
	"strings"
	"unicode"
)

// Fence is a fenced block of a page.
type Fence struct {
	Page string
	Line int    // of what opens it
	Info string // what stands behind the backticks
	Text string // without the indentation that the fence has
}

// Language is the first word behind the backticks.
func (f *Fence) Language() string {
	language, _, _ := strings.Cut(f.Info, " ")
	return language
}

// notRun is how a fence of commands says that no test runs them.
const notRun = "sh not run: "

// NotRun tells why no test runs the commands, or "" where one has to.
func (f *Fence) NotRun() string {
	reason, _ := strings.CutPrefix(f.Info, notRun)
	if reason == f.Info {
		return ""
	}
	return strings.TrimSpace(reason)
}

// Fences gives the fenced blocks of a page. One that does not end, or does not
// say what is in it, is an error: nobody would know whether it holds commands.
func Fences(page, text string) ([]Fence, error) {
	var found []Fence
	var open *Fence
	indent := 0
	for i, line := range strings.Split(text, "\n") {
		bare := strings.TrimLeft(line, " ")
		switch {
		case open == nil && strings.HasPrefix(bare, "```"):
			indent = len(line) - len(bare)
			open = &Fence{Page: page, Line: i + 1, Info: strings.TrimSpace(strings.TrimLeft(bare, "`"))}
			if open.Info == "" {
				return nil, fmt.Errorf("%s:%d: say what the block holds behind its backticks: sh for commands, which are run (or \"%s\" and why), else json, csv, text …", page, i+1, notRun)
			}
		case open != nil && strings.TrimSpace(line) == "```":
			found = append(found, *open)
			open = nil
		case open != nil:
			open.Text += dedent(line, indent) + "\n"
		}
	}
	if open != nil {
		return nil, fmt.Errorf("%s:%d: the block does not end", page, open.Line)
	}
	return found, nil
}

func dedent(line string, by int) string {
	for i := 0; i < by && strings.HasPrefix(line, " "); i++ {
		line = line[1:]
	}
	return line
}

// Spans gives what stands between single backticks outside of fenced blocks.
func Spans(text string) []string {
	var found []string
	fenced := false
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(strings.TrimLeft(line, " "), "```") {
			fenced = !fenced
			continue
		}
		if fenced {
			continue
		}
		for i, part := range strings.Split(line, "`") {
			if i%2 == 1 && part != "" {
				found = append(found, part)
			}
		}
	}
	return found
}

// Anchor is what a link to a heading ends with, as GitHub makes it: small
// letters, digits, hyphens and underscores; spaces become hyphens.
func Anchor(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(heading)) {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
			b.WriteRune(r)
		case r == ' ':
			b.WriteByte('-')
		}
	}
	return b.String()
}
