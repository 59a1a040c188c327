package consent

import "strings"

// ChoiceKind says at which level of Didomi's consent tree a choice stands.
type ChoiceKind uint8

// The levels of the tree. The nested preferences and channels of a purpose
// are deprecated by Didomi but still sent by organizations on its version 1
// (https://developers.didomi.io/api-and-platform/consents/events/consent-event-schema).
const (
	OfChannel           ChoiceKind = iota + 1 // consents.channels[]
	OfPurpose                                 // consents.purposes[]
	OfPurposePreference                       // consents.purposes[].preferences[]
	OfPurposeChannel                          // consents.purposes[].channels[]
	OfPreferenceChannel                       // consents.purposes[].preferences[].channels[]
	OfValue                                   // one value listed in consents.purposes[].values
)

// Choice names one on/off answer. It is comparable; ids that a kind does not
// use are empty.
type Choice struct {
	Kind       ChoiceKind
	Purpose    string
	Preference string
	Channel    string
	Value      string
}

const (
	channelsPrefix = "consents_channels_"
	purposesPrefix = "consents_purposes_"
	enabledSuffix  = "_enabled"
	valueSuffix    = "_value"
	metadataPrefix = "user_metadata_"
	countryPath    = "user_country"
	userIDPath     = "user_organization_user_id"
)

// Path gives the string by which a mapping names the choice. Ids stand in it
// as they are, so two choices may build the same string; see Project for what
// happens then.
//
// The spelling for one value of a preference (OfValue) is this project's own:
// Didomi documents that a value can be mapped, not how it is written.
func (c Choice) Path() string {
	switch c.Kind {
	case OfChannel:
		return channelsPrefix + c.Channel + enabledSuffix
	case OfPurpose:
		return purposesPrefix + c.Purpose + enabledSuffix
	case OfPurposePreference:
		return purposesPrefix + c.Purpose + "_preferences_" + c.Preference + enabledSuffix
	case OfPurposeChannel:
		return purposesPrefix + c.Purpose + "_channels_" + c.Channel + enabledSuffix
	case OfPreferenceChannel:
		return purposesPrefix + c.Purpose + "_preferences_" + c.Preference + "_channels_" + c.Channel + enabledSuffix
	case OfValue:
		return selectionPrefix(c.Purpose, c.Preference) + c.Value + enabledSuffix
	}
	return ""
}

func selectionPrefix(purpose, preference string) string {
	return purposesPrefix + purpose + "_values_" + preference + "_"
}

// selectionPath names the whole list of a preference's chosen values, as text.
func selectionPath(purpose, preference string) string {
	return purposesPrefix + purpose + "_values_" + preference + valueSuffix
}

// CheckSubscriptionPath refuses a path that can never name an on/off choice;
// the message says which forms exist. A path of a right form may still name a
// choice that nobody ever makes: ids are the organization's own.
func CheckSubscriptionPath(path string) error {
	for _, prefix := range []string{channelsPrefix, purposesPrefix} {
		if len(path) > len(prefix)+len(enabledSuffix) && strings.HasPrefix(path, prefix) && strings.HasSuffix(path, enabledSuffix) {
			return nil
		}
	}
	if CheckAttributePath(path) == nil {
		return Errorf(Invalid, "", "%q is a text, not an on/off choice: put it in properties.attributes", path)
	}
	return Errorf(Invalid, "", "%q is not a path of a choice: use consents_channels_<id>_enabled, consents_purposes_<id>_enabled, "+
		"consents_purposes_<id>_preferences_<id>_enabled, consents_purposes_<id>_channels_<id>_enabled, "+
		"consents_purposes_<id>_preferences_<id>_channels_<id>_enabled or consents_purposes_<id>_values_<preference>_<value>_enabled", path)
}

// CheckAttributePath refuses a path that can never name a text.
func CheckAttributePath(path string) error {
	switch {
	case path == countryPath, path == userIDPath:
		return nil
	case strings.HasPrefix(path, metadataPrefix) && len(path) > len(metadataPrefix):
		return nil
	case isSelectionPath(path):
		return nil
	}
	return Errorf(Invalid, "", "%q is not a path of a text: use user_metadata_<key>, user_country, user_organization_user_id "+
		"or consents_purposes_<id>_values_<preference>_value", path)
}

// isSelectionPath tells whether the path can be cut into the ids of a purpose
// and of a preference, both non-empty, in at least one way.
func isSelectionPath(path string) bool {
	ids, isPurpose := strings.CutPrefix(path, purposesPrefix)
	ids, isValue := strings.CutSuffix(ids, valueSuffix)
	if !isPurpose || !isValue || ids == "" {
		return false
	}
	const between = "_values_"
	i := strings.Index(ids[1:], between) // after one character of the purpose at least
	return i >= 0 && i+1+len(between) < len(ids)
}
