package store

import (
	"bytes"
	"encoding/gob"
	"slices"
	"strings"
)

// Table is one that both engines have, as far as a copy is concerned: what is
// in it belongs to the installation, not to an engine or to a node.
type Table struct {
	Name string
	Key  []Column // the primary key, in its order, but for columns that are NotCopied
	Rest []Column
}

// Column is one of a table.
type Column struct {
	Name string
	Kind Kind
}

// Kind is the type of a column's values, however an engine keeps them.
type Kind int

// The kinds, with the Go type that a row holds for each. Nothing is null.
const (
	Text  Kind = iota // string
	Bytes             // []byte
	Int               // int64
	Bool              // bool
)

// CopyRow is what one row holds, in the order of the table's columns: its key, then
// the rest.
type CopyRow []any

// Columns are all columns of the table, in the order of a CopyRow.
func (t *Table) Columns() []Column { return slices.Concat(t.Key, t.Rest) }

// Names lists columns for SQL.
func Names(columns []Column) string {
	var b strings.Builder
	for i, c := range columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(c.Name)
	}
	return b.String()
}

// Tables is all that a copy of an installation has to hold. What an engine has
// beside it stands in NotCopied: a test of each engine reads its schema and
// fails where something is in neither.
var Tables = []Table{
	{"secret_keys", text("name"), all(raw("sealed"), ints("retired_at"))},
	{"organizations", text("organization"), all(flags("actito"), ints("created_at", "restored_at"))},
	{"webhook_clients", text("client_id"), all(text("organization"), flags("header"), raw("secret_hash", "previous_hash"), ints("previous_until", "created_at"))},
	{"api_keys", text("organization", "id"), all(raw("hash"), text("name", "role", "created_by"), ints("created_at", "expires_at", "used_at"))},
	{"licences", text("licence"), all(ints("epoch", "blocked_until", "idle_since"), text("plan"))},
	{"integrations", text("organization", "id"), all(
		text("status", "status_reason"), ints("revision"), text("licence", "settings"), raw("sealed"), text("snapshot", "webhook", "seen"), ints("created_at", "updated_at"))},
	{"reprojections", text("organization", "integration"), all(
		text("state", "only_target", "only_state", "only_reason"), raw("cursor"), ints("people", "withdrawals", "grants", "started_at", "only_since", "only_from", "only_to"))},
	{"ledger", all(text("organization"), raw("entity", "content")), all(raw("person"), ints("seen_at"))},
	{"tombstones", all(text("organization"), raw("entity", "deletion")), ints("at")},
	{"events", all(text("organization"), raw("id")), all(
		text("type", "entity_id", "regulation", "outcome"), raw("person", "commitment", "erased", "trace"), ints("consent_at", "arrived_at"))},
	{"payloads", all(text("organization"), raw("id")), raw("salt", "body")},
	{"inbox", all(text("organization"), ints("lane", "seq")), all(ints("arrived_at"), raw("body", "trace"), text("reason"))},
	{"people", all(text("organization"), raw("person")), all(text("user_id", "didomi_id", "didomi_users"), raw("state"))},
	{"deliveries", all(text("organization", "integration", "target"), raw("person")), all(
		text("state", "known", "left_out", "last_error", "profile"), flags("held"),
		ints("class", "consent_at", "due_at", "next_at", "attempted_at", "version", "attempts", "calls", "epoch", "readback", "readback_at", "updated_at", "marks"))},
	{"left_out", text("organization", "integration", "name", "reason"), ints("people")},
	{"calls", all(text("organization"), raw("person", "id")), all(
		text("integration", "operation", "subscriptions", "attributes", "outcome", "detail"), ints("started_at", "answered_at", "revision"), raw("salt", "erased"))},
	{"loads", all(text("organization", "integration"), raw("id")), all(
		text("state", "columns", "execution", "outcome", "reason"), ints("epoch", "people", "withdrawals", "refused", "created_at", "started_at", "ended_at"))},
	{"load_rows", all(text("organization", "integration"), raw("load"), ints("number")), all(
		raw("person"), ints("version", "class", "due_at", "state"), text("cells", "refused"), flags("rest", "stranger", "doubtful"))},
	{"counts", text("organization", "integration", "name"), ints("n")},
	{"news", all(text("organization", "integration"), raw("id")), all(
		ints("arrived_at", "next_at", "attempts"), text("body"), raw("entity", "content"), flags("named"))},
	{"users", text("id"), all(text("email", "name", "password"), ints("created_at"))},
	{"memberships", text("organization", "member"), all(text("role"), ints("since"))},
	{"invitations", text("organization", "id"), all(raw("hash"), text("role", "note", "invited_by"), ints("created_at", "expires_at"), flags("first"))},
	{"setups", text("organization", "id"), all(text("integration", "title", "actor"), raw("sealed"), ints("updated_at", "expires_at"))},
	{"effects", all(text("organization", "integration"), ints("at"), flags("withdrawal"), ints("step")), ints("people")},
	{"emails", text("organization", "id"), all(text("integration", "type", "settings"), ints("revision", "created_at", "updated_at"))},
	{"messages", all(text("organization"), raw("id")), all(
		text("integration", "email", "type", "origin", "state", "reason", "interaction"), raw("person", "event", "body"), flags("again"),
		ints("rank", "created_at", "expires_at", "next_at", "ended_at", "attempts", "epoch"))},
	{"imports", text("organization", "id"), all(
		text("name", "outcomes"), flags("ended", "ending"), ints("refused", "staged_rows", "staged_bytes", "staged_blocks", "started_at", "updated_at"))},
	{"import_files", text("organization", "import", "file"), all(text("fingerprint"), ints("taken"))},
	{"import_refusals", all(text("organization", "import", "file"), ints("number")), text("reason")},
	{"import_blocks", all(text("organization", "import"), ints("slice", "number")), all(ints("count", "size"), raw("rows"))},
	{"reconciliations", all(text("organization", "integration"), raw("id")), all(text("state", "body"), ints("version"))},
	{"held_blocks", all(text("organization", "integration"), raw("run"), ints("slice", "number")), raw("rows")},
	{"catch_ups", text("organization"), all(text("body"), ints("version"))},
	{"changes", all(text("organization"), raw("id")), all(text("integration", "actor", "action", "details"), ints("at"))},
	{"audit_heads", text("organization"), all(ints("number", "position", "epoch"), raw("hash"), text("cursors", "horizons"))},
	{"audit_links", all(text("organization"), ints("number")), all(ints("first", "last", "at"), raw("previous", "root", "hash", "signature"), text("signer"))},
	{"audit_records", all(text("organization"), ints("position")), all(text("kind"), raw("id", "person", "digest"))},
	{"privacy", text("organization"), text("settings")},
	{"erasures", all(text("organization"), raw("person")), ints("requested_at")},
}

