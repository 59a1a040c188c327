package docs

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
)

func TestFences(t *testing.T) {
	t.Parallel()
	page := "# A\n```sh\nmake\n```\n1. B\n\n   ```sh not run: it needs a moon\n   one \\\n     two\n   ```\n\n```json\n{}\n```\n"
	got, err := Fences("a.md", page)
	if err != nil {
		t.Fatal(err)
	}
	want := []Fence{{"a.md", 2, "sh", "make\n"}, {"a.md", 7, "sh not run: it needs a moon", "one \\\n  two\n"}, {"a.md", 12, "json", "{}\n"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if a, b, c := got[0].NotRun(), got[1].NotRun(), got[1].Language(); a != "" || b != "it needs a moon" || c != "sh" {
		t.Errorf("%q %q %q", a, b, c)
	}
	for text, wrong := range map[string]string{"```\nmake\n```\n": "a.md:1: say what the block holds", "x\n```sh\nmake\n": "a.md:2: the block does not end"} {
		if _, err := Fences("a.md", text); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v, want %q", text, err, wrong)
		}
	}
}

func TestSpansAndAnchors(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]string{"a b", "c"}, Spans("x `a b` y `c`\n```sh\n`no`\n```\n")); diff != "" {
		t.Error(diff)
	}
	for heading, want := range map[string]string{
		" Limits": "limits", "`GET /v1/users/{organization_user_id}`": "get-v1usersorganization_user_id", "A node: what now?": "a-node-what-now",
	} {
		if got := Anchor(heading); got != want {
			t.Errorf("%q: %q, want %q", heading, got, want)
		}
	}
}

const small = `
openapi: 3.0.3
info: {title: x, version: '1', description: Of all.}
tags: [{name: things, description: Of things.}]
paths:
  /things/{id}:
    get:
      tags: [things]
      summary: Read
      description: Reads.
      security: [{administrator: []}]
      parameters: [{name: id, in: path, required: true, description: 'Its | id.', schema: {type: string, minLength: 1, maxLength: 9}}]
      responses:
        '200': {description: It., content: {application/json: {schema: {$ref: '#/components/schemas/Thing'}, example: {name: a}}}}
        '404': {$ref: '#/components/responses/Missing'}
        '409':
          description: Not now.
          content: {application/json: {schema: {type: object, properties: {until: {type: string, description: When.}}}}}
components:
  securitySchemes: {administrator: {type: http, scheme: bearer}}
  responses:
    Missing: {description: Nothing there., content: {application/json: {schema: {$ref: '#/components/schemas/Thing'}, example: {message: gone}}}}
  schemas:
    Thing:
      type: object
      description: A thing.
      required: [name]
      properties:
        size: {type: integer, minimum: 1, maximum: 5, default: 2, description: How large.}
        name: {type: string, nullable: true, description: How it is called.}
        parts: {type: array, description: Of it., items: {type: object, required: [kind], properties: {kind: {type: string, enum: [a, b], description: Of a part.}}}}
`

func TestAPI(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	got, err := API(doc, func(pattern string) string { return "of " + pattern })
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| [`GET /things/{id}`](#get-thingsid) | Read |",
		"### `GET /things/{id}`\n\n**Read.** Reads.\n\nTakes the role of GET /things/{id}.\n",
		"| `id` | path | text, at most 9 characters | yes | Its \\| id. |",
		"| 200 | It. | [Thing](#thing) |",
		"| 409 | Not now. | object |",
		"| `until` | text | | When. |",
		"```json\n{\n  \"name\": \"a\"\n}\n```",
		"Errors: [404](#errors).",
		"| 404 | Nothing there. | `gone` |",
		"### Thing\n\nA thing.\n\n| field | type | required | what it is |\n|---|---|---|---|\n" +
			"| `name` | text or null | yes | How it is called. |\n" +
			"| `parts` | list of object | | Of it. |\n" +
			"| `parts[].kind` | `a` or `b` | yes | Of a part. |\n" +
			"| `size` | whole number, 1 to 5, otherwise `2` | | How large. |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	var program struct {
		Run struct {
			Wait  int      `help:"How long. (default: for ever)" placeholder:"N" env:"X_WAIT"`
			Kind  string   `help:"Of what." default:"a" enum:"a,b" short:"k"`
			Names []string `help:"Of whom." required:""`
			Path  string   `arg:"" help:"Where." type:"path"`
			Loud  bool     `help:"Say it."`
			Quiet bool     `help:"No." hidden:""`
		} `cmd:"" help:"Run it."`
	}
	parser, err := kong.New(&program, kong.Name("x"))
	if err != nil {
		t.Fatal(err)
	}
	w := &configurationPage{program: "x"}
	w.command(parser.Model.Leaves(true)[0])
	want := "### `x run`\n\nRun it.\n\n| argument | type | required | what it is |\n|---|---|---|---|\n| `path` | path | yes | Where. |\n\n" +
		"| flag | variable | type | default | what it does |\n|---|---|---|---|---|\n" +
		"| `--wait N` | `X_WAIT` | whole number | for ever | How long. |\n" +
		"| `--kind`, `-k` | | `a` or `b` | `a` | Of what. |\n" +
		"| `--names` | | list of texts | required | Of whom. |\n" +
		"| `--loud` | | switch | off | Say it. |\n\n"
	if diff := cmp.Diff(want, w.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
