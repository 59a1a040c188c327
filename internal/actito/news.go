package actito

import (
	"fmt"
	"strings"

	"consentsync/internal/consent"
)

// News is one change that Actito tells of. It holds personal data.
type News struct {
	EventID   string       // Actito's id of the event; "" if it told none
	Event     WebhookEvent // "" if not told
	ProfileID string       // "" if not told
	// Keys are the attributes' values as text, profileId among them. An attribute
	// whose value is none, a list or an object is left out, and so is a text that
	// is nobody's key, because it has a NUL in it.
	Keys map[string]string
	// Subscriptions are those of the table's that were told to be on or off.
	Subscriptions map[string]bool
	// Canonical is the news' data in one form: the same for the same data, in
	// whatever order its keys stand and whether a value is written as a text or
	// not, and another for other data.
	Canonical []byte
}

// MaxNews is the most that the body of a webhook may tell.
const MaxNews = 1000

// ParseNews reads the body of a webhook: one event or an array of them, each
// with one set of data or an array of sets. Known are the table's
// subscriptions.
//
// Any spelling is taken that has one meaning only. A subscription is left out
// when it is told to be neither on nor off, or both, or when its name fits in
// another letter case only and not to one alone. A field that is not known is no
// error.
//
// The error is Invalid and says which event is wrong and why. Unless that is
// the body as a whole, whatever else it tells is given beside the error.
func ParseNews(body []byte, known []string) ([]News, error) {
	const op = "actito.ParseNews"
	v, err := decode(body)
	if err != nil {
		return nil, consent.Errorf(consent.Invalid, op, "the body is not one JSON value")
	}
	events, many := v.([]any)
	if !many {
		events = []any{v}
	}
	r := newsReader{known: newKnownNames(known)}
	for i, event := range events {
		r.where = "the event"
		if many {
			r.where = fmt.Sprintf("event %d", i+1)
		}
		if r.event(event); len(r.news) > MaxNews {
			return nil, consent.Errorf(consent.Invalid, op, "the body holds more than %d events", MaxNews)
		}
	}
	if len(r.wrong) > 0 {
		return r.news, consent.Errorf(consent.Invalid, op, "%s", strings.Join(r.wrong, "; "))
	}
	return r.news, nil
}

type newsReader struct {
	known knownNames
	where string // the event that is being read
	news  []News
	wrong []string
}

// complain keeps the first complaints only: a body can be wrong a million times.
func (r *newsReader) complain(format string, args ...any) {
	const most = 5
	switch {
	case len(r.wrong) < most:
		r.wrong = append(r.wrong, r.where+" "+fmt.Sprintf(format, args...))
	case len(r.wrong) == most:
		r.wrong = append(r.wrong, "and so on")
	}
}

func (r *newsReader) event(v any) {
	event, ok := v.(map[string]any)
	if !ok {
		r.complain("is not an object")
		return
	}
	n := News{
		EventID:   identity(field(event, "id", "eventId")),
		Event:     eventOf(field(event, "eventType", "event")),
		ProfileID: identity(field(event, ProfileID)),
	}
	switch data := field(event, "data").(type) {
	case map[string]any:
		r.tell(n, data)
	case []any:
		for i, element := range data {
			if object, ok := element.(map[string]any); ok {
				r.tell(n, object)
			} else {
				r.complain("has data of which element %d is not an object", i+1)
			}
			if len(r.news) > MaxNews {
				return
			}
		}
	case nil:
		if n.ProfileID == "" {
			r.complain("has no data")
			return
		}
		// The event is its own data, in which "id" may be the id of anything.
		n.EventID = identity(field(event, "eventId"))
		r.tell(n, event)
	default:
		r.complain("has data that is neither an object nor an array")
	}
}

// tell adds one set of an event's data to the news.
func (r *newsReader) tell(n News, data map[string]any) {
	n.Canonical = canonical(nil, data)
	var told []telling
	n.Keys, told = r.look(data)
	n.Subscriptions = r.known.settle(told)
	for _, v := range []any{field(data, ProfileID), n.Keys[ProfileID], n.ProfileID, profileOf(data)} {
		if n.ProfileID = identity(v); n.ProfileID != "" {
			break
		}
	}
	r.news = append(r.news, n)
}

func profileOf(data map[string]any) any {
	profile, ok := field(data, "profile").(map[string]any)
	if !ok {
		return nil
	}
	return field(profile, ProfileID, "id")
}

// identity reads an id, in one form whether it is a text or a number. A text
// with a NUL in it is none: no database holds it as it is.
func identity(v any) string {
	id := strings.TrimSpace(scalar(v))
	if _, isBool := v.(bool); isBool || strings.ContainsRune(id, 0) {
		return ""
	}
	return id
}