// NotCopied is what an engine has beside Tables, a table or table.column, and
// why it stays where it is.
var NotCopied = map[string]string{
	"goose_db_version":    "the version of the engine's own schema",
	"sessions":            "whoever is signed in signs in again",
	"pings":               "written to see whether the database can be written",
	"nodes":               "the nodes that run",
	"licences.owner":      "the node that holds the lease",
	"licences.expires_at": "the end of that lease",
	"licences.held_since": "the beginning of that lease",
	"held_rows":           "used no more: goes when the schema is contracted",
	"compatibility":       "which programs can use the engine's own schema",
	"deliveries.tried":    "follows from attempts",
	"ledger.slice":        "follows from person",

	"audit_heads.sealer":        "the node that seals",
	"audit_heads.claimed_until": "how long it has said that it does",
}

func columns(kind Kind, names []string) []Column {
	list := make([]Column, len(names))
	for i, name := range names {
		list[i] = Column{name, kind}
	}
	return list
}

func text(names ...string) []Column  { return columns(Text, names) }
func raw(names ...string) []Column   { return columns(Bytes, names) }
func ints(names ...string) []Column  { return columns(Int, names) }
func flags(names ...string) []Column { return columns(Bool, names) }
func all(lists ...[]Column) []Column { return slices.Concat(lists...) }

// CopyState is how far a copy into a database is. It stands in the database
// itself and is written in one transaction with the rows.
type CopyState struct {
	Source string // names the installation that is copied
	Table  string // the one that is being copied; those before it in Tables are complete
	After  []byte // the key of its last row, see EncodeKey; empty for none
	Rows   int64  // how many rows are there, of all tables
}

// CopyMark is the table that holds the CopyState. While it is there no server
// starts on the database.
const CopyMark = "unfinished_copy"

// CopyPageBytes bounds what is held in memory of a table that is copied: a page
// ends with the row that exceeds it.
const CopyPageBytes = 4 << 20

// Size is about how much memory a row takes.
func (r CopyRow) Size() int {
	n := 0
	for _, v := range r {
		switch v := v.(type) {
		case string:
			n += len(v)
		case []byte:
			n += len(v)
		}
		n += 16
	}
	return n
}

// EncodeKey writes the key of a row of t as bytes.
func (t *Table) EncodeKey(r CopyRow) ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode([]any(r[:len(t.Key)]))
	return b.Bytes(), err
}

// DecodeKey reads what EncodeKey wrote; nil for nothing.
func DecodeKey(b []byte) (key []any, err error) {
	if len(b) == 0 {
		return nil, nil
	}
	err = gob.NewDecoder(bytes.NewReader(b)).Decode(&key)
	return key, err
}

// PlainText makes a text of any bytes one that every engine can hold.
func PlainText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
