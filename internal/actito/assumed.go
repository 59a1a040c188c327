package actito

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"consentsync/internal/assumption"
)

// Where Actito's own words are, and code that calls it.
const (
	docAuth    = "https://developers.actito.com/docs/integration-framework/apis/authentication/api-key"
	docReorg   = "http://cdn3.actito.com/fe/actito-documentation/docs/API-reference-reorganization"
	docQuick   = "https://developers.actito.com/docs/use-cases/quick-start"
	docTables  = "https://developers.actito.com/docs/use-cases/data-model-management/profile-tables"
	docV5      = "http://cdn3.actito.com/fe/actito-documentation/es/docs/v4-profiles-1by1-calls"
	docChanges = "https://developers.actito.com/docs/integration-framework/apis/change-management/changelogs"
	docHTTP    = "http://cdn3.actito.com/fe/actito-documentation/docs/HTTP_response_codes"
	docWS      = "http://cdn3.actito.com/fe/actito-documentation/docs/Webservices"
	docLimits  = "https://developers.actito.com/docs/integration-framework/apis/limitations"
	docSubs    = "https://cdn.actito.be/fe/actito-documentation-client/campaign/en/Adding_a_Subscription_to_the_Profile_Table.html"
	docLoads   = "https://developers.actito.com/docs/use-cases/datasync/api/migrating-v4-imports"
	docFiles   = "https://developersbuild.actito.com/develop/docs/integration-framework/etls/formats"
	docOptin   = "https://developersbuild.actito.com/develop/docs/use-cases/optin-preferences-management"
	docHooks   = "https://developers.actito.com/docs/integration-framework/webhooks/protocol"
	docEvents  = "https://developers.actito.com/docs/integration-framework/webhooks/events/data"
	docTrigger = "https://developers.actito.com/docs/integration-framework/webhooks/events/triggers"
	docMail    = "http://cdn3.actito.com/fe/actito-documentation/docs/Triggering_a_Transactional_Campaign"
	codeShokme = "https://github.com/shokme/laravel-actito"
	codeSDK    = "https://github.com/actito/data-model-sdk"
	codePet    = "https://github.com/Nelo07o/myhappypet"
	codeProdu  = "https://github.com/produpress/laravel-actito"
)

// from joins lists of assumptions into the one table.
func from(lists ...[]assumption.Of[sight]) []assumption.Of[sight] { return slices.Concat(lists...) }

// assumed is all that is assumed about Actito.
var assumed = from(assumedOfAccounts, assumedOfProfiles, assumedOfWrites, assumedOfLoads, assumedOfWebhooks, assumedOfMessages)

// one is an assumption with what looks at it.
func one(a assumption.Assumption, check func(*sight) assumption.Verdict) assumption.Of[sight] {
	return assumption.Of[sight]{Assumption: a, Check: check}
}

