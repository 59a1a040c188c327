package docs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// page is a page of Markdown in the making.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) {
	_, _ = fmt.Fprintf(p, format+"\n", args...) // a builder takes everything
}

// para writes a paragraph or more, and an empty line after it.
func (p *page) para(text string) {
	if text = strings.TrimSpace(text); text != "" {
		p.line("%s\n", text)
	}
}

// table writes the rows that have a cell for each column, and nothing where
// there are none.
func (p *page) table(columns []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	p.row(columns)
	p.line("|%s", strings.Repeat("---|", len(columns)))
	for _, cells := range rows {
		p.row(cells)
	}
	p.line("")
}

func (p *page) row(cells []string) {
	for _, c := range cells {
		p.WriteString("| ")
		if c = cell(c); c != "" {
			p.WriteString(c + " ")
		}
	}
	p.line("|")
}

// cell brings a text to one line, which a table needs.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}

// example writes a value that stands in the OpenAPI document as an example: a
// text as it is, anything else as JSON.
func (p *page) example(value any) error {
	language, text := "text", ""
	if s, ok := value.(string); ok {
		text = strings.TrimRight(s, "\n")
	} else {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(value); err != nil {
			return err
		}
		language, text = "json", strings.TrimRight(b.String(), "\n")
	}
	p.line("```%s\n%s\n```\n", language, text)
	return nil
}

// code puts a text between backticks.
func code(text string) string { return "`" + text + "`" }

// alternatives writes "a, b or c".
func alternatives(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " or " + words[n-1]
	}
	return strings.Join(words, "")
}

func yes(so bool) string {
	if so {
		return "yes"
	}
	return ""
}
