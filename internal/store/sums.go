package store

import (
	"cmp"
	"slices"

	"consentsync/internal/consent"
)

// Tally is what one transaction adds to the counts of an integration, by name.
type Tally map[string]int64

// Looked counts that a delivery was looked at which had been made due so often
// since the last time: all but one of these events cost nothing of their own.
func (t Tally) Looked(marks int64) {
	t[CountEvents] += marks
	t[CountCoalesced] += max(0, marks-1)
}

// LeaveOut compares what is left out of a person's delivery now with what was
// stored. It gives what to store, and by how many people the sums of the
// integration change; changed is false if all is as it was.
func LeaveOut(was string, now []consent.LeftOut) (is string, sums []LeftOutTotal, changed bool, err error) {
	if len(now) > 0 {
		if is, err = ToJSON(now); err != nil {
			return "", nil, false, err
		}
	}
	if is == was {
		return is, nil, false, nil
	}
	var before []consent.LeftOut
	if err := FromJSON(was, &before); err != nil {
		return "", nil, false, err
	}
	by := make(map[LeftOutTotal]int64)
	add := func(list []consent.LeftOut, n int64) {
		for _, x := range list {
			if x.Attribute {
				by[LeftOutTotal{Name: x.Name, Reason: x.Reason}] += n
			}
		}
	}
	add(before, -1)
	add(now, 1)
	for sum, n := range by {
		if sum.People = n; n != 0 {
			sums = append(sums, sum)
		}
	}
	slices.SortFunc(sums, func(x, y LeftOutTotal) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Reason, y.Reason))
	})
	return is, sums, true, nil
}
