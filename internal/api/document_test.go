package api_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"consentsync/internal/accounts"
	"consentsync/internal/api"
	"consentsync/internal/assumption"
	"consentsync/internal/audit"
	"consentsync/internal/auth"
	"consentsync/internal/backfill"
	"consentsync/internal/changes"
	"consentsync/internal/consent"
	"consentsync/internal/didomi"
	"consentsync/internal/doctor"
	"consentsync/internal/emailing"
	"consentsync/internal/events"
	"consentsync/internal/integration"
	"consentsync/internal/people"
	"consentsync/internal/reply"
	"consentsync/internal/store"
)

// elsewhere are the routes that others than API.Register serve.
var elsewhere = []string{
	"GET /", "GET /healthz", "GET /metrics", "GET /readyz", "POST /oauth/token", "POST /webhooks/didomi/{organization_id}", "POST /webhooks/actito/{integration_id}",
}

func load(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestDocumentIsValid also holds the document to the routes that are served,
// in both directions.
func TestDocumentIsValid(t *testing.T) {
	t.Parallel()
	doc := load(t)
	if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Error(err)
	}
	var documented []string
	ids := map[string]string{}
	for pattern, o := range operations(doc) {
		documented = append(documented, pattern)
		if o.Summary == "" || o.Description == "" || o.OperationID == "" || len(o.Tags) == 0 {
			t.Errorf("%s: summary, description, operationId and tags are needed", pattern)
		}
		if other, taken := ids[o.OperationID]; taken {
			t.Errorf("%s: the operationId is that of %s", pattern, other)
		}
		ids[o.OperationID] = pattern
		if o.Security == nil {
			t.Errorf("%s: says nothing of security; [] is for everybody", pattern)
		}
		for _, status := range []int{401, 403, 404, 429} {
			if strings.Contains(pattern, " /v1/") && o.Responses.Status(status) == nil {
				t.Errorf("%s: needs a token and does not promise a %d, which every such route may answer", pattern, status)
			}
		}
	}
	slices.Sort(documented)
	served := append(registered(t), elsewhere...)
	slices.Sort(served)
	if diff := cmp.Diff(served, documented); diff != "" {
		t.Errorf("what is served (-) and what is documented (+) differ:\n%s", diff)
	}
}

func operations(doc *openapi3.T) map[string]*openapi3.Operation {
	all := map[string]*openapi3.Operation{}
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			all[method+" "+path] = o
		}
	}
	return all
}

// registered reads the patterns out of the body of API.Register.
func registered(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "api.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	route := regexp.MustCompile(`^[A-Z]+ /`)
	var found []string
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv == nil || f.Name.Name != "Register" && f.Name.Name != "routes" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if text, err := strconv.Unquote(literal.Value); err == nil && route.MatchString(text) {
					found = append(found, text)
				}
			}
			return true
		})
	}
	if len(found) == 0 {
		t.Fatal("no route was found in API.Register")
	}
	return found
}

// TestDocumentDescribesItAll wants a description of every property and of
// every parameter.
func TestDocumentDescribesItAll(t *testing.T) {
	t.Parallel()
	doc := load(t)
	for pattern, o := range operations(doc) {
		path := doc.Paths.Value(pattern[strings.Index(pattern, "/"):])
		for _, p := range slices.Concat(path.Parameters, o.Parameters) {
			if p.Value.Description == "" {
				t.Errorf("%s: the parameter %s has no description", pattern, p.Value.Name)
			}
		}
		walkOperation(pattern, o, func(where string, s *openapi3.Schema, _ bool) {
			for name, p := range s.Properties {
				narrows := s.Type == nil // the part of an allOf that says more of a described one
				if p.Value.Description == "" && !narrows {
					t.Errorf("%s: the property %s has no description", where, name)
				}
			}
		})
	}
}

// TestAnswersAreClosed wants every object of an answer to say which fields it
// may have, so that one that nobody documented is found.
func TestAnswersAreClosed(t *testing.T) {
	t.Parallel()
	for pattern, o := range operations(load(t)) {
		walkOperation(pattern, o, func(where string, s *openapi3.Schema, answer bool) {
			if answer && s.Type.Is("object") && s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil {
				t.Errorf("%s: the object is open", where)
			}
			for _, name := range s.Required {
				if s.Properties[name] == nil {
					t.Errorf("%s: %s is required and is no property", where, name)
				}
			}
		})
	}
}

