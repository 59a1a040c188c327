package plan

import (
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// CeilingOf gives the limits that all integrations of a licence agree to, less
// what each leaves to the customer's other tools.
func CeilingOf(integrations []*store.Integration) Ceiling {
	var c Ceiling
	for n, i := range integrations {
		p := i.Settings.Properties
		perMinute := max(1, p.CallsPerMinute-p.ReservedCallsPerMinute)
		if n == 0 || perMinute < c.PerMinute {
			c.PerMinute = perMinute
		}
		if n == 0 || p.Concurrency < c.Width {
			c.Width = p.Concurrency
		}
	}
	return c
}

// Loadable tells whether a person of whom this is known can go by bulk. A
// profile that is not known to exist goes only where the file cannot make one
// against the customer's will, nor one that lacks what every profile must have.
func Loadable(i *store.Integration, known consent.Known) bool {
	switch {
	case known.Confirmed():
		return true
	case i.Settings.UpsertMode:
		return !needsAttributes(i)
	}
	return i.Settings.Properties.ETLUpdatesOnly
}

// needsAttributes tells whether a new profile needs more than its key.
func needsAttributes(i *store.Integration) bool {
	return slices.ContainsFunc(i.Snapshot.Attributes, func(a consent.Attribute) bool {
		return a.Mandatory && !a.Generated && a.Name != i.Settings.Properties.UserUniqueKey
	})
}
