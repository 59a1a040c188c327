package actito

import "errors"

// The keys under which a subscription's value may stand.
var subscriptionValue = []string{"subscribe", "subscribed", "value", "belongs"}

// parseProfile reads a profile, of whichever version. An answer with neither
// attributes nor subscriptions, or with a subscription that is neither on nor
// off, is refused: taken for an answer it would confirm a withdrawal that nobody
// applied.
func parseProfile(body []byte) (Profile, error) {
	answer, err := decodeObject(body)
	if err != nil {
		return Profile{}, err
	}
	return profileIn(answer)
}

func profileIn(answer map[string]any) (Profile, error) {
	object, ok := inside(answer, "attributes", "subscriptions")
	if !ok {
		return Profile{}, errors.New("the answer holds neither attributes nor subscriptions")
	}
	attributes, ok := pairs(field(object, "attributes"), nil, "value", "values")
	if !ok {
		return Profile{}, errors.New("the attributes are in no known form")
	}
	profile := Profile{Subscriptions: map[string]bool{}, Attributes: map[string]any{}}
	for name, value := range attributes {
		profile.Attributes[name] = plain(value)
	}
	told := field(object, "subscriptions")
	subscriptions, ok := pairs(told, true, subscriptionValue...)
	if !ok {
		return Profile{}, errors.New("the subscriptions are in no known form")
	}
	if told == nil {
		profile.Subscriptions = nil
	}
	for name, value := range subscriptions {
		if value == nil {
			continue
		}
		if inner, ok := value.(map[string]any); ok {
			value = field(inner, subscriptionValue...)
		}
		on, ok := truth(value)
		if !ok {
			return Profile{}, errors.New("a subscription is neither on nor off")
		}
		profile.Subscriptions[name] = on
	}
	for _, v := range []any{field(attributes, ProfileID), field(object, ProfileID, "id"), field(answer, ProfileID, "id")} {
		if profile.ProfileID = text(v); profile.ProfileID != "" {
			break
		}
	}
	return profile, nil
}
