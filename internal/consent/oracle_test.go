package consent

import "slices"

// The oracle says what should be on by going through all the inputs at once,
// without merging anything: slow, plain, and written apart from the merge.
type oracle struct {
	subjects map[Subject]*heard
	links    map[string]Link // by Didomi user, the first
	deleted  map[string]bool // events
	gone     map[string]bool // Didomi users
}

type heard struct {
	statements []Statement
}

// answer is what one statement says of one choice.
type answer struct {
	Statement
	on bool
}

func (a answer) grant() bool  { return a.on && !a.Snapshot }
func (a answer) refuse() bool { return !a.on }

func newOracle(messages []arrival) *oracle {
	o := &oracle{map[Subject]*heard{}, map[string]Link{}, map[string]bool{}, map[string]bool{}}
	for _, m := range messages {
		e := Resolve(m.Message, m.Arrived)
		if o.subjects[e.Subject] == nil {
			o.subjects[e.Subject] = &heard{}
		}
		h := o.subjects[e.Subject]
		h.statements = append(h.statements, e.Statements...)
		if e.Tombstone != nil {
			o.deleted[e.Tombstone.EventID] = true
		}
		if l, linked := o.links[e.DidomiUserID]; e.Link != nil && (!linked || e.Link.Before(l)) {
			o.links[e.DidomiUserID] = *e.Link
		}
		if e.Unlink {
			o.gone[e.DidomiUserID] = true
		}
	}
	return o
}

func (o *oracle) answers(s Subject, k Key) (all []answer) {
	h := o.subjects[s]
	if h == nil {
		return nil
	}
	for _, st := range h.statements {
		if st.Regulation != k.Regulation {
			continue
		}
		for _, said := range st.Choices {
			if said.Choice == k.Choice {
				all = append(all, answer{st, said.Enabled})
			}
		}
		for _, sel := range st.Selections {
			if k.Kind == OfValue && sel.Purpose == k.Purpose && sel.Preference == k.Preference {
				all = append(all, answer{st, slices.Contains(sel.Values, k.Value)})
			}
		}
	}
	return all
}

// newest gives the newest grants: those of the latest time.
func newest(all []answer) (grants []answer) {
	for _, a := range all {
		switch {
		case !a.grant() || len(grants) > 0 && a.At < grants[0].At:
			continue
		case len(grants) > 0 && a.At > grants[0].At:
			grants = nil
		}
		grants = append(grants, a)
	}
	return grants
}

// ended gives the newest grant if its event was deleted. Of several at one
// time the greatest event id decides.
func (o *oracle) ended(all []answer) (last answer, ended bool) {
	for i, g := range newest(all) {
		if i == 0 || g.EventID > last.EventID {
			last = g
		}
	}
	return last, last.EventID != "" && o.deleted[last.EventID]
}

// says is the rules R3 and R5 to R7 in their plainest words.
func (o *oracle) says(person string, k Key) string {
	subjects := []Subject{{OrganizationUserID: person}}
	for user, l := range o.links {
		if l.OrganizationUserID == person {
			subjects = append(subjects, Subject{DidomiUserID: user})
		}
	}
	withdraws := func(s Subject) bool {
		all := o.answers(s, k)
		_, ended := o.ended(all)
		return ended || slices.ContainsFunc(all, answer.refuse)
	}
	var follows, ends []answer
	for _, s := range subjects {
		all := o.answers(s, k)
		if g, ended := o.ended(all); ended {
			ends = append(ends, g)
		}
		blocked := o.gone[s.DidomiUserID] || slices.ContainsFunc(subjects, func(x Subject) bool { return x != s && withdraws(x) })
		for _, a := range all {
			if s.Person() || !blocked || a.refuse() {
				follows = append(follows, a)
			}
		}
	}
	grants := newest(follows)
	for _, a := range follows {
		if a.refuse() && stands(a, grants) {
			return "off"
		}
	}
	for _, g := range ends {
		if last, _ := o.ended(follows); len(grants) == 0 || g.At > last.At || g.At == last.At && g.EventID >= last.EventID {
			return "off"
		}
	}
	if len(follows) > 0 {
		return "on"
	}
	return ""
}

// stands tells whether a refusal is as new as the newest grants. One without a
// time is newer than all that came before it, whatever date that bears.
func stands(a answer, grants []answer) bool {
	if len(grants) == 0 || a.At >= grants[0].At {
		return true
	}
	return a.Undated && slices.ContainsFunc(grants, func(g answer) bool { return g.Arrived <= a.Arrived })
}
