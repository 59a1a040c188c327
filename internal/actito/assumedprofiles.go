package actito

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"consentsync/internal/assumption"
)

// needsProfile tells what a look at a profile needs.
const needsProfile = "reads the profile that `--profile` names. "

var assumedOfProfiles = []assumption.Of[sight]{
	one(assumption.Assumption{
		ID: "actito.profile-key", Sure: assumption.SeenInCode, Sources: []string{codeShokme, codePet}, Where: []string{"internal/actito/v5profile.go"},
		Assumed: "A profile's address ends in `attribute=value`, with a unique attribute.",
		How:     needsProfile, ByHand: needsAProfile,
	}, func(s *sight) assumption.Verdict {
		if s.profile.Answer.Status == http.StatusNotFound {
			return assumption.Open("it is answered with 404: either there is no such profile, or its address is spelled otherwise")
		}
		return s.profile.Judged(func(any) assumption.Verdict { return assumption.Holds("the profile is found so") })
	}),
	one(assumption.Assumption{
		ID: "actito.profile-missing", Sure: assumption.Documented, Sources: []string{docHTTP}, Where: []string{"internal/actito/profile.go", "internal/deliver"},
		Assumed:   "A profile that is not there is answered with 404, which may also hide other errors.",
		Otherwise: "What a 404 means is checked against the table before anybody is taken for unmatched.",
		How:       "reads a made-up profile.",
	}, func(s *sight) assumption.Verdict {
		switch s.missing.Answer.Status {
		case http.StatusNotFound:
			return assumption.Holds("a made-up profile is answered with 404")
		case http.StatusOK:
			return assumption.Fails("a made-up profile is answered with 200")
		}
		return s.missing.Judged(func(any) assumption.Verdict {
			return assumption.Open("a made-up profile is answered with %s", statusWords(&s.missing))
		})
	}),
	one(assumption.Assumption{
		ID: "actito.profile", Sure: assumption.Inferred, Sources: []string{docV5, codeShokme}, Where: []string{"internal/actito/v5profile.go"},
		Assumed:   "A profile is told as `{\"attributes\": {name: value}, \"subscriptions\": {name: true or false}}`.",
		Otherwise: "Lists of names and values, as V4 has them, are read too; anything else is refused rather than taken for a confirmation.",
		How:       needsProfile, ByHand: needsAProfile,
	}, checkProfile),
	one(assumption.Assumption{
		ID: "actito.profile-subscriptions", Sure: assumption.Guess, Where: []string{"internal/actito/v5profile.go"},
		Assumed: "A profile tells every subscription of its table; one that it leaves out is off.",
		How:     needsProfile, ByHand: needsAProfile,
	}, checkProfileSubscriptions),
	one(assumption.Assumption{
		ID: "actito.profile-id", Sure: assumption.SeenInCode, Sources: []string{codeSDK, codePet}, Where: []string{"internal/actito/v5profile.go", "internal/deliver/hear.go"},
		Assumed: "A profile tells its `profileId`, and can be read by it as `profileId=7`.",
		How:     needsProfile, ByHand: needsAProfile,
	}, func(s *sight) assumption.Verdict {
		if v := ofProfile(&s.profile, func(any) assumption.Verdict { return assumption.Holds("") }); v.Result != assumption.Confirmed {
			return v
		}
		if s.read.ProfileID == "" {
			return assumption.Fails("the profile tells no profileId")
		}
		return s.byID.Judged(func(any) assumption.Verdict {
			return assumption.Holds("the profile is found by the profileId that it tells")
		})
	}),
}

const needsAProfile = "Give `--profile` the key of a profile that exists, such as your own."

// ofProfile judges a call about a profile that ought to be there.
func ofProfile(c *assumption.Call, well func(answer any) assumption.Verdict) assumption.Verdict {
	if c.Answer.Status == http.StatusNotFound {
		return assumption.Open("the profile was not found (404)")
	}
	return c.Judged(well)
}

