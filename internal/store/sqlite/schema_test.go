package sqlite

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consentsync/internal/store"
)

// rows reads a query of texts.
func (e *Engine) rows(t *testing.T, query string, args ...any) [][]string {
	t.Helper()
	rows, err := e.write.db.Query(query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for rows.Next() {
		row, into := make([]*string, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		texts := make([]string, len(columns))
		for i, s := range row {
			if s != nil {
				texts[i] = *s
			}
		}
		all = append(all, texts)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// People and events are found by organization first, so that no query can see
// those of another by mistake, and an organization's rows stand together.
func TestEveryKeyStartsWithTheOrganization(t *testing.T) {
	t.Parallel()
	exempt := []string{
		"goose_db_version", // the version of the schema
		"secret_keys",      // of the installation
		"licences",         // shared by organizations
		"pings",            // says whether the database can be written
		"webhook_clients",  // the client says which organization it is
		// Users may have roles in several organizations; sessions and the links
		// of invitations are found by what a browser holds.
		"users", "users_by_email", "memberships_by_user", "sessions", "sessions_by_user", "sessions_by_end", "invitations_by_hash",
		"api_keys_by_id", // a key says which organization it is for
		// An integration is found by its id alone when the API asks whose it
		// is, and by its licence when that is delivered for.
		"integrations_by_id", "integrations_by_licence",
	}
	e := open(t, t.TempDir(), Options{})
	tables := e.rows(t, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
	if len(tables) < 10 {
		t.Fatalf("only %d tables are found", len(tables))
	}
	check := func(name string, columns [][]string) {
		t.Helper()
		starts := len(columns) > 0 && columns[0][0] == "organization"
		if exempted := slices.Contains(exempt, name); !starts && !exempted {
			t.Errorf("the key of %s starts with %v", name, columns)
		} else if starts && exempted {
			t.Errorf("%s needs no exemption", name)
		}
	}
	for _, table := range tables {
		check(table[0], e.rows(t, "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", table[0]))
		for _, index := range e.rows(t, "SELECT name FROM pragma_index_list(?) WHERE origin = 'c'", table[0]) {
			check(index[0], e.rows(t, "SELECT name FROM pragma_index_info(?) ORDER BY seqno", index[0]))
		}
	}
}

// What is asked all the time is answered from an index, by all that is known
// of the rows and in the order asked for.
func TestHotQueriesUseAnIndex(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir(), Options{})
	const one = "SEARCH deliveries USING PRIMARY KEY (organization=? AND integration=? AND target=? AND person=?)"
	for name, x := range map[string]struct{ query, want string }{
		"NextDue":                 {selectDeliveries + nextDue, "SEARCH deliveries USING INDEX deliveries_due (organization=? AND integration=? AND target=? AND class=?)"},
		"NextReadback":            {selectDeliveries + nextReadback, "SEARCH deliveries USING INDEX deliveries_readback (organization=? AND integration=? AND target=? AND readback_at>? AND readback_at<?)"},
		"Promote, any":            {anyWaitedSQL, "SEARCH deliveries USING COVERING INDEX deliveries_next (organization=? AND integration=? AND target=? AND next_at>? AND next_at<?)"},
		"Promote":                 {promoteSQL, "SEARCH deliveries USING INDEX deliveries_next (organization=? AND integration=? AND target=? AND next_at>? AND next_at<?)"},
		"NextStaged":              {stagedSQL, "SEARCH import_blocks USING PRIMARY KEY (organization=? AND import=? AND (slice,number)>(?,?))"},
		"MergeRows":               {unstageSQL, "SEARCH import_blocks USING PRIMARY KEY (organization=? AND import=? AND slice=? AND number=?)"},
		"AnyStaged":               {anyStagedSQL, "SEARCH imports USING INDEX imports_staged (organization=?)"},
		"Delivery":                {selectDeliveries + oneDelivery, one},
		"DeliveriesOf":            {selectDeliveries + deliveriesOf, one},
		"Begin":                   {beginSQL, one},
		"Begin, again":            {begunSQL, "SEARCH calls USING PRIMARY KEY (organization=? AND person=? AND id=?)"},
		"Finish":                  {finishSQL, one},
		"Acquire":                 {recoverSQL, "SEARCH deliveries USING INDEX deliveries_in_flight (organization=? AND integration=?)"},
		"Reopen, whose":           {reopenableSQL, "SEARCH deliveries USING PRIMARY KEY (organization=? AND integration=? AND target=? AND person>?)"},
		"Reopen":                  {reopenSQL, "SEARCH deliveries USING PRIMARY KEY (organization=? AND integration=? AND target=? AND person>? AND person<?)"},
		"TracesOf":                {tracesSQL, "SEARCH events USING INDEX events_by_person (organization=? AND person=?)"},
		"markDue":                 {makeDue.one(), ""}, // inserts, and looks for nothing but the row in its way
		"Buried":                  {buriedSQL, "SEARCH tombstones USING PRIMARY KEY (organization=? AND entity=?)"},
		"AttributeDeletions":      {attributeSQL, "SEARCH events USING PRIMARY KEY (organization=? AND id=?)"},
		"DuePage":                 {selectDeliveries + duePage, "SEARCH deliveries USING INDEX deliveries_due (organization=? AND integration=? AND target=? AND class=? AND <expr>=? AND (consent_at,person)>(?,?))"},
		"Queue":                   {countDueSQL, "SEARCH deliveries USING COVERING INDEX deliveries_due (organization=? AND integration=? AND target=? AND class=?)"},
		"OpenLoads":               {openLoadsSQL, "SEARCH loads USING INDEX loads_open (organization=? AND integration=?)"},
		"Loads":                   {newestLoadsSQL, "SEARCH loads USING PRIMARY KEY (organization=? AND integration=?)"},
		"LoadsStarted":            {loadsStartedSQL, "SEARCH loads USING PRIMARY KEY (organization=? AND integration=? AND id>?)"},
		"LoadRows":                {loadRowsSQL, "SEARCH r USING PRIMARY KEY (organization=? AND integration=? AND load=? AND number>?)"},
		"FileRows":                {fileRowsSQL, "SEARCH r USING PRIMARY KEY (organization=? AND integration=? AND load=? AND number>?)"},
		"NextNews":                {nextNewsSQL, "SEARCH news USING INDEX news_next (organization=? AND integration=? AND next_at<?)"},
		"Repeated":                {toldSQL, "SEARCH ledger USING PRIMARY KEY (organization=? AND slice=? AND entity=? AND content=?)"},
		"PersonOfProfile":         {byProfileSQL, "SEARCH deliveries USING COVERING INDEX deliveries_by_profile (organization=? AND integration=? AND profile=?)"},
		"OwnWrites, calls":        {ownCallsSQL, "SEARCH calls USING PRIMARY KEY (organization=? AND person=?)"},
		"OwnWrites, loads":        {ownRowsSQL, "SEARCH r USING INDEX load_rows_by_person (organization=? AND integration=? AND person=? AND load=?)"},
		"JoinLoad":                {joinSQL, one},
		"EndRows":                 {endDeliverySQL, one},
		"Sweep, whose":            {nextIntegrationSQL("deliveries"), "SEARCH t USING PRIMARY KEY ((organization,integration)>(?,?))"},
		"Sweep":                   {sweepSQL("deliveries", "target, person"), one},
		"Merge":                   {nextInboxSQL, "SEARCH inbox USING PRIMARY KEY (organization=? AND lane=?)"},
		"Merge, leaving":          {takeInboxSQL, "SEARCH inbox USING PRIMARY KEY (organization=? AND lane=? AND seq>? AND seq<?)"},
		"Backlogs, whose":         {nextInOrganizationSQL, "SEARCH inbox USING PRIMARY KEY (organization>?)"},
		"Backlogs":                {laneEndsSQL, "SEARCH inbox USING PRIMARY KEY (organization=? AND lane=?)"},
		"loadSubjects":            {subjectLookup.texts[0], "SEARCH people USING PRIMARY KEY (organization=? AND person=?)"},
		"loadSubjects, one":       {subjectLookup.texts[2], "SEARCH people USING PRIMARY KEY (organization=? AND person=?)"},
		"ComparePage, people":     {comparePageSQL, "SEARCH p USING PRIMARY KEY (organization=? AND person>? AND person<?)"},
		"ComparePage, deliveries": {comparePageSQL, "SEARCH d USING PRIMARY KEY (organization=? AND integration=? AND target=? AND person=?) LEFT-JOIN"},
		"learnHeld":               {knownLookup.texts[0], one},
		"ComparePage, users":      {userLookup.texts[0], "SEARCH people USING INDEX people_speaking (organization=? AND person=?)"},
		"PeopleOf":                {peopleOfSQL, "SEARCH l USING PRIMARY KEY (organization=? AND slice=? AND entity=?)"},
		"Trace, events":           {traceEventsSQL, "SEARCH events USING INDEX events_by_person (organization=? AND person=?)"},
		"Trace, calls":            {traceCallsSQL, "SEARCH calls USING PRIMARY KEY (organization=? AND person=?)"},
		"UserByEmail":             {selectUser + `u.email = ?`, "SEARCH u USING INDEX users_by_email (email=?)"},
		"Memberships":             {membershipsSQL, "SEARCH memberships USING INDEX memberships_by_user (member=?)"},
		"Members":                 {membersSQL, "SEARCH m USING PRIMARY KEY (organization=? AND member>?)"},
		"Session":                 {sessionSQL, "SEARCH s USING PRIMARY KEY (hash=?)"},
		"StartSession":            {expiredSessionsSQL, "SEARCH sessions USING INDEX sessions_by_end (expires_at<?)"},
		"Invitation":              {invitationByHashSQL, "SEARCH invitations USING INDEX invitations_by_hash (hash=?)"},
		"Invitations":             {invitationsSQL, "SEARCH invitations USING PRIMARY KEY (organization=?)"},
		"WebhookClient":           {clientSQL, "SEARCH webhook_clients USING PRIMARY KEY (client_id=?)"},
		"APIKey":                  {apiKeySQL, "SEARCH api_keys USING INDEX api_keys_by_id (id=?)"},
		"APIKeys":                 {apiKeysSQL, "SEARCH api_keys USING PRIMARY KEY (organization=? AND id>?)"},
		"Setups":                  {setupsSQL, "SEARCH setups USING PRIMARY KEY (organization=?)"},
		"Organizations":           {organizationsSQL, "SEARCH organizations USING PRIMARY KEY (organization>?)"},
		"Changes":                 {changesSQL, "SEARCH changes USING PRIMARY KEY (organization=? AND id<?)"},
		"Changes, of one":         {changesOfSQL, "SEARCH changes USING INDEX changes_by_integration (organization=? AND integration=? AND id<?)"},
		"Events":                  {eventsSQL, "SEARCH events USING PRIMARY KEY (organization=? AND id<?)"},
		"Events, of one":          {eventsOfSQL, "SEARCH events USING INDEX events_by_person (organization=? AND person=? AND id<?)"},
		"Event":                   {eventSQL, "SEARCH events USING PRIMARY KEY (organization=? AND id=?)"},
		"SubjectsOf":              {subjectIDsSQL, "SEARCH people USING PRIMARY KEY (organization=? AND person=?)"},
		"Troubles":                {firstReasonSQL, "SEARCH deliveries USING COVERING INDEX deliveries_troubled (organization=? AND integration=? AND target=? AND state=?)"},
		"Troubles, next":          {nextReasonSQL, "SEARCH deliveries USING COVERING INDEX deliveries_troubled (organization=? AND integration=? AND target=? AND state=? AND <expr>>?)"},
		"Troubles, how many":      {countReasonSQL, "SEARCH deliveries USING COVERING INDEX deliveries_troubled (organization=? AND integration=? AND target=? AND state=? AND <expr>=?)"},
		"Troubled":                {troubledSQL, "SEARCH deliveries USING INDEX deliveries_troubled (organization=? AND integration=? AND target=? AND state=? AND <expr>>?)"},
		"Troubled, for one":       {troubledByWhy, "SEARCH deliveries USING INDEX deliveries_troubled (organization=? AND integration=? AND target=? AND state=? AND <expr>=? AND person>?)"},
		"States":                  {countInFlightSQL, "SEARCH deliveries USING COVERING INDEX deliveries_in_flight (organization=? AND integration=?)"},
		"States, in trouble":      {countTroubleSQL, "SEARCH deliveries USING COVERING INDEX deliveries_troubled (organization=? AND integration=? AND target=? AND state=?)"},
		"NextMessages":            {nextMessages, "SEARCH messages USING INDEX messages_due (organization=? AND integration=? AND rank=? AND next_at<?)"},
		"Messages, in a state":    {messagesIn, "SEARCH messages USING INDEX messages_by_state (organization=? AND state=? AND id<?)"},
		"Request":                 {sameMessage, "SEARCH messages USING INDEX messages_once (organization=? AND person=? AND type=? AND event=?)"},
		"MailedSince":             {mailedSince, "SEARCH messages USING INDEX messages_once (organization=? AND person=?)"},
		"BeginMessage":            {beginMessageSQL, "SEARCH messages USING PRIMARY KEY (organization=? AND id=?)"},
		"TendMessages":            {dropOldSQL, "SEARCH messages USING INDEX messages_old (organization=? AND integration=? AND expires_at<?)"},
		"Acquire, messages":       {interruptedSQL, "SEARCH messages USING INDEX messages_in_flight (organization=? AND integration=?)"},
		"EmailsFor":               {emailsOf, "SEARCH emails USING PRIMARY KEY (organization=?)"},
		"Effects":                 {effectsSQL, "SEARCH effects USING PRIMARY KEY (organization=? AND integration=? AND at>?)"},
		"Unsealed, events":        {unsealedEventsSQL, "SEARCH e USING PRIMARY KEY (organization=? AND id>? AND id<?)"},
		"Unsealed, changes":       {unsealedChangesSQL, "SEARCH c USING PRIMARY KEY (organization=? AND id>? AND id<?)"},
		"Unsealed, calls":         {unsealedCallsSQL, "SEARCH c USING INDEX calls_by_answer (organization=? AND (answered_at,person,id)>(?,?,?) AND answered_at<?)"},
		"Unsealed, begun":         {unsealedBegunSQL, "SEARCH c USING INDEX calls_by_answer (organization=? AND answered_at=?)"},
		"Unsealed, or sealed":     {unsealedCallsSQL, "SEARCH a USING COVERING INDEX audit_records_by_id (organization=? AND kind=? AND id=? AND person=?)"},
		"AuditLinks":              {auditLinksSQL, "SEARCH audit_links USING PRIMARY KEY (organization=? AND number>?)"},
		"AuditLinkOf":             {auditLinkSQL, "SEARCH audit_links USING INDEX audit_links_by_first (organization=? AND first<?)"},
		"AuditRecords":            {auditRecordsSQL, "SEARCH audit_records USING PRIMARY KEY (organization=? AND position>? AND position<?)"},
		"SealedAt":                {sealedAtSQL, "SEARCH audit_records USING INDEX audit_records_by_id (organization=? AND kind=? AND id=?)"},
		"ReadRows, ledger":        {readRowsSQL(tableOf("ledger"), true), "SEARCH ledger USING PRIMARY KEY ((organization,slice,entity,content)>(?,?,?,?))"},
		"ReadRows, people":        {readRowsSQL(tableOf("people"), true), "SEARCH people USING PRIMARY KEY ((organization,person)>(?,?))"},
		"IntegrationsOfLicence":   {selectIntegrations + ofLicence, "SEARCH integrations USING INDEX integrations_by_licence (licence=?)"},
	} {
		found := x.want == ""
		for _, step := range e.rows(t, "EXPLAIN QUERY PLAN "+x.query, make([]any, parameters(x.query))...) {
			detail := step[3]
			found = found || detail == x.want
			if strings.HasPrefix(detail, "SCAN") && !slices.Contains([]string{"SCAN CONSTANT ROW", "SCAN (subquery-1)", "SCAN bytes"}, detail) {
				t.Errorf("%s reads a whole table: %s", name, detail)
			}
			if strings.Contains(detail, "TEMP B-TREE") && name != "PeopleOf" { // the few people of one event
				t.Errorf("%s sorts what it finds: %s", name, detail)
			}
			if detail != x.want {
				t.Logf("%s: %s", name, detail)
			}
		}
		if !found {
			t.Errorf("%s does not use: %s", name, x.want)
		}
	}
}

func tableOf(name string) *store.Table {
	return &store.Tables[slices.IndexFunc(store.Tables, func(t store.Table) bool { return t.Name == name })]
}

// A copy holds everything: what the schema has stands in store.Tables, with its
// key, or in store.NotCopied. Whoever adds a table or a column adds it there.
func TestACopyHoldsEverything(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir(), Options{})
	var is, want []string
	inKey := map[string]int{} // columns of it that are copied
	for _, c := range e.rows(t, `SELECT m.name, c.name, c.pk FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.pk`) {
		if store.NotCopied[c[0]] != "" || store.NotCopied[c[0]+"."+c[1]] != "" {
			continue
		}
		place := 0
		if c[2] != "0" {
			inKey[c[0]]++
			place = inKey[c[0]]
		}
		is = append(is, fmt.Sprintf("%s.%s %d", c[0], c[1], place))
	}
	for i := range store.Tables {
		table := &store.Tables[i]
		for n, c := range table.Key {
			want = append(want, fmt.Sprintf("%s.%s %d", table.Name, c.Name, n+1))
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

var numbered = regexp.MustCompile(`\?(\d+)`)

// parameters counts those of a statement.
func parameters(query string) int {
	most := 0
	for _, m := range numbered.FindAllStringSubmatch(query, -1) {
		n, _ := strconv.Atoi(m[1])
		most = max(most, n)
	}
	if most == 0 {
		most = strings.Count(query, "?")
	}
	return most
}
