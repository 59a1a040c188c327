package postgres

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"consentsync/internal/store"
)

// People and events are found by organization first, so that no query can see
// those of another by mistake, an organization's rows stand together, and a
// distributed PostgreSQL can shard by it.
func TestEveryKeyStartsWithTheOrganization(t *testing.T) {
	t.Parallel()
	exempt := []string{
		"goose_db_version_pkey", // the version of the schema
		"secret_keys_pkey",      // of the installation
		"licences_pkey",         // shared by organizations
		"nodes_pkey",            // of the installation
		"webhook_clients_pkey",  // the client says which organization it is
		// Users may have roles in several organizations; sessions and the links
		// of invitations are found by what a browser holds.
		"users_pkey", "users_by_email", "memberships_by_user", "sessions_pkey", "sessions_by_user", "sessions_by_end", "invitations_by_hash",
		"api_keys_by_id", // a key says which organization it is for
		// An integration is found by its id alone when the API asks whose it
		// is, and by its licence when that is delivered for.
		"integrations_by_id", "integrations_by_licence",
	}
	keyless := []string{
		"pings",         // says whether the database can be written
		"compatibility", // which programs can use it
	}
	e := ready(t, migrated(t))
	type index struct{ table, name, first string }
	indexes, err := query(t.Context(), e, func(row pgx.CollectableRow) (i index, err error) {
		err = row.Scan(&i.table, &i.name, &i.first)
		return i, err
	}, `SELECT t.relname, i.relname, coalesce(a.attname, '') FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
		LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = x.indkey[0] WHERE t.relnamespace = 'public'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := query(t.Context(), e, pgx.RowTo[string], `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`)
	if err != nil || len(tables) < 10 {
		t.Fatalf("only %d tables are found: %v", len(tables), err)
	}
	for _, i := range indexes {
		starts, exempted := i.first == "organization", slices.Contains(exempt, i.name)
		if !starts && !exempted {
			t.Errorf("%s of %s starts with %q", i.name, i.table, i.first)
		} else if starts && exempted {
			t.Errorf("%s needs no exemption", i.name)
		}
	}
	for _, table := range tables {
		keyed := slices.ContainsFunc(indexes, func(i index) bool { return i.table == table && i.name == table+"_pkey" })
		if keyed == slices.Contains(keyless, table) {
			t.Errorf("%s has a primary key: %v", table, keyed)
		}
	}
	// Texts in keys compare by their bytes, as in the program.
	n := number(t, e, `SELECT count(*) FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid, unnest(x.indcollation) i JOIN pg_collation c ON c.oid = i
		WHERE t.relnamespace = 'public'::regnamespace AND c.collname <> 'C'`)
	if n > 0 {
		t.Errorf("%d columns of keys compare by the locale", n)
	}
}

// A copy holds everything: what the schema has stands in store.Tables, with its
// key, or in store.NotCopied. Whoever adds a table or a column adds it there.
func TestACopyHoldsEverything(t *testing.T) {
	t.Parallel()
	e := ready(t, migrated(t))
	names, err := query(t.Context(), e, pgx.RowTo[string], `SELECT t.relname || '.' || a.attname || ' ' || coalesce(array_position(x.indkey::int2[], a.attnum) + 1, 0)
		FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT JOIN pg_index x ON x.indrelid = t.oid AND x.indisprimary
		WHERE t.relnamespace = 'public'::regnamespace AND t.relkind = 'r'`)
	if err != nil {
		t.Fatal(err)
	}
	var is, want []string
	for _, name := range names {
		column, _, _ := strings.Cut(name, " ")
		table, _, _ := strings.Cut(name, ".")
		if store.NotCopied[table] == "" && store.NotCopied[column] == "" {
			is = append(is, name)
		}
	}
	for i := range store.Tables {
		table := &store.Tables[i]
		for n, c := range table.Key {
			want = append(want, name(table.Name, ".", c.Name, " ", strconv.Itoa(n+1)))
		}
		for _, c := range table.Rest {
			want = append(want, table.Name+"."+c.Name+" 0")
		}
	}
	slices.Sort(is)
	slices.Sort(want)
	if diff := cmp.Diff(is, want); diff != "" {
		t.Errorf("the schema (-) is not what is copied (+), with the place in the key:\n%s", diff)
	}
}

// What is asked all the time is answered from an index, by all that is known
// of the rows and in the order asked for. The plans are those for any values.
func TestHotQueriesUseAnIndex(t *testing.T) {
	t.Parallel()
	for what, statements := range map[string]string{
		"all that can be is due": filled,
		// Partial indexes are small then, as far as is known, and tempting.
		"nothing was due when it was last looked": filled + `; UPDATE deliveries SET state = 'synced', next_at = 0, readback_at = 0; VACUUM ANALYZE deliveries`,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			e := ready(t, migrated(t))
			for statement := range strings.SplitSeq(statements, ";") {
				if _, err := e.pool.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			hotQueries(t, e)
		})
	}
}

func hotQueries(t *testing.T, e *Engine) {
	t.Helper()
	const one = "deliveries_pkey: organization integration target person"
	for name, x := range map[string]struct{ query, want string }{
		"NextDue":               {selectDeliveries + nextDue, "deliveries_due: organization integration target class"},
		"NextReadback":          {selectDeliveries + nextReadback, "deliveries_readback: organization integration target readback_at"},
		"Promote, any":          {anyWaitedSQL, "deliveries_next: organization integration target next_at"},
		"Promote":               {promoteSQL, "deliveries_next: organization integration target next_at"},
		"Delivery":              {selectDeliveries + oneDelivery, one},
		"DeliveriesOf":          {selectDeliveries + deliveriesOf, "deliveries_pkey: organization integration person"},
		"NextNews":              {nextNewsSQL, "news_next: organization integration next_at"},
		"Repeated":              {toldSQL, "ledger_pkey: organization entity content"},
		"PersonOfProfile":       {byProfileSQL, "deliveries_by_profile: organization integration profile"},
		"OwnWrites, calls":      {ownCallsSQL, "calls_pkey: organization person"},
		"OwnWrites, loads":      {ownRowsSQL, "load_rows_by_person: organization integration person"},
		"Begin":                 {beginSQL, one},
		"Begin, again":          {begunSQL, "calls_pkey: organization person id"},
		"Finish":                {finishSQL, one},
		"RecordRead":            {recordReadSQL, one},
		"Settle":                {lockLookedSQL, one},
		"Acquire, in flight":    {inFlightSQL, "deliveries_in_flight: organization integration"},
		"Acquire":               {recoverSQL, one},
		"Reopen":                {reopenSQL, "deliveries_unmatched: organization integration updated_at"},
		"Reopen, any":           {reopenableSQL, "deliveries_unmatched: organization integration updated_at"},
		"TracesOf":              {tracesSQL, "events_by_person: organization person"},
		"markDue":               {markDueSQL, "integrations_pkey: organization"},
		"Remember, seen":        {seenAtSQL, "ledger_pkey: organization entity content"},
		"AnyBuried":             {anyBuriedSQL, "tombstones_pkey: organization"},
		"Buried":                {buriedSQL, "tombstones_pkey: organization entity"},
		"AttributeDeletions":    {attributeSQL, "events_pkey: organization id"},
		"PeopleOf":              {peopleOfSQL, "ledger_pkey: organization entity"},
		"LoadSubjects":          {lockSubjectsSQL, "people_pkey: organization person"},
		"SaveSubjects":          {saveSubjectsSQL, "people_pkey: organization person"},
		"DuePage":               {selectDeliveries + duePage, "deliveries_due: organization integration target class tried consent_at person"},
		"Queue":                 {countDueSQL, "deliveries_due: organization integration target class"},
		"OpenLoads":             {openLoadsSQL, "loads_open: organization integration"},
		"Loads":                 {newestLoadsSQL, "loads_pkey: organization integration"},
		"LoadsStarted":          {loadsStartedSQL, "loads_pkey: organization integration id"},
		"LoadRows":              {loadRowsSQL, "load_rows_pkey: organization integration load number"},
		"FileRows":              {fileRowsSQL, "load_rows_pkey: organization integration load number"},
		"JoinLoad":              {joinSQL, one},
		"JoinLoad, locks":       {marksSQL, one},
		"EndRows":               {endDeliverySQL, one},
		"EndRows, locks":        {lockDeliveriesSQL, one},
		"SampleRows":            {sampleSQL, one},
		"Sweep, whose":          {goneSQL("deliveries"), "deliveries_pkey: organization integration"},
		"Sweep":                 {sweepSQL("deliveries", "target, person"), "deliveries_pkey: organization integration"},
		"ForgetRows":            {forgetRowsSQL, "load_rows_pkey: organization integration load"},
		"Merge":                 {takeInboxSQL, "inbox_pkey: organization lane"},
		"Merge, leaving":        {leaveSQL, "inbox_pkey: organization lane seq"},
		"SetAside":              {asideSQL, "inbox_pkey: organization lane seq"},
		"Backlogs, whose":       {waitingSQL, ""},
		"Backlogs":              {backlogsSQL, "inbox_pkey: organization lane"},
		"Person":                {subjectsSQL, "people_pkey: organization person"},
		"ComparePage":           {comparePageSQL, "people_pkey: organization person"},
		"ComparePage, of each":  {comparePageSQL, one},
		"ComparePage, users":    {linkedUsersSQL, "people_pkey: organization person"},
		"Trace, events":         {traceEventsSQL, "events_by_person: organization person"},
		"Trace, calls":          {traceCallsSQL, "calls_pkey: organization person"},
		"Payload":               {payloadSQL, "payloads_pkey: organization id"},
		"UserByEmail":           {byEmailSQL, "users_by_email: email"},
		"Memberships":           {membershipsSQL, "memberships_by_user: member"},
		"Members":               {membersSQL, "memberships_pkey: organization member"},
		"Session":               {sessionSQL, "sessions_pkey: hash"},
		"StartSession":          {expiredSessionsSQL, "sessions_by_end: expires_at"},
		"Invitation":            {invitationByHashSQL, "invitations_by_hash: hash"},
		"Invitations":           {invitationsSQL, "invitations_pkey: organization"},
		"WebhookClient":         {clientSQL, "webhook_clients_pkey: client_id"},
		"APIKey":                {apiKeySQL, "api_keys_by_id: id"},
		"APIKeys":               {apiKeysSQL, "api_keys_pkey: organization id"},
		"Setups":                {setupsSQL, "setups_pkey: organization"},
		"Organizations":         {organizationsSQL, "organizations_pkey: organization"},
		"Changes":               {changesSQL, "changes_pkey: organization id"},
		"Changes, of one":       {changesOfSQL, "changes_by_integration: organization integration id"},
		"Events":                {eventsSQL, "events_pkey: organization id"},
		"Events, of one":        {eventsOfSQL, "events_by_person: organization person id"},
		"Event":                 {eventSQL, "events_pkey: organization id"},
		"SubjectsOf":            {subjectIDsSQL, "people_pkey: organization person"},
		"AskRead":               {askReadSQL, one},
		"Troubles":              {firstReasonSQL, "deliveries_troubled: organization integration target state"},
		"Troubles, next":        {nextReasonSQL, "deliveries_troubled: organization integration target state last_error"},
		"Troubles, how many":    {countReasonSQL, "deliveries_troubled: organization integration target state last_error"},
		"Troubled":              {troubledSQL, "deliveries_troubled: organization integration target state last_error person"},
		"Troubled, for one":     {troubledByWhy, "deliveries_troubled: organization integration target state last_error person"},
		"States":                {countInFlightSQL, "deliveries_in_flight: organization integration"},
		"States, in trouble":    {countTroubleSQL, "deliveries_troubled: organization integration target state"},
		"NextMessages":          {nextMessages, "messages_due: organization integration next_at"},
		"Messages, in a state":  {messagesIn, "messages_by_state: organization state id"},
		"Request":               {sameMessage, "messages_once: organization person"},
		"MailedSince":           {mailedSince, "messages_once: organization person"},
		"BeginMessage":          {beginMessageSQL, "messages_by_state: organization state id"},
		"TendMessages, drop":    {dropOldSQL, ""},
		"TendMessages, forget":  {forgetBodySQL, "messages_kept: organization integration"},
		"Acquire, messages":     {interruptedSQL, "messages_in_flight: organization integration"},
		"Effects":               {effectsSQL, "effects_pkey: organization integration at"},
		"Unsealed, events":      {unsealedEventsSQL, "events_pkey: organization id"},
		"Unsealed, changes":     {unsealedChangesSQL, "changes_pkey: organization id"},
		"Unsealed, calls":       {unsealedCallsSQL, "calls_by_answer: organization answered_at person id"},
		"Unsealed, begun":       {unsealedBegunSQL, "calls_by_answer: organization answered_at id"},
		"Unsealed, or sealed":   {unsealedCallsSQL, "audit_records_by_id: organization kind id person"},
		"AuditLinks":            {auditLinksSQL, "audit_links_pkey: organization number"},
		"AuditLinkOf":           {auditLinkSQL, "audit_links_by_first: organization first"},
		"AuditRecords":          {auditRecordsSQL, ""},
		"AuditRecords, events":  {auditEventsSQL, "events_pkey: organization id"},
		"AuditRecords, calls":   {auditCallsSQL, "calls_pkey: organization person id"},
		"SealedAt":              {sealedAtSQL, "audit_records_by_id: organization kind id"},
		"IntegrationsOfLicence": {selectIntegrations + ofLicence, "integrations_by_licence: licence"},
		"Begin, holds":          {holdsSQL, "licences_pkey: licence"},
		"Holdings":              {holdingsSQL, "licences_pkey: licence"},
	} {
		plan := explain(t, e, x.query)
		found := x.want == "" // it only must not read a whole table
		for _, m := range usesIndex.FindAllStringSubmatch(plan, -1) {
			var columns []string
			for _, c := range column.FindAllStringSubmatch(m[2], -1) {
				columns = append(columns, c[1])
			}
			found = found || m[1]+": "+strings.Join(slices.Compact(unique(columns)), " ") == x.want
		}
		if !found {
			t.Errorf("%s does not use %s:\n%s", name, x.want, plan)
		}
		if strings.Contains(plan, "Seq Scan") {
			t.Errorf("%s reads a whole table:\n%s", name, plan)
		}
		if _, inner, semi := strings.Cut(plan, "Semi Join"); semi && strings.Contains(inner, "LockRows") {
			t.Errorf("%s chooses anew for every row:\n%s", name, plan)
		}
	}
}

// filled makes 20 organizations with 1000 people each, all of whom have what one
// can have.
const filled = `
CREATE TEMP TABLE p AS SELECT 'org' || n % 20 AS o, 'i' || n % 20 AS i, decode(md5(n::text), 'hex') AS k, n FROM generate_series(1, 20000) n;
INSERT INTO integrations SELECT 'org' || n, 'i' || n, 'active', '', 1, 'licence' || n, '', '', '', 1, 1 FROM generate_series(0, 19) n;
INSERT INTO licences (licence) SELECT 'licence' || n FROM generate_series(0, 19) n;
INSERT INTO people SELECT o, k, 'id' || n, '', 'x', '' FROM p;
INSERT INTO ledger SELECT o, k, k, k, 1 FROM p;
INSERT INTO tombstones SELECT o, k, k, 1 FROM p;
INSERT INTO events SELECT o, k, 't', 'e', CASE WHEN n % 3 = 0 THEN ''::bytea ELSE k END, 'gdpr', 1, 1, 'applied', k FROM p;
INSERT INTO payloads SELECT o, k, k, k FROM p;
INSERT INTO calls SELECT o, k, k, i, 'update', '', '', 1, n / 20 % 50 FROM p;
INSERT INTO inbox (organization, lane, arrived_at, body) SELECT o, n % 3, 1, k FROM p;
INSERT INTO deliveries (organization, integration, target, person, state, class, consent_at, due_at, next_at, readback_at, updated_at, attempts)
	SELECT o, i, 'actito', k, CASE n / 20 % 5 WHEN 0 THEN 'pending' WHEN 1 THEN 'in_flight' WHEN 2 THEN 'unmatched' WHEN 3 THEN 'waiting' ELSE 'sent' END,
		n % 3, n, 1, CASE WHEN n / 20 % 5 = 3 THEN n ELSE 0 END, CASE WHEN n / 20 % 7 = 0 THEN n ELSE 0 END, n, n % 2 FROM p;
INSERT INTO users SELECT 'u' || n, 'u' || n, '', '', 1 FROM p;
INSERT INTO memberships SELECT o, 'u' || n, 'viewer', 1 FROM p;
INSERT INTO sessions SELECT k, 'u' || n, 1, 1, n FROM p;
INSERT INTO invitations SELECT o, 'i' || n, k, '', '', '', 1, n, false FROM p;
INSERT INTO webhook_clients SELECT 'c' || n, o, k, 1 FROM p;
INSERT INTO api_keys SELECT o, 'k' || n, k, '', '', '', 1, 1, 1 FROM p;
INSERT INTO changes SELECT o, k, i, 1, '', '', '' FROM p;
INSERT INTO emails SELECT o, 'e' || n, i, 't' || n, '', 1, 1, 1 FROM p;
INSERT INTO messages SELECT o, k, i, 'e', 't', k, k, 'event', n / 20 % 2, CASE n / 20 % 5 WHEN 0 THEN 'pending' WHEN 1 THEN 'in_flight' WHEN 2 THEN 'failed' WHEN 3 THEN 'dropped' ELSE 'sent' END,
	false, n, n, n, n, 1, 1, CASE n % 2 WHEN 0 THEN ''::bytea ELSE k END FROM p;
INSERT INTO organizations SELECT 'org' || n, true, 1 FROM p;
INSERT INTO loads SELECT o, i, k, CASE WHEN n < 100 THEN 'running' ELSE 'done' END, 1, '' , 1, 1, 0, '', '', '', 1 FROM p;
INSERT INTO audit_links SELECT o, n, n, n, 1, k, k, k, '', k FROM p;
INSERT INTO audit_records SELECT o, n, 'event', k, k, k FROM p;
INSERT INTO load_rows SELECT o, i, decode(md5(i), 'hex'), n, k, 1, 1, 1, '1', false, false FROM p;
ANALYZE`

var (
	usesIndex = regexp.MustCompile(`(?:Index Scan Backward|Index Only Scan Backward|Index Scan|Index Only Scan)(?: using| on)? (\w+)[^\n]*\n\s+Index Cond: ([^\n]*)`)
	column    = regexp.MustCompile(`[^.\w](organization|integration|target|person|profile|class|tried|consent_at|readback_at|next_at|entity|content|id|lane|seq|load|number|licence|updated_at|email|member|hash|client_id|expires_at|state|last_error|answered_at|kind|position|first|number|at)\b(?:\)?\s*(?:=|>|<|,|\)))`)
)

// unique keeps the first of each.
func unique(list []string) []string {
	var all []string
	for _, s := range list {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// explain gives the plan of a statement for any values of its parameters.
func explain(t *testing.T, e *Engine, text string) string {
	t.Helper()
	var plan []string
	err := e.inTx(t.Context(), func(ctx context.Context, tx *tx) error {
		plan = nil
		if _, err := tx.Exec(ctx, "SET LOCAL plan_cache_mode = force_generic_plan"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "PREPARE explained AS "+text); err != nil {
			return err
		}
		values := strings.TrimSuffix(strings.Repeat("NULL, ", parameters(text)), ", ")
		if values != "" {
			values = "(" + values + ")"
		}
		var err error
		if plan, err = collect(ctx, tx, pgx.RowTo[string], "EXPLAIN (COSTS off) EXECUTE explained"+values); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DEALLOCATE explained")
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return strings.Join(plan, "\n")
}

var parameter = regexp.MustCompile(`\$(\d+)`)

// parameters counts those of a statement.
func parameters(text string) int {
	most := 0
	for _, m := range parameter.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		most = max(most, n)
	}
	return most
}