func walkOperation(pattern string, o *openapi3.Operation, visit func(where string, s *openapi3.Schema, answer bool)) {
	content := func(where string, c openapi3.Content, answer bool) {
		for _, media := range c {
			walk(where, media.Schema, answer, map[*openapi3.Schema]bool{}, visit)
		}
	}
	if o.RequestBody != nil {
		content(pattern, o.RequestBody.Value.Content, false)
	}
	for status, r := range o.Responses.Map() {
		content(pattern+" "+status, r.Value.Content, true)
	}
}

func walk(where string, ref *openapi3.SchemaRef, answer bool, seen map[*openapi3.Schema]bool, visit func(string, *openapi3.Schema, bool)) {
	if ref == nil || seen[ref.Value] {
		return
	}
	seen[ref.Value] = true
	s := ref.Value
	visit(where, s, answer)
	for name, p := range s.Properties {
		walk(where+"."+name, p, answer, seen, visit)
	}
	for _, p := range slices.Concat(s.AllOf, s.OneOf, s.AnyOf, openapi3.SchemaRefs{s.Items, s.AdditionalProperties.Schema}) {
		walk(where, p, answer, seen, visit)
	}
}

// TestSchemasHaveTheFieldsOfTheTypes compares the document with the types that
// are written as answers: names, and which of them may be absent.
func TestSchemasHaveTheFieldsOfTheTypes(t *testing.T) {
	t.Parallel()
	schemas := load(t).Components.Schemas
	inner := func(s *openapi3.SchemaRef, names ...string) *openapi3.SchemaRef {
		for _, name := range names {
			s = s.Value.Properties[name]
			if s.Value.Items != nil {
				s = s.Value.Items
			}
		}
		return s
	}
	for _, c := range []struct {
		schema *openapi3.SchemaRef
		of     any
	}{
		{schemas["Error"], reply.Envelope{}},
		{schemas["Organization"], accounts.OrganizationView{}},
		{schemas["WebhookClient"], accounts.WebhookClientView{}},
		{schemas["Keys"], auth.KeysView{}},
		{inner(schemas["Keys"], "retired"), auth.RetiredKeyView{}},
		{schemas["APIKey"], accounts.APIKeyView{}},
		{schemas["Examination"], doctor.Report{}},
		{schemas["Finding"], doctor.Finding{}},
		{schemas["LookedAssumption"], doctor.Looked{}},
		{schemas["User"], accounts.MemberView{}},
		{schemas["Invitation"], accounts.InvitationView{}},
		{schemas["Change"], changes.View{}},
		{schemas["Event"], events.View{}},
		{schemas["Email"], emailing.View{}},
		{schemas["Message"], emailing.MessageView{}},
		{schemas["Checkpoint"], audit.Checkpoint{}},
		{schemas["AuditPage"], audit.Page{}},
		{schemas["AuditLink"], audit.Link{}},
		{schemas["AuditRecord"], audit.RecordView{}},
		{schemas["Seal"], audit.Seal{}},
		{inner(schemas["Seal"], "path"), audit.Step{}},
		{schemas["Proven"], audit.Proven{}},
		{inner(schemas["Proven"], "said"), audit.Said{}},
		{schemas["Proof"], audit.Proof{}},
		{schemas["Personal"], audit.Personal{}},
		{inner(schemas["Personal"], "choices"), audit.OwnChoice{}},
		{inner(schemas["Personal"], "texts"), audit.OwnText{}},
		{inner(schemas["Personal"], "profiles"), audit.OwnProfile{}},
		{schemas["Erased"], audit.Erased{}},
		{schemas["Privacy"], store.Privacy{}},
		{schemas["Trouble"], integration.TroubleView{}},
		{schemas["Troubled"], integration.TroubledView{}},
		{schemas["Overview"], integration.OverviewView{}},
		{inner(schemas["Overview"], "effects"), integration.IntervalView{}},
		{schemas["Speed"], integration.SpeedView{}},
		{inner(schemas["Change"], "details"), store.Detail{}},
		{schemas["Integration"], integration.View{}},
		{schemas["Authentication"], integration.Authentication{}},
		{schemas["Properties"], store.Properties{}},
		{schemas["Mapping"], consent.Mapping{}},
		{schemas["Snapshot"], integration.SnapshotView{}},
		{schemas["Attribute"], consent.Attribute{}},
		{schemas["SchemaDifference"], consent.SchemaDifference{}},
		{inner(schemas["SchemaDifference"], "attributes_changed"), consent.AttributeChange{}},
		{schemas["Reprojection"], integration.ReprojectionView{}},
		{inner(schemas["Integration"], "left_out"), store.LeftOutTotal{}},
		{schemas["LicenceHolder"], api.LicenceHolder{}},
		{schemas["Account"], integration.AccountView{}},
		{schemas["Named"], integration.NamedView{}},
		{schemas["AccountTable"], integration.AccountTable{}},
		{schemas["Choices"], integration.ChoicesView{}},
		{inner(schemas["Choices"], "purposes"), integration.PurposeView{}},
		{schemas["SeenChoices"], backfill.Seen{}},
		{schemas["SeenChoice"], backfill.SeenChoice{}},
		{schemas["SeenText"], backfill.SeenText{}},
		{schemas["Simulation"], backfill.Simulation{}},
		{inner(schemas["Simulation"], "structure"), backfill.Structure{}},
		{schemas["SimulatedPeople"], backfill.SimulatedPeople{}},
		{schemas["SimulatedTotal"], backfill.SimulatedTotal{}},
		{schemas["SimulatedSubscription"], backfill.SimulatedField{}},
		{schemas["SimulatedAttribute"], backfill.SimulatedText{}},
		{schemas["SimulatedLeftOut"], backfill.SimulatedLeftOut{}},
		{schemas["SimulatedExample"], backfill.Example{}},
		{schemas["SimulatedCost"], backfill.Cost{}},
		{inner(schemas["SimulatedCost"], "single"), backfill.SingleCost{}},
		{inner(schemas["SimulatedCost"], "bulk"), backfill.BulkCost{}},
		{schemas["SimulatedApproval"], backfill.Approval{}},
		{schemas["Person"], people.Person{}},
		{schemas["Choice"], people.Choice{}},
		{schemas["PersonIntegration"], people.Integration{}},
		{inner(schemas["PersonIntegration"], "wanted"), people.Fields{}},
		{inner(schemas["PersonIntegration"], "known"), people.Fields{}},
		{schemas["Why"], people.Why{}},
		{schemas["LeftOut"], consent.LeftOut{}},
	} {
		want := fields(reflect.TypeOf(c.of))
		got := map[string]bool{}
		for name := range c.schema.Value.Properties {
			got[name] = slices.Contains(c.schema.Value.Required, name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%T: the fields of the type (-) and of the schema (+), true where always there, differ:\n%s", c.of, diff)
		}
	}
	all := map[string]bool{}
	for _, name := range []string{"TraceOfEvent", "TraceOfDecision", "TraceOfCall", "TraceOfAnswer"} {
		for property := range schemas[name].Value.Properties {
			all[property] = true
		}
	}
	want := slices.Sorted(maps.Keys(fields(reflect.TypeFor[people.Entry]())))
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(all))); diff != "" {
		t.Errorf("the fields of people.Entry (-) and of the four kinds of line (+) differ:\n%s", diff)
	}
}

