package consent

import (
	"fmt"
	"slices"
	"strings"
)

// Mapping says that a subscription or an attribute of the CRM (ID) follows a
// path of Didomi (Value).
type Mapping struct {
	ID    string `json:"id"`
	Value string `json:"value"`
}

// CheckMappings refuses what can never work within one integration: paths of a
// wrong form, empty ids, and a subscription or an attribute mapped twice, which
// includes names equal but for case (R11). It names each offending field of the
// input as the API takes it, and says what to do; nil if there is none.
func CheckMappings(subscriptions, attributes []Mapping) map[string]string {
	problems := make(map[string]string)
	check(problems, "mappings", subscriptions, CheckSubscriptionPath)
	check(problems, "properties.attributes", attributes, CheckAttributePath)
	if len(problems) == 0 {
		return nil
	}
	return problems
}

func check(problems map[string]string, field string, mappings []Mapping, checkPath func(string) error) {
	for i, m := range mappings {
		id := fmt.Sprintf("%s[%d].id", field, i)
		if strings.TrimSpace(m.ID) == "" {
			problems[id] = "is empty: give the name that Actito shows"
		} else if j := slices.IndexFunc(mappings[:i], m.sameID); j >= 0 {
			problems[id] = fmt.Sprintf("%q is mapped already, by %s[%d]: remove one of the two", m.ID, field, j)
		}
		if err := checkPath(m.Value); err != nil {
			problems[fmt.Sprintf("%s[%d].value", field, i)] = fmt.Sprintf("the mapping of %q: %s", m.ID, MessageOf(err))
		}
	}
}

func (m Mapping) sameID(o Mapping) bool {
	return strings.EqualFold(strings.TrimSpace(m.ID), strings.TrimSpace(o.ID))
}

// Overlap lists the ids of a that b maps too, be it in other case. Two
// integrations on one table must have none: a subscription has one owner (R11).
func Overlap(a, b []Mapping) []string {
	var shared []string
	for _, m := range a {
		if slices.ContainsFunc(b, m.sameID) {
			shared = append(shared, m.ID)
		}
	}
	slices.Sort(shared)
	return slices.Compact(shared)
}