func checkProfile(s *sight) assumption.Verdict {
	return ofProfile(&s.profile, func(answer any) assumption.Verdict {
		object, _ := answer.(map[string]any)
		attributes, flat := field(object, "attributes").(map[string]any)
		subscriptions, on := field(object, "subscriptions").(map[string]any)
		// The names of attributes are the table's; only the forms of values are told.
		form := assumption.Form(map[string]any{"attributes": sample(field(object, "attributes")), "subscriptions": sample(field(object, "subscriptions"))})
		if !flat || !on {
			return assumption.Fails("it is told as %s", form)
		}
		for name, value := range subscriptions {
			if _, isBool := value.(bool); !isBool {
				return assumption.Fails("the subscription %q is told as %s", name, assumption.Form(value))
			}
		}
		return assumption.Holds("%d attributes and %d subscriptions are told so", len(attributes), len(subscriptions))
	})
}

// sample keeps one field of an object.
func sample(v any) any {
	object, ok := v.(map[string]any)
	if !ok {
		return v
	}
	for _, key := range sortedKeys(object) {
		return map[string]any{key: object[key]}
	}
	return v
}

func checkProfileSubscriptions(s *sight) assumption.Verdict {
	return ofProfile(&s.profile, func(any) assumption.Verdict {
		if missing := leftOut(s.table.Subscriptions, s.read.Subscriptions); len(missing) > 0 {
			return assumption.Fails("it tells %d of %d and leaves out %s, which is taken for off",
				len(s.table.Subscriptions)-len(missing), len(s.table.Subscriptions), strings.Join(missing, ", "))
		}
		return assumption.Holds("all %d are told", len(s.table.Subscriptions))
	})
}

func leftOut(names []string, told map[string]bool) (missing []string) {
	for _, name := range names {
		if _, ok := told[name]; !ok {
			missing = append(missing, name)
		}
	}
	return missing
}

// needsWrites tells what a look at writes needs.
const needsWrites = "with `--write-to`, sets a subscription of that profile to what it is, and reads the profile before and after. "

var assumedOfWrites = []assumption.Of[sight]{
	one(assumption.Assumption{
		ID: "actito.patch", Sure: assumption.Inferred, Sources: []string{docWS, docChanges, codeShokme}, Where: []string{"internal/actito/v5profile.go"},
		Assumed: "`PATCH` on a profile's own address, with `{\"attributes\": {}, \"subscriptions\": {}}`, changes what it names and keeps everything else.",
		How:     needsWrites, ByHand: "Give `--write-to` the key of a profile made for tests.",
	}, checkPatch),
	one(assumption.Assumption{
		ID: "actito.write-answer", Sure: assumption.SeenInCode, Sources: []string{codeSDK}, Where: []string{"internal/actito/profile.go"},
		Assumed:   "The answer to a write tells the `profileId`, as V4's did.",
		Otherwise: "It is learnt from reads.",
		How:       needsWrites, ByHand: "Give `--write-to` the key of a profile made for tests.",
	}, func(s *sight) assumption.Verdict {
		if v, ok := s.patch.Open(); ok {
			return v
		}
		if s.told == "" && s.patch.Err == nil {
			return assumption.Fails("the answer to a write tells no profileId")
		}
		return ofProfile(&s.patch, func(answer any) assumption.Verdict { return assumption.Holds("it answers %s", assumption.Form(answer)) })
	}),
	one(assumption.Assumption{
		ID: "actito.unknown-subscription", Sure: assumption.Inferred, Sources: []string{docHTTP}, Where: []string{"internal/deliver/attempt.go"},
		Assumed: "A `PATCH` that names a subscription which the table has not is refused with 400, and changes nothing.",
		How:     "with `--write-to`, sends one to that profile. ", ByHand: "Give `--write-to` the key of a profile made for tests.",
	}, checkUnfit),
	one(assumption.Assumption{
		ID: "actito.create", Sure: assumption.Guess, Sources: []string{docChanges}, Where: []string{"internal/actito/v5profile.go", "internal/actito/profile.go"},
		Assumed:   "`POST` on a table's profiles, with `{\"key\": {}, \"attributes\": {}, \"subscriptions\": {}}`, makes a profile, and is answered with 409 where it exists.",
		Otherwise: "Where it is not there, the `PUT` is used, between two reads.",
		ByHand:    "In a test table, switch on `upsert_mode`, let a new person consent, and look at their trace.",
	}, nil),
	one(assumption.Assumption{
		ID: "actito.replace", Sure: assumption.SeenInCode, Sources: []string{codeShokme, docWS}, Where: []string{"internal/actito/v5profile.go"},
		Assumed: "`PUT` on a table's profiles makes or replaces the profile that `key` names.",
		ByHand:  "Only used where there is no create operation; the trace of a new person shows which was.",
	}, nil),
	one(assumption.Assumption{
		ID: "actito.null", Sure: assumption.Guess, Where: []string{"internal/actito/v5profile.go"},
		Assumed: "`null` clears an attribute.",
		ByHand:  "In a test table, set a text in Didomi, clear it, and look at the profile in Actito.",
	}, nil),
	one(assumption.Assumption{
		ID: "actito.v4-profiles", Sure: assumption.SeenInCode, Sources: []string{docV5, codeSDK, codeProdu, codeShokme}, Where: []string{"internal/actito/v4profile.go"},
		Assumed:   "Where `properties.dialect` is `v4`: a subscription is turned on by `POST` and off by `DELETE` on an address of its own, and `PUT` with some attributes keeps the others. [v4.md](v4.md#what-we-know-and-how-sure-we-are) has it line by line.",
		Otherwise: "A `PUT` that replaces would clear attributes: they can be left out of what is sent.",
		ByHand:    "As [v4.md](v4.md#try-it-first) says, in a table for tests.",
	}, nil),
	one(assumption.Assumption{
		ID: "actito.dates", Sure: assumption.Inferred, Sources: []string{docFiles}, Where: []string{"internal/consent/attribute.go"},
		Assumed:   "Dates in JSON have the formats that are documented for files: `2026-11-26`, `2026-11-26 08:30:00`.",
		Otherwise: "An attribute that is refused is left out and reported; subscriptions do not wait for it.",
		ByHand:    "In a test table, map a text to an attribute of type date, and look at its trace.",
	}, nil),
}

