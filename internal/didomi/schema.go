package didomi

import (
	"fmt"
	"maps"
	"strings"
)

// Limits on one message; beyond them it is refused.
const (
	maxChoices = 10_000
	maxID      = 1024 // bytes
)

// A form is what a value has to look like.
type form uint8

const (
	anyForm    form = iota // not read by us, so not looked at
	idForm                 // a text that names something
	timeForm               // see times.go
	flagForm               // true, false
	chosenForm             // ids of values as "v1,v2", or as a list
	freeForm               // an object whose names are the organization's
	objectForm             // an object with fields of Didomi's
	listForm               // a list of objects that have an id each
	dictForm               // an object that names objects by their id
)

// A shape is a form together with the shapes of the members.
type shape struct {
	form   form
	fields map[string]*shape // of an object
	each   *shape            // of a list, of a dict
}

var (
	anything     = &shape{form: anyForm}
	identifier   = &shape{form: idForm}
	moment       = &shape{form: timeForm}
	yesNo        = &shape{form: flagForm}
	chosenValues = &shape{form: chosenForm}
	freeObject   = &shape{form: freeForm}
)

func fields(f map[string]*shape) *shape { return &shape{form: objectForm, fields: f} }
func listOf(each *shape) *shape         { return &shape{form: listForm, each: each} }
func dictOf(each *shape) *shape         { return &shape{form: dictForm, each: each} }

// The fields that Didomi documents and we read, and of those that we do not
// read the ones that stand beside an id, because the flattened form has to
// tell an id from a field.
var (
	channelList = listOf(fields(map[string]*shape{
		"id": identifier, "enabled": yesNo, "metadata": anything,
	}))
	preferenceList = listOf(fields(map[string]*shape{
		"id": identifier, "enabled": yesNo, "metadata": anything, "channels": channelList,
	}))
	valueDict = dictOf(fields(map[string]*shape{
		"value": chosenValues, "from_propagation": anything,
	}))
	purposeList = listOf(fields(map[string]*shape{
		"id": identifier, "enabled": yesNo, "enabled_li": anything, "metadata": anything, "propagation": anything,
		"values": valueDict, "preferences": preferenceList, "channels": channelList,
	}))
	consentTree = fields(map[string]*shape{
		"channels": channelList, "purposes": purposeList,
	})
	eventEntity = fields(map[string]*shape{
		"id": identifier, "organization_id": identifier, "created_at": moment, "updated_at": moment,
		"status": identifier, "regulation": identifier, "consents": consentTree,
		"user": fields(map[string]*shape{
			"id": identifier, "organization_user_id": identifier, "metadata": freeObject, "country": identifier,
		}),
	})
	userEntity = fields(map[string]*shape{
		"id": identifier, "organization_id": identifier, "created_at": moment, "updated_at": moment,
		"regulation": identifier, "consents": consentTree,
		"organization_user_id": identifier, "metadata": freeObject, "country": identifier,
	})

	// The source of an event's update is not read.
	eventEnvelope = envelope(map[string]*shape{
		"entity": eventEntity, "new_entity": eventEntity,
	})
	userEnvelope = envelope(map[string]*shape{
		"entity": userEntity, "new_entity": userEntity, "source": eventEntity,
	})
)

// envelope is the whole payload. The flattened form drops "parameters", or
// keeps it as the beginning of its names.
func envelope(parameters map[string]*shape) *shape {
	all := map[string]*shape{"type": identifier, "regulation": identifier, "parameters": fields(parameters)}
	maps.Copy(all, parameters)
	return fields(all)
}

// must says what a value of the form has to be.
func (f form) must() string {
	switch f {
	case idForm:
		return fmt.Sprintf("must be a text of at most %d bytes without a NUL", maxID)
	case timeForm:
		return timeMust
	case flagForm:
		return "must be true, false or null"
	case chosenForm:
		return fmt.Sprintf("must be a text of ids with commas between, or a list of ids, of at most %d bytes each without a NUL", maxID)
	case listForm:
		return "must be a list"
	}
	return "must be an object"
}

// check finds every value that has not its form. Missing and null are right
// for all of them.
func (f *faults) check(n *node, s *shape) {
	if !n.given() {
		return
	}
	if !s.form.fits(n) {
		f.add(n, s.form.must())
		return
	}
	switch s.form {
	case objectForm:
		for _, kid := range n.kids {
			if field := s.fields[kid.key]; field != nil {
				f.check(kid, field)
			}
		}
	case listForm:
		for _, kid := range n.kids {
			f.check(kid, s.each)
			if kid.kind == objectKind && itemID(kid) == "" && kid.field("id").mayBeID() {
				f.addMember(kid, "id", "must name the entry")
			}
		}
	case dictForm:
		for _, kid := range n.kids {
			f.check(kid, s.each)
			if !isID(kid.key) || kid.key == "" {
				f.add(kid, fmt.Sprintf("must have a name of 1 to %d bytes without a NUL", maxID))
			}
		}
	}
}

// fits looks at the value itself, not at its members.
func (f form) fits(n *node) bool {
	switch f {
	case anyForm:
		return true
	case idForm:
		return n.kind == textKind && isID(n.text)
	case timeForm:
		if n.kind != textKind {
			return false
		}
		_, ok := parseTime(n.text)
		return ok
	case flagForm:
		return n.kind == trueKind || n.kind == falseKind
	case chosenForm:
		return isChosen(n)
	case listForm:
		return n.kind == listKind
	}
	return n.kind == objectKind
}

// isID keeps out what no store can take and nobody means.
func isID(s string) bool { return len(s) <= maxID && strings.IndexByte(s, 0) < 0 }

func isChosen(n *node) bool {
	switch n.kind {
	case textKind:
		for v := range strings.SplitSeq(n.text, ",") {
			if !isID(v) {
				return false
			}
		}
		return true
	case listKind:
		for _, kid := range n.kids {
			if kid.kind != nullKind && (kid.kind != textKind || !isID(kid.text)) {
				return false
			}
		}
		return true
	}
	return false
}

// mayBeID tells an id that is missing or empty from one of a wrong type, of
// which check has told already.
func (n *node) mayBeID() bool { return !n.given() || n.kind == textKind }

// itemID gives the id of an entry of a list: its field, else the name that
// the flattened form gives it.
func itemID(n *node) string {
	if identifier := n.field("id").string(); identifier != "" {
		return identifier
	}
	return n.key
}