// fields gives the JSON names of a struct, those of embedded ones included,
// and whether each is always written.
func fields(of reflect.Type) map[string]bool {
	found := map[string]bool{}
	for f := range of.Fields() {
		name, options, tagged := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			maps.Copy(found, fields(f.Type))
			continue
		}
		found[name] = !tagged || !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero")
	}
	return found
}

// TestExamplesOfWebhooksAreTaken reads them as the webhook does, and the plain
// and the flattened one say the same choice.
func TestExamplesOfWebhooksAreTaken(t *testing.T) {
	t.Parallel()
	examples := load(t).Paths.Value("/webhooks/didomi/{organization_id}").Post.RequestBody.Value.Content["application/json"].Examples
	for name, example := range examples {
		body, err := json.Marshal(example.Value.Value)
		if err != nil {
			t.Fatal(err)
		}
		m, err := didomi.Decode(body, "acme-org")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		email := consent.Said{Choice: consent.Choice{Kind: consent.OfChannel, Channel: "email"}, Enabled: false}
		if m.OrganizationUserID != "ada@example.com" || !slices.Contains(m.Choices, email) {
			t.Errorf("%s: was read as %+v", name, m)
		}
	}
	if len(examples) != 2 {
		t.Errorf("there are %d examples, want 2", len(examples))
	}
}