func checkPatch(s *sight) assumption.Verdict {
	if v, ok := s.patch.Open(); ok {
		return v
	}
	if s.patch.Answer.Status == http.StatusNotFound {
		return assumption.Open("the profile was not found (404)")
	}
	if s.patch.Err != nil {
		return assumption.Fails("it is answered with %s", statusWords(&s.patch))
	}
	return s.patched.Judged(func(any) assumption.Verdict {
		if changed := differing(s.before, s.after); len(changed) > 0 {
			return assumption.Fails("after it these are not as they were: %s", strings.Join(changed, ", "))
		}
		return assumption.Holds("it is answered with %s, and the profile is as it was", statusWords(&s.patch))
	})
}

func checkUnfit(s *sight) assumption.Verdict {
	if v, ok := s.unfit.Open(); ok {
		return v
	}
	return s.unfitted.Judged(func(any) assumption.Verdict {
		if changed := differing(s.before, s.afterUnfit); len(changed) > 0 {
			return assumption.Fails("it is answered with %s, and these are not as they were: %s", statusWords(&s.unfit), strings.Join(changed, ", "))
		}
		if s.unfit.Answer.Status != http.StatusBadRequest {
			return assumption.Fails("it is answered with %s, and the profile is as it was", statusWords(&s.unfit))
		}
		return assumption.Holds("it is answered with 400, and the profile is as it was")
	})
}

// differing names what two looks at a profile saw otherwise, but for the moment
// of its last change.
func differing(before, after Profile) (names []string) {
	all := map[string]bool{}
	for _, names := range []map[string]bool{before.Subscriptions, after.Subscriptions} {
		for name := range names {
			all[name] = before.Subscriptions[name] != after.Subscriptions[name]
		}
	}
	for name, was := range before.Attributes {
		all[name] = all[name] || !reflect.DeepEqual(was, after.Attributes[name])
	}
	for name, is := range after.Attributes {
		all[name] = all[name] || !reflect.DeepEqual(is, before.Attributes[name])
	}
	delete(all, "updateMoment")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name] {
			names = append(names, name)
		}
	}
	return names
}
