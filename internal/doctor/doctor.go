// Package doctor says in plain words what is wrong with an installation, and what
// to do about it.
//
// What it looks at it leaves as it is; only the directory of the data is written
// to, to see whether that works. No finding holds a secret or what a person is
// known by. A finding that failed keeps the program from doing its work; a warning
// is worth somebody's time; what could not be looked at is unknown, which is
// neither.
package doctor

import (
	"fmt"

	"consentsync/internal/assumption"
	"consentsync/internal/consent"
)

// Status is how something is.
type Status string

// How something can be.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Failed  Status = "failed"
	Unknown Status = "unknown"
)

// Finding is one thing that was looked at.
type Finding struct {
	// About is what was looked at, such as a flag, or an integration.
	About  string `json:"about"`
	Status Status `json:"status"`
	Says   string `json:"says"`
	// Do is what to do about it; empty where there is nothing to do.
	Do string `json:"do"`
}

// Looked is an assumption about Didomi or Actito that was looked at with the
// credentials of an integration.
type Looked struct {
	// IntegrationID is empty where the credentials came from a file.
	IntegrationID string `json:"integration_id"`
	assumption.Checked
}

// Ask says what to look at.
type Ask struct {
	// OrganizationID and IntegrationID limit which integrations are looked at; empty
	// for all.
	OrganizationID string `json:"organization_id"`
	IntegrationID  string `json:"integration_id"`
	// Live looks at the assumptions about Didomi and Actito too.
	Live bool `json:"live"`
	// Profile is the key of a profile that may be read, WriteTo of one that may be
	// written to; only with Live.
	Profile string `json:"profile"`
	WriteTo string `json:"write_to"`
}

// Problems names the fields that cannot be, and what to do; nil if there are none.
func (a *Ask) Problems() map[string]string {
	fields := map[string]string{}
	for field, value := range map[string]string{"profile": a.Profile, "write_to": a.WriteTo} {
		if value != "" && !a.Live {
			fields[field] = "is for a look at the assumptions: add live"
		}
	}
	if a.WriteTo != "" && a.IntegrationID == "" {
		fields["write_to"] = "is a profile of one integration: say which with integration_id"
	}
	if len(fields) == 0 {
		return nil
	}
	return fields
}

// Report is all that was found.
type Report struct {
	At      consent.Time `json:"at"`
	Version string       `json:"version"`
	// LookedFrom is "server" where a running server looked at itself, "here" where
	// none runs, and "file" for credentials in a file.
	LookedFrom  string    `json:"looked_from"`
	Well        bool      `json:"well"` // nothing failed, and no assumption is refuted
	Findings    []Finding `json:"findings"`
	Assumptions []Looked  `json:"assumptions"`
}

// New makes a report that has found nothing.
func New(at consent.Time, version, from string) *Report {
	return &Report{At: at, Version: version, LookedFrom: from, Well: true, Findings: []Finding{}, Assumptions: []Looked{}}
}

// Add adds findings.
func (r *Report) Add(found ...Finding) {
	r.Findings = append(r.Findings, found...)
	for i := range found {
		r.Well = r.Well && found[i].Status != Failed
	}
}

// Look adds what became of assumptions.
func (r *Report) Look(integration string, checked []assumption.Checked) {
	for _, c := range checked {
		r.Assumptions = append(r.Assumptions, Looked{integration, c})
		r.Well = r.Well && c.Result != assumption.Refuted
	}
}

// Count gives how many findings have a status.
func (r *Report) Count(s Status) (n int) {
	for i := range r.Findings {
		if r.Findings[i].Status == s {
			n++
		}
	}
	return n
}

// Fine is a finding of something that is as it should be.
func Fine(about, format string, args ...any) Finding {
	return Finding{About: about, Status: OK, Says: fmt.Sprintf(format, args...)}
}

// Bad is a finding that has to be mended.
func Bad(about, says, do string) Finding { return Finding{about, Failed, says, do} }

// Doubtful is a finding that is worth a look.
func Doubtful(about, says, do string) Finding { return Finding{about, Warning, says, do} }

// Unseen is a finding of what could not be looked at.
func Unseen(about, says, do string) Finding { return Finding{about, Unknown, says, do} }