// TestExamplesOfMappingsAreTaken checks the paths that the document shows.
func TestExamplesOfMappingsAreTaken(t *testing.T) {
	t.Parallel()
	content := load(t).Paths.Value("/v1/marketplace/integrations").Post.RequestBody.Value.Content["application/json"]
	for name, example := range content.Examples {
		var settings store.Settings
		body, err := json.Marshal(example.Value.Value)
		if err == nil {
			err = json.Unmarshal(body, &settings)
		}
		if err != nil {
			t.Fatal(err)
		}
		var attributes []consent.Mapping
		for _, a := range settings.Properties.Attributes {
			attributes = append(attributes, a.Mapping)
		}
		if problems := consent.CheckMappings(settings.Mappings, attributes); problems != nil {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

// TestDocumentHoldsTheConstants compares the lists of words that the document
// has with those of the code.
func TestDocumentHoldsTheConstants(t *testing.T) {
	t.Parallel()
	schemas := load(t).Components.Schemas
	words := func(list ...any) (texts []any) {
		for _, w := range list {
			texts = append(texts, fmt.Sprint(w))
		}
		return texts
	}
	types := []any{}
	for _, m := range consent.MessageTypes {
		types = append(types, string(m))
	}
	outcomes := []any{"ok"}
	for k := consent.Internal; k <= consent.Unclear; k++ {
		outcomes = append(outcomes, k.String())
	}
	for _, c := range []struct {
		name string
		got  []any
		want []any
	}{
		{"Role", schemas["Role"].Value.Enum, words(accounts.Viewer, accounts.Operator, accounts.Administrator)},
		{"MessageType", schemas["MessageType"].Value.Enum, types},
		{"Outcome", schemas["Outcome"].Value.Enum, words(consent.Applied, consent.Superseded, consent.PendingApproval,
			consent.RegulationConflict, consent.NoPerson, consent.Unlinked, consent.Duplicate)},
		{"Reason", schemas["Reason"].Value.Enum, words(consent.ByEvent, consent.ByUndated, consent.BySnapshot, consent.ByDeletion)},
		{"Attribute.kind", schemas["Attribute"].Value.Properties["kind"].Value.Enum, words(consent.String, consent.Integer, consent.Decimal,
			consent.Boolean, consent.Date, consent.Timestamp)},
		{"Integration.status", schemas["Integration"].Value.Properties["status"].Value.Enum, words(store.Active, store.Paused, store.Suspended)},
		{"Finding.status", schemas["Finding"].Value.Properties["status"].Value.Enum, words(doctor.OK, doctor.Warning, doctor.Failed, doctor.Unknown)},
		{"LookedAssumption.sure", schemas["LookedAssumption"].Value.Properties["sure"].Value.Enum, words(assumption.Documented, assumption.Told, assumption.SeenInCode, assumption.Inferred, assumption.Guess)},
		{"LookedAssumption.result", schemas["LookedAssumption"].Value.Properties["result"].Value.Enum, words(assumption.Confirmed, assumption.Refuted, assumption.Unknown)},
		{"MessageState", schemas["MessageState"].Value.Enum, words(store.MessagePending, store.MessageInFlight, store.MessageSent, store.MessageFailed, store.MessageUnclear, store.MessageDropped)},
		{"Message.origin", schemas["Message"].Value.Properties["origin"].Value.Enum, words(store.OfEvent, store.OfRequest, store.OfTest)},
		{
			"Simulation.source", schemas["Simulation"].Value.Properties["structure"].Value.Properties["source"].Value.Enum,
			words(backfill.FromLive, backfill.FromSnapshot, backfill.FromMapping),
		},
		{"PersonIntegration.status", schemas["PersonIntegration"].Value.Properties["status"].Value.Enum, words(store.Pending, store.InFlight, store.Sent,
			store.Waiting, store.Synced, store.Unmatched, store.Failed)},
		{"TraceOfAnswer.outcome", schemas["TraceOfAnswer"].Value.Properties["outcome"].Value.Enum, outcomes},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s: the code (-) and the document (+) differ:\n%s", c.name, diff)
		}
	}
	defaults := schemas["PropertiesInput"].Value.Properties
	for name, want := range map[string]any{
		"base_url": integration.DefaultBaseURL, "calls_per_minute": integration.DefaultCallsPerMinute, "concurrency": integration.DefaultConcurrency,
	} {
		if got := defaults[name].Value.Default; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the default of %s is documented as %v, want %v", name, got, want)
		}
	}
}