var assumedOfAccounts = []assumption.Of[sight]{
	one(assumption.Assumption{
		ID: "actito.token", Sure: assumption.Documented, Sources: []string{docAuth}, Where: []string{"internal/actito/token.go"},
		Assumed: "`GET /auth/token` with the bare API key in `Authorization` answers an object with `accessToken`.",
		How:     "asks for a token.",
	}, func(s *sight) assumption.Verdict {
		if s.token.Answer.Status == http.StatusUnauthorized {
			return assumption.Open("Actito refuses the API key (401)")
		}
		return s.token.Judged(func(answer any) assumption.Verdict { return assumption.Holds("it answers %s", assumption.Form(answer)) })
	}),
	one(assumption.Assumption{
		ID: "actito.token-life", Sure: assumption.Documented, Sources: []string{docAuth}, Where: []string{"internal/actito/token.go"},
		Assumed:   "A token lives for 15 minutes, and the answer says so in `expiresIn`, as the text `900s`.",
		Otherwise: "A number is taken for seconds, anything else for 15 minutes; a token that ends sooner costs one 401.",
		How:       "asks for a token.",
	}, checkTokenLife),
	one(assumption.Assumption{
		ID: "actito.token-several", Sure: assumption.Guess, Where: []string{"internal/outbound/token.go"},
		Assumed:   "Several tokens of one API key are good at once, so that several nodes may use one key.",
		Otherwise: "A token that was ended by another is renewed after one 401.",
		How:       "asks for two tokens and uses the first.",
	}, func(s *sight) assumption.Verdict {
		if s.several.Answer.Status == http.StatusUnauthorized {
			return assumption.Fails("after a second token was made the first is refused (401)")
		}
		return s.several.Judged(func(any) assumption.Verdict { return assumption.Holds("the first of two tokens is still good") })
	}),
	one(assumption.Assumption{
		ID: "actito.unauthorized", Sure: assumption.Documented, Sources: []string{docHTTP}, Where: []string{"internal/outbound/token.go"},
		Assumed: "A token that is no longer good, or never was, is answered with 401.",
		How:     "calls with a made-up token.",
	}, func(s *sight) assumption.Verdict { return s.stranger.Stranger() }),
	one(assumption.Assumption{
		ID: "actito.addresses", Sure: assumption.Documented, Sources: []string{docReorg}, Where: []string{"internal/actito/v5.go"},
		Assumed: "Addresses have a category before the version, such as `/entities/v5/entities`. Those without it were to end in June 2025.",
		How:     "lists the entities at both addresses.",
	}, checkAddresses),
	one(assumption.Assumption{
		ID: "actito.entities", Sure: assumption.Documented, Sources: []string{docQuick}, Where: []string{"internal/actito/v5.go"},
		Assumed: "`GET /entities/v5/entities` answers `{\"entities\": [{\"id\", \"name\"}]}`, and later addresses take the name.",
		How:     "lists the entities, and looks for the one that is configured by its name.",
	}, func(s *sight) assumption.Verdict {
		return s.entities.Judged(func(answer any) assumption.Verdict {
			named := slices.ContainsFunc(s.entityList, func(e Entity) bool { return e.Name == s.of.Entity })
			switch {
			case named:
				return assumption.Holds("it answers %s, and the entity is in it by its name", assumption.Form(answer))
			case slices.ContainsFunc(s.entityList, func(e Entity) bool { return e.ID == s.of.Entity }):
				return assumption.Fails("the entity is in the list by its id, not its name")
			}
			return assumption.Open("it answers %s, but the configured entity is not in it", assumption.Form(answer))
		})
	}),
	one(assumption.Assumption{
		ID: "actito.tables", Sure: assumption.Inferred, Sources: []string{docTables}, Where: []string{"internal/actito/v5.go"},
		Assumed:   "`GET /profile-table-structure/v5/entities/{entity}/profile-tables` lists tables, each with `id` and `name`.",
		Otherwise: "The list is found under whichever key it stands.",
		How:       "lists the tables.",
	}, func(s *sight) assumption.Verdict {
		return s.tables.Judged(func(answer any) assumption.Verdict {
			if slices.ContainsFunc(s.tableList, func(t TableRef) bool { return t.Name == "" }) {
				return assumption.Fails("a table has no name: %s", assumption.Form(answer))
			}
			return assumption.Holds("it answers %s", assumption.Form(answer))
		})
	}),
	one(assumption.Assumption{
		ID: "actito.lists-whole", Sure: assumption.Guess, Where: []string{"internal/actito/v5.go"},
		Assumed: "The lists of entities and of tables are not cut into pages.",
		How:     "looks for signs of pages in both lists.",
	}, checkWhole),
	one(assumption.Assumption{
		ID: "actito.structure", Sure: assumption.Documented, Sources: []string{docTables}, Where: []string{"internal/actito/v5.go", "internal/integration/live.go"},
		Assumed: "A table's structure has `attributes`, each with `name`, `type`, `unique` and `mandatory`, and `valueType` where the type is CUSTOM.",
		How:     "reads the structure.",
	}, checkStructure),
	one(assumption.Assumption{
		ID: "actito.structure-subscriptions", Sure: assumption.Inferred, Sources: []string{docTables, docSubs}, Where: []string{"internal/actito/v5.go"},
		Assumed:   "A structure names the table's subscriptions under the key `subscriptions`; every table has at least one.",
		Otherwise: "They are looked for under every key that contains the word, in any likely form.",
		How:       "reads the structure.",
	}, checkSubscriptions),
	one(assumption.Assumption{
		ID: "actito.limits", Sure: assumption.Documented, Sources: []string{docLimits}, Where: []string{"internal/deliver/plan"},
		Assumed:   "A licence has 100 calls a minute, and what exceeds that is slowed down; more than 5 calls at once are answered with 429.",
		Otherwise: "The pace falls when answers become slow or refusals come, whatever the limits are.",
		ByHand:    "Ask Actito for the limits of your licence. Trying them would disturb others on it.",
	}, nil),
	one(assumption.Assumption{
		ID: "actito.limit-headers", Sure: assumption.Inferred, Sources: []string{docLimits}, Where: []string{"internal/deliver/plan"},
		Assumed: "No header tells how much of a limit is left.",
		How:     "looks at the headers of all answers.",
	}, checkLimitHeaders),
	one(assumption.Assumption{
		ID: "actito.unavailable", Sure: assumption.Guess, Where: []string{"internal/actito/call.go"},
		Assumed: "503 says that nothing was applied, as HTTP means it.",
		ByHand:  "Ask Actito. When 503 is seen, compare a profile with its trace.",
	}, nil),
	one(assumption.Assumption{
		ID: "actito.errors", Sure: assumption.Guess, Where: []string{"internal/actito/call.go", "internal/outbound/excerpt.go"},
		Assumed: "The bodies of errors have no certain form. They are shown, cut and masked, and decide nothing.",
		How:     "looks at the form of an error.",
	}, func(s *sight) assumption.Verdict {
		for _, l := range []assumption.Call{s.missing, s.stranger} {
			if answer, ok := l.JSON(); ok && l.Answer.Status/100 == 4 {
				return assumption.Holds("an error has the form %s; nothing rests on it", assumption.Form(answer))
			}
		}
		return assumption.Open("no error with JSON in it was seen")
	}),
}

