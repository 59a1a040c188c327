package didomi

import (
	"cmp"
	"encoding/json"
	"time"
	"unicode/utf8"

	"consentsync/internal/consent"
)

const createOp = "didomi.CreateEvents"

// Event is a consent event to be created.
type Event struct {
	// ID is ours to give. Didomi never imports an id twice, so an event that
	// is always given the same one may be sent as often as need be.
	ID                 string
	OrganizationUserID string
	// Regulation is gdpr when it is empty.
	Regulation string
	CreatedAt  consent.Time
	// Choices may be of every kind but consent.OfValue: Didomi takes the whole
	// list of a preference's values, not one value of it. Said twice, the
	// refusal counts.
	Choices []consent.Said
}

// eventJSON is an event as Didomi's OpenAPI has it
// (https://api.didomi.io/openapi.json), as far as we fill it.
type eventJSON struct {
	ID         string `json:"id"`
	CreatedAt  string `json:"created_at"`
	Regulation string `json:"regulation"`
	User       struct {
		OrganizationUserID string `json:"organization_user_id"`
	} `json:"user"`
	Consents struct {
		Purposes []*choiceJSON `json:"purposes,omitempty"`
		Channels []*choiceJSON `json:"channels,omitempty"`
	} `json:"consents"`
}

// choiceJSON is a purpose, a preference or a channel. Enabled is null where
// only something below it was chosen. What stands below is deprecated, but the
// only form that has these choices.
type choiceJSON struct {
	ID          string        `json:"id"`
	Enabled     *bool         `json:"enabled"`
	Channels    []*choiceJSON `json:"channels,omitempty"`
	Preferences []*choiceJSON `json:"preferences,omitempty"`
}

// encode writes an event, or says why it cannot be one.
func (e Event) encode() (json.RawMessage, error) {
	switch {
	case !usable(e.ID):
		return nil, unfit("the event has no usable id")
	case !usable(e.OrganizationUserID):
		return nil, unfit("the event names nobody that Didomi could know")
	case e.CreatedAt <= 0 || e.CreatedAt.Std().Year() > 9999:
		return nil, unfit("the event has no usable date")
	case len(e.Choices) == 0:
		return nil, unfit("the event holds no choice")
	}
	out := eventJSON{
		ID: e.ID, CreatedAt: e.date(), Regulation: cmp.Or(e.Regulation, consent.DefaultRegulation),
	}
	out.User.OrganizationUserID = e.OrganizationUserID
	for _, said := range e.Choices {
		at, err := out.place(said.Choice)
		if err != nil {
			return nil, err
		}
		if at.Enabled == nil || *at.Enabled {
			at.Enabled = &said.Enabled
		}
	}
	body, err := json.Marshal(out)
	if err != nil {
		return nil, unfit("the event cannot be written as JSON")
	}
	return body, nil
}

// date writes the event's date in the milliseconds that Didomi keeps. Didomi
// goes by dates, so an event that refuses anything is dated up and not down:
// cut, it could fall back to the grant that it ends.
func (e Event) date() string {
	ms := int64(e.CreatedAt) / 1000
	for _, said := range e.Choices {
		if !said.Enabled && int64(e.CreatedAt)%1000 != 0 {
			ms++
			break
		}
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

// place gives where a choice belongs, and makes it if need be.
func (e *eventJSON) place(c consent.Choice) (*choiceJSON, error) {
	var ids []string
	switch c.Kind {
	case consent.OfChannel:
		ids = []string{c.Channel}
	case consent.OfPurpose:
		ids = []string{c.Purpose}
	case consent.OfPurposePreference:
		ids = []string{c.Purpose, c.Preference}
	case consent.OfPurposeChannel:
		ids = []string{c.Purpose, c.Channel}
	case consent.OfPreferenceChannel:
		ids = []string{c.Purpose, c.Preference, c.Channel}
	case consent.OfValue:
		return nil, unfit("one value of a preference cannot be told to Didomi, which takes the whole list only: " + c.Path())
	default:
		return nil, unfit("the event holds a choice of an unknown kind")
	}
	for _, id := range ids {
		if !usable(id) {
			return nil, unfit("the event holds a choice without a usable id")
		}
	}
	if c.Kind == consent.OfChannel {
		return entry(&e.Consents.Channels, c.Channel), nil
	}
	at := entry(&e.Consents.Purposes, c.Purpose)
	if c.Kind == consent.OfPurposePreference || c.Kind == consent.OfPreferenceChannel {
		at = entry(&at.Preferences, c.Preference)
	}
	if c.Kind == consent.OfPurposeChannel || c.Kind == consent.OfPreferenceChannel {
		at = entry(&at.Channels, c.Channel)
	}
	return at, nil
}

// entry finds the entry of an id in a list, or adds it.
func entry(list *[]*choiceJSON, id string) *choiceJSON {
	for _, c := range *list {
		if c.ID == id {
			return c
		}
	}
	c := &choiceJSON{ID: id}
	*list = append(*list, c)
	return c
}

// usable keeps out what would become another id on its way: JSON replaces what
// is no UTF-8.
func usable(id string) bool { return id != "" && isID(id) && utf8.ValidString(id) }

func unfit(message string) *consent.Error {
	return consent.Errorf(consent.Invalid, createOp, "%s; nothing was sent", message)
}
