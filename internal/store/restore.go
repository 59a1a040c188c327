package store

import "consentsync/internal/consent"

// restoredReason is what the status of an integration says after a restore.
const restoredReason = "the database was restored from a backup: nothing is sent until you resume it (POST …/resume); " +
	"what to look at before stands in docs/operations.md, \"After a restore\""

// Restored makes i one of a database that was brought back to an older state:
// it is paused, what is known of the profiles counts as outdated, and grants
// given up to now are held.
func (i *Integration) Restored(at consent.Time) {
	i.Status, i.StatusReason = Paused, restoredReason
	i.Snapshot.RestoredAt, i.Snapshot.GrantsApproved = at, false
}