func checkTokenLife(s *sight) assumption.Verdict {
	return s.token.Judged(func(answer any) assumption.Verdict {
		object, _ := answer.(map[string]any)
		told, isText := field(object, "expiresIn", "expires_in").(string)
		_, life, err := parseToken(s.token.Answer.Body)
		switch {
		case err != nil:
			return assumption.Fails("%v", err)
		case !isText:
			return assumption.Fails("expiresIn is %s; a life of %v is reckoned with", assumption.Form(field(object, "expiresIn", "expires_in")), life)
		case life != 15*time.Minute || told != "900s":
			return assumption.Fails("the token says that it lives for %v", life)
		}
		return assumption.Holds("expiresIn is 900s")
	})
}

func checkAddresses(s *sight) assumption.Verdict {
	bare := "the one without is answered with " + statusWords(&s.bare)
	if _, ok := s.entities.Open(); !ok && s.entities.Answer.Status == http.StatusNotFound && s.bare.Answer.Status == http.StatusOK {
		return assumption.Fails("the address with a category is not there (404), the one without is")
	}
	return s.entities.Judged(func(any) assumption.Verdict {
		return assumption.Holds("the address with a category is answered; %s", bare)
	})
}

func statusWords(c *assumption.Call) string {
	if c.Answer.Status == 0 {
		return "nothing"
	}
	return strconv.Itoa(c.Answer.Status)
}

// pageSigns are names of fields that lists with pages have.
var pageSigns = []string{"next", "nextpage", "cursor", "hasmore", "hasnext", "totalpages", "page", "pagesize", "pagenumber", "offset", "limit"}

func checkWhole(s *sight) assumption.Verdict {
	for _, l := range []*assumption.Call{&s.entities, &s.tables} {
		v := l.Judged(func(answer any) assumption.Verdict {
			if strings.Contains(l.Answer.Header.Get("Link"), "next") {
				return assumption.Fails("the header Link tells of a next page")
			}
			object, _ := answer.(map[string]any)
			for key := range object {
				if slices.Contains(pageSigns, strings.ToLower(strings.ReplaceAll(key, "_", ""))) {
					return assumption.Fails("the answer has the field %s: %s", key, assumption.Form(answer))
				}
			}
			return assumption.Holds("neither list has a sign of pages")
		})
		if v.Result != assumption.Confirmed {
			return v
		}
	}
	return assumption.Holds("neither list has a sign of pages")
}

func checkStructure(s *sight) assumption.Verdict {
	return s.structure.Judged(func(answer any) assumption.Verdict {
		key := slices.IndexFunc(s.table.Attributes, func(a Attribute) bool { return a.Name == s.of.KeyAttribute })
		for _, a := range s.table.Attributes {
			if a.Name == "" || a.Type == "" || strings.EqualFold(a.Type, "CUSTOM") && a.ValueType == "" {
				return assumption.Fails("an attribute lacks its name or type: %s", assumption.Form(answer))
			}
		}
		if key < 0 || !s.table.Attributes[key].Unique {
			return assumption.Fails("the attribute that is the key is not told as unique: %s", assumption.Form(answer))
		}
		return assumption.Holds("%d attributes are told in this form", len(s.table.Attributes))
	})
}

func checkSubscriptions(s *sight) assumption.Verdict {
	return s.structure.Judged(func(answer any) assumption.Verdict {
		object, _ := answer.(map[string]any)
		if found := namesUnder(field(object, "subscriptions")); len(found) > 0 {
			return assumption.Holds("%d are told, as %s", len(found), assumption.Form(field(object, "subscriptions")))
		}
		if n := len(s.table.Subscriptions); n > 0 {
			return assumption.Fails("%d were found in another place: %s", n, assumption.Form(answer))
		}
		return assumption.Fails("none were found: %s", assumption.Form(answer))
	})
}

func checkLimitHeaders(s *sight) assumption.Verdict {
	found := map[string]bool{}
	answers := 0
	for _, l := range []*assumption.Call{&s.token, &s.entities, &s.tables, &s.structure, &s.missing, &s.profile} {
		if l.Answer.Status > 0 {
			answers++
		}
		for name := range l.Answer.Header {
			if limitHeader(name) {
				found[name] = true
			}
		}
	}
	switch {
	case len(found) > 0:
		return assumption.Fails("there are: %s", strings.Join(slices.Sorted(maps.Keys(found)), ", "))
	case answers == 0:
		return assumption.Open("no answer came")
	}
	return assumption.Holds("none of %d answers had one", answers)
}

func limitHeader(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "ratelimit") || strings.Contains(name, "rate-limit") || strings.Contains(name, "quota")
}
