package assumption

import (
	"fmt"
	"path"
	"strings"
)

// Page writes assumptions as a page of Markdown: the introduction, then a table
// for each end, in the order in which the ends come.
func Page(introduction string, names map[string]string, all []Assumption) string {
	var b strings.Builder
	b.WriteString(introduction)
	end := ""
	for i := range all {
		a := &all[i]
		if a.End() != end {
			end = a.End()
			fmt.Fprintf(&b, "\n## %s\n\n| id | what is assumed | how sure | relied upon in | how to check |\n|---|---|---|---|---|\n", names[end])
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", a.ID, cell(sentences(a.Assumed, a.Otherwise)), cell(sureness(a)), files(a.Where), cell(way(a)))
	}
	return b.String()
}

func sentences(texts ...string) string { return strings.TrimSpace(strings.Join(texts, " ")) }

// sureness says how sure an assumption is, with links to what says so.
func sureness(a *Assumption) string {
	text := []string{string(a.Sure)}
	for i, source := range a.Sources {
		text = append(text, fmt.Sprintf("[[%d]](%s)", i+1, source))
	}
	return strings.Join(text, " ")
}

func files(where []string) string {
	var all []string
	for _, file := range where {
		all = append(all, fmt.Sprintf("[`%s`](../%s)", strings.TrimPrefix(file, "internal/"), path.Clean(file)))
	}
	return strings.Join(all, ", ")
}

func way(a *Assumption) string {
	var ways []string
	if a.How != "" {
		ways = append(ways, "`doctor --live`: "+strings.TrimSpace(a.How))
	}
	if a.ByHand != "" {
		ways = append(ways, "By hand: "+a.ByHand)
	}
	return strings.Join(ways, " ")
}

// cell keeps a text within one cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
