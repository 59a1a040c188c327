package store

import "consentsync/internal/consent"

// CatchUp is how far fetching from Didomi is that which may have been missed, of
// one organization. It is kept as one text, as JSON.
type CatchUp struct {
	Organization string `json:"-"`
	// Version grows with every change, so that of two nodes the one that is
	// behind changes nothing.
	Version int64 `json:"-"`

	// Done tells that everything was fetched once.
	Done bool `json:"done,omitempty"`
	// AliveAt is when a node last said that webhooks are being accepted.
	AliveAt consent.Time `json:"alive_at,omitempty"`
	// MissedAt is since when something may have been missed; zero if nothing may.
	// Away tells that nobody was there to accept it.
	MissedAt consent.Time `json:"missed_at,omitempty"`
	Away     bool         `json:"away,omitempty"`
	// GoneAt is when the last node was there that ended without saying so, of those
	// that MissedAt has taken into account.
	GoneAt consent.Time `json:"gone_at,omitempty"`

	Running bool          `json:"running,omitempty"`
	Reason  CatchUpReason `json:"reason,omitempty"` // why it runs, or last ran
	// Since is before when a user that has not changed is passed over.
	Since consent.Time `json:"since,omitempty"`
	// Counted tells that grants wait until everybody was counted (R23): it is
	// about more than what was missed.
	Counted    bool         `json:"counted,omitempty"`
	Regulation string       `json:"regulation,omitempty"` // where it is, with
	Cursor     string       `json:"cursor,omitempty"`     // Didomi's cursor of the next page
	StartedAt  consent.Time `json:"started_at,omitempty"`
	EndedAt    consent.Time `json:"ended_at,omitempty"` // zero while it runs
	// Users were looked at, of whom Changed were not before Since; Events were
	// fetched as proof; Unreadable is what could not be taken.
	Users      int64 `json:"users,omitempty"`
	Changed    int64 `json:"changed,omitempty"`
	Events     int64 `json:"events,omitempty"`
	Unreadable int64 `json:"unreadable,omitempty"`
	// Failures in a row, what the last of them was, and when it is tried again.
	Failures  int          `json:"failures,omitempty"`
	LastError string       `json:"last_error,omitempty"`
	NextAt    consent.Time `json:"next_at,omitempty"`
}

// GoodAt is up to when nothing can have been missed; zero if nothing was ever
// fetched.
func (c *CatchUp) GoodAt() consent.Time {
	switch {
	case !c.Done:
		return 0
	case c.MissedAt > 0:
		return c.MissedAt
	}
	return c.AliveAt
}

// CatchUpReason says why something may have been missed.
type CatchUpReason string

// The reasons.
const (
	CatchUpFirst    CatchUpReason = "first"    // nothing was ever fetched
	CatchUpAway     CatchUpReason = "away"     // no node was there to accept
	CatchUpMissed   CatchUpReason = "missed"   // a webhook was answered with an error
	CatchUpSchedule CatchUpReason = "schedule" // it is time
	CatchUpAsked    CatchUpReason = "asked"    // somebody asked for it
)

// ScanCatchUp reads version and body of an organization's.
func ScanCatchUp(organization string) func(Row) (CatchUp, error) {
	return func(row Row) (CatchUp, error) {
		c := CatchUp{Organization: organization}
		var body string
		if err := row.Scan(&c.Version, &body); err != nil {
			return c, err
		}
		return c, FromJSON(body, &c)
	}
}

// Superseded is the error of a change to what another has changed meanwhile.
func (c *CatchUp) Superseded() error {
	return consent.Errorf(consent.Conflict, "store.SaveCatchUp", "the catch-up was changed by another node or request: try again")
}
