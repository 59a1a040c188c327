package store

import (
	"testing"

	"consentsync/internal/consent"
)

func TestWhomARetryTakes(t *testing.T) {
	t.Parallel()
	known := consent.Known{}.Confirm(consent.Difference{Subscriptions: map[string]bool{"News": true}}, 50)
	failed, unmatched := Standing{State: Failed, UpdatedAt: 90, LastError: "invalid: x"}, Standing{State: Unmatched, UpdatedAt: 20}
	synced, never := Standing{State: Synced, UpdatedAt: 70, Known: known}, Standing{}
	for name, c := range map[string]struct {
		only  Only
		takes [4]bool // failed, unmatched, synced, never
	}{
		"all":               {Only{State: Everyone}, [4]bool{true, true, true, true}},
		"failed":            {Only{State: Failed}, [4]bool{true, false, false, false}},
		"for a reason":      {Only{State: Everyone, Reason: "invalid: x"}, [4]bool{true, false, false, false}},
		"for another":       {Only{State: Failed, Reason: "invalid: y"}, [4]bool{}},
		"unmatched":         {Only{State: Unmatched}, [4]bool{false, true, false, false}},
		"from":              {Only{State: Everyone, From: 70}, [4]bool{true, false, true, false}},
		"to":                {Only{State: Everyone, To: 20}, [4]bool{false, true, false, false}},
		"when it confirmed": {Only{State: Everyone, From: 50, To: 50}, [4]bool{false, false, true, false}},
		"neither":           {Only{State: Everyone, From: 51, To: 69}, [4]bool{}},
		"failed in a time":  {Only{State: Failed, From: 91}, [4]bool{}},
	} {
		for i, s := range []Standing{failed, unmatched, synced, never} {
			if got := c.only.Takes(s); got != c.takes[i] {
				t.Errorf("%s: takes %q is %v", name, s.State, got)
			}
		}
	}
}
