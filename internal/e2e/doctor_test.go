package e2e_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"consentsync/internal/app"
	"consentsync/internal/doctor"
	"consentsync/internal/simulator"
	"consentsync/internal/store/pgtest"
)

// On PostgreSQL a node looks at itself, and the command beside it sees the same,
// without disturbing it.
func TestDoctorOnPostgreSQL(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{}, func(c *app.Config) { c.Database = pgtest.Database(t) })
	id := b.integrate(nil)
	var node doctor.Report
	b.must(http.MethodPost, "/v1/doctor", `{"live":true}`, http.StatusOK, &node)
	beside := b.cfg
	beside.Listen = "127.0.0.1:0"
	here, err := app.Examine(t.Context(), beside, doctor.Ask{Live: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*doctor.Report{&node, here} {
		has := func(status doctor.Status, about, says string) {
			t.Helper()
			if !slices.ContainsFunc(r.Findings, func(f doctor.Finding) bool {
				return f.Status == status && f.About == about && strings.Contains(f.Says, says)
			}) {
				t.Errorf("from %s, no %s %s: %s in %+v", r.LookedFrom, status, about, says, r.Findings)
			}
		}
		has(doctor.OK, "database", "PostgreSQL ")
		has(doctor.OK, "schema", "up to date")
		has(doctor.OK, "the database's clock", "agrees")
		has(doctor.OK, "master key", "opens the database")
		has(doctor.OK, "integration "+id, "gives a token")
		has(doctor.Unknown, "disk", "does not tell")
		if !r.Well || len(r.Assumptions) == 0 {
			t.Errorf("from %s: %+v", r.LookedFrom, r)
		}
	}
	b.must(http.MethodGet, "/readyz", "", http.StatusOK, nil)
}
