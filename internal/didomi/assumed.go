package didomi

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"consentsync/internal/assumption"
)

// Where Didomi's own words are, and what others say of them.
const (
	docAPI      = "https://api.didomi.io/openapi.json"
	docSessions = "https://developers.didomi.io/api/introduction/authentication"
	docLimits   = "https://developers.didomi.io/api/introduction/rate-limiting"
	docUsers    = "https://developers.didomi.io/api-and-platform/consents/users/query-user"
	docUser     = "https://developers.didomi.io/api-and-platform/consents/users/users-schema"
	docEvents   = "https://developers.didomi.io/api-and-platform/consents/events/query-consent-events"
	docEvent    = "https://developers.didomi.io/api-and-platform/consents/events/consent-event-schema"
	docCreate   = "https://developers.didomi.io/api/consents/events"
	docBatch    = "https://developers.didomi.io/integrations/batch-import"
	docHooks    = "https://developers.didomi.io/integrations/generic-integrations/webhooks"
	docExport   = "https://developers.didomi.io/integrations/batch-export"
	docActito   = "https://developers.didomi.io/integrations/third-party-apps/preference-management-platform-integrations/actito"
	docMails    = "https://developers.didomi.io/integrations/emailing/templates/templates"
	thirdParty  = "https://github.com/api-evangelist/didomi"
)

// assumed is all that is assumed about Didomi.
var assumed = slices.Concat(assumedOfAPI, assumedOfWrites, assumedOfWebhooks)

// one is an assumption with what looks at it.
func one(a assumption.Assumption, check func(*sight) assumption.Verdict) assumption.Of[sight] {
	return assumption.Of[sight]{Assumption: a, Check: check}
}

var assumedOfAPI = []assumption.Of[sight]{
	one(assumption.Assumption{
		ID: "didomi.session", Sure: assumption.Documented, Sources: []string{docSessions}, Where: []string{"internal/didomi/session.go"},
		Assumed: "`POST /sessions` with `{\"type\": \"api-key\", \"key\", \"secret\"}` answers `access_token`; wrong ones are answered with 400.",
		How:     "makes a session.",
	}, func(s *sight) assumption.Verdict {
		if status := s.session.Answer.Status; status == http.StatusBadRequest || status == http.StatusUnauthorized {
			return assumption.Open("Didomi refuses the API key or its secret (%d)", status)
		}
		return s.session.Judged(func(answer any) assumption.Verdict { return assumption.Holds("it answers %s", assumption.Form(answer)) })
	}),
	one(assumption.Assumption{
		ID: "didomi.session-token", Sure: assumption.Told, Sources: []string{thirdParty}, Where: []string{"internal/didomi/session.go"},
		Assumed:   "The token is a JWT with the claims `exp` and `iat`.",
		Otherwise: "Without them an hour is reckoned with.",
		How:       "makes a session.",
	}, func(s *sight) assumption.Verdict {
		return s.session.Judged(func(any) assumption.Verdict {
			claims, ok := claimsOf(s.token)
			_, ends := claims["exp"].(float64)
			_, made := claims["iat"].(float64)
			switch {
			case !ok:
				return assumption.Fails("the token is no JWT")
			case !ends || !made:
				return assumption.Fails("the token is a JWT without exp or iat")
			}
			return assumption.Holds("it is a JWT with both")
		})
	}),
	one(assumption.Assumption{
		ID: "didomi.session-life", Sure: assumption.Documented, Sources: []string{docSessions}, Where: []string{"internal/didomi/session.go"},
		Assumed:   "A session lives for an hour.",
		Otherwise: "A token that ends sooner costs one 401.",
		How:       "makes a session.",
	}, func(s *sight) assumption.Verdict {
		return s.session.Judged(func(any) assumption.Verdict {
			claims, _ := claimsOf(s.token)
			ends, ok := claims["exp"].(float64)
			made, dated := claims["iat"].(float64)
			if !ok || !dated {
				return assumption.Open("the token does not tell")
			}
			if life := time.Duration(ends-made) * time.Second; life != sessionLife {
				return assumption.Fails("the token says that it lives for %v", life)
			}
			return assumption.Holds("the token says so")
		})
	}),
	one(assumption.Assumption{
		ID: "didomi.unauthorized", Sure: assumption.Documented, Sources: []string{docSessions}, Where: []string{"internal/outbound/token.go"},
		Assumed: "A token that is no longer good, or never was, is answered with 401.",
		How:     "calls with a made-up token.",
	}, func(s *sight) assumption.Verdict { return s.stranger.Stranger() }),
	one(assumption.Assumption{
		ID: "didomi.users", Sure: assumption.Documented, Sources: []string{docUsers}, Where: []string{"internal/didomi/users.go"},
		Assumed:   "`GET /consents/users?organization_id=…&regulation=…` answers `{\"data\": [], \"cursor\"}`; `cursor` is null at the end, else the next page is asked for with `$cursor`.",
		Otherwise: "A bare list, as in Didomi's OpenAPI, is read as one page.",
		How:       "reads up to two pages of users, and shows nothing of them.",
	}, checkUsers),
	one(assumption.Assumption{
		ID: "didomi.users-page", Sure: assumption.Documented, Sources: []string{docUsers}, Where: []string{"internal/backfill/catchuprun.go"},
		Assumed:   "A page holds 100 users.",
		Otherwise: "Pages of any size are read.",
		How:       "reads a page of users.",
	}, func(s *sight) assumption.Verdict {
		return s.users.Judged(func(any) assumption.Verdict {
			switch {
			case s.cursor == "" && len(s.page) <= 100:
				return assumption.Open("there is one page alone, of %d users", len(s.page))
			case len(s.page) != 100:
				return assumption.Fails("the first page has %d users", len(s.page))
			}
			return assumption.Holds("the first page has 100 users, and another follows")
		})
	}),
	one(assumption.Assumption{
		ID: "didomi.user", Sure: assumption.Documented, Sources: []string{docUser, docAPI}, Where: []string{"internal/didomi/entity.go", "internal/didomi/bare.go"},
		Assumed: "A user has `id`, `created_at`, `updated_at` and `consents`, and where it is known `organization_user_id`.",
		How:     "reads a page of users.",
	}, func(s *sight) assumption.Verdict {
		return s.users.Judged(func(any) assumption.Verdict { return checkRows(s.page, "id", "created_at", "updated_at", "consents") })
	}),
	one(assumption.Assumption{
		ID: "didomi.events-of", Sure: assumption.Documented, Sources: []string{docEvents, docAPI}, Where: []string{"internal/didomi/users.go"},
		Assumed: "`GET /consents/events` with `organization_user_id` answers that person's confirmed events alone, as `{\"data\": []}`.",
		How:     "reads the events of one user of the first page.",
	}, checkEventsOf),
	one(assumption.Assumption{
		ID: "didomi.event", Sure: assumption.Documented, Sources: []string{docEvent}, Where: []string{"internal/didomi/event.go", "internal/didomi/entity.go"},
		Assumed: "An event has `id`, `created_at`, `user` and `consents`; its date is ISO 8601.",
		How:     "reads the events of one user of the first page.",
	}, func(s *sight) assumption.Verdict {
		return s.events.Judged(func(any) assumption.Verdict {
			v := checkRows(s.hisOwn, "id", "created_at", "user", "consents")
			rows, _ := rowsOf(s.hisOwn)
			for _, row := range rows {
				date, _ := row["created_at"].(string)
				if _, err := time.Parse(time.RFC3339Nano, date); err != nil && v.Result == assumption.Confirmed {
					return assumption.Fails("a created_at is no ISO 8601 date")
				}
			}
			return v
		})
	}),
	one(assumption.Assumption{
		ID: "didomi.event-read", Sure: assumption.Documented, Sources: []string{docAPI}, Where: []string{"internal/didomi/events.go"},
		Assumed: "`GET /consents/events/{id}` answers an event that is there, and 404 for one that is not.",
		How:     "reads an event that is there, and a made-up one.",
	}, checkEventRead),
	one(assumption.Assumption{
		ID: "didomi.purposes", Sure: assumption.Documented, Sources: []string{docAPI}, Where: []string{"internal/didomi/purposes.go"},
		Assumed: "`GET /metadata/purposes` answers `{\"data\": []}` with `id`, `type`, `namespaces` and `description`, and takes `$limit` and `$skip`.",
		How:     "lists the purposes.",
	}, func(s *sight) assumption.Verdict {
		return s.purposes.Judged(func(answer any) assumption.Verdict {
			if len(s.purposed) == 0 {
				return assumption.Open("the organization has no purposes: %s", assumption.Form(answer))
			}
			return assumption.Holds("%d are told, as %s", len(s.purposed), assumption.Form(answer))
		})
	}),
	one(assumption.Assumption{
		ID: "didomi.purpose-ids", Sure: assumption.Inferred, Sources: []string{docAPI}, Where: []string{"internal/didomi/purposes.go"},
		Assumed: "Events name a purpose by its SDK id: `namespaces.didomi`, else `namespaces.custom`, else `id`.",
		How:     "compares the list of purposes with those in the consents of a page of users.",
		ByHand:  "In the console's mapping step, compare the list of Didomi's purposes with those that people were seen to have.",
	}, checkPurposeIDs),
	one(assumption.Assumption{
		ID: "didomi.limits", Sure: assumption.Documented, Sources: []string{docLimits}, Where: []string{"internal/didomi/client.go"},
		Assumed:   "Calls about consents are not limited, all others to 100 in 15 seconds for an organization.",
		Otherwise: "A 429 is waited for, whatever it is about.",
		How:       "looks whether an answer about consents tells of a limit.",
	}, func(s *sight) assumption.Verdict {
		return s.users.Judged(func(any) assumption.Verdict {
			if s.users.Answer.Header.Get("RateLimit") != "" || s.users.Answer.Header.Get("RateLimit-Policy") != "" {
				return assumption.Fails("the answer about users tells of a limit")
			}
			return assumption.Holds("the answer about users tells of no limit")
		})
	}),
	one(assumption.Assumption{
		ID: "didomi.limit-header", Sure: assumption.Told, Sources: []string{thirdParty}, Where: []string{"internal/didomi/client.go"},
		Assumed:   "Answers that are limited have the header `RateLimit: limit=100, remaining=60, reset=7`.",
		Otherwise: "It is only a hint, read where a 429 has no `Retry-After`.",
		How:       "looks at the answer that lists purposes.",
	}, func(s *sight) assumption.Verdict {
		return s.purposes.Judged(func(any) assumption.Verdict {
			switch header := s.purposes.Answer.Header.Get("RateLimit"); {
			case header == "":
				return assumption.Fails("there is no such header")
			case !strings.Contains(header, "reset="):
				return assumption.Fails("the header has another form")
			}
			return assumption.Holds("the header is there, in this form")
		})
	}),
}

// claimsOf reads what a JWT says.
func claimsOf(token string) (claims map[string]any, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	return claims, err == nil && json.Unmarshal(raw, &claims) == nil
}

func checkUsers(s *sight) assumption.Verdict {
	return s.users.Judged(func(answer any) assumption.Verdict {
		object, ok := answer.(map[string]any)
		if !ok {
			return assumption.Fails("the answer is no object but a bare list")
		}
		if _, told := object["cursor"]; !told {
			return assumption.Fails("the answer tells no cursor: %s", assumption.Form(outline(object)))
		}
		if s.cursor == "" {
			return assumption.Holds("it answers %s; there is one page alone", assumption.Form(outline(object)))
		}
		return s.secondPage.Judged(func(any) assumption.Verdict {
			if idOf(s.second) != "" && idOf(s.second) == idOf(s.page) {
				return assumption.Fails("with $cursor the same page came again")
			}
			return assumption.Holds("it answers %s, and $cursor gives another page", assumption.Form(outline(object)))
		})
	})
}

// outline is an object with its lists empty.
func outline(object map[string]any) map[string]any {
	short := map[string]any{}
	for key, value := range object {
		if _, isList := value.([]any); isList {
			value = []any{}
		}
		short[key] = value
	}
	return short
}

// checkRows looks whether every row has all of the fields.
func checkRows(raws []json.RawMessage, fields ...string) assumption.Verdict {
	rows, err := rowsOf(raws)
	if err != nil {
		return assumption.Fails("%v", err)
	}
	if len(rows) == 0 {
		return assumption.Open("there are none")
	}
	for _, row := range rows {
		for _, field := range fields {
			if row[field] == nil {
				return assumption.Fails("one of %d lacks %s", len(rows), field)
			}
		}
	}
	return assumption.Holds("all of %d have %s", len(rows), strings.Join(fields, ", "))
}

func checkEventsOf(s *sight) assumption.Verdict {
	return s.events.Judged(func(answer any) assumption.Verdict {
		rows, err := rowsOf(s.hisOwn)
		if err != nil {
			return assumption.Fails("%v", err)
		}
		if len(rows) == 0 {
			return assumption.Open("somebody who has consents has no events under this regulation")
		}
		for _, row := range rows {
			user, _ := row["user"].(map[string]any)
			if id, told := user["organization_user_id"]; told && id != s.person {
				return assumption.Fails("there are events of others among them")
			}
			if status, told := row["status"]; told && status != "confirmed" {
				return assumption.Fails("there are events among them that are not confirmed")
			}
		}
		if _, ok := answer.(map[string]any); !ok {
			return assumption.Fails("the answer is no object but a bare list")
		}
		return assumption.Holds("%d events came, all of the one person", len(rows))
	})
}

func checkEventRead(s *sight) assumption.Verdict {
	if v, ok := s.noEvent.Open(); ok {
		return v
	}
	if s.noEvent.Answer.Status != http.StatusNotFound {
		return assumption.Fails("an event that is not there is answered with %d", s.noEvent.Answer.Status)
	}
	if !s.event.Made {
		return assumption.Open("one that is not there is answered with 404; none that is there was known")
	}
	return s.event.Judged(func(any) assumption.Verdict {
		return assumption.Holds("one that is there is answered, one that is not with 404")
	})
}

// checkPurposeIDs compares the ids by which users' consents name purposes with
// those that the list gives.
func checkPurposeIDs(s *sight) assumption.Verdict {
	return s.purposes.Judged(func(any) assumption.Verdict {
		used := map[string]bool{}
		for _, raw := range s.page {
			var u struct {
				Consents struct {
					Purposes []struct {
						ID string `json:"id"`
					} `json:"purposes"`
				} `json:"consents"`
			}
			if json.Unmarshal(raw, &u) != nil {
				continue
			}
			for _, p := range u.Consents.Purposes {
				used[p.ID] = true
			}
		}
		if len(used) == 0 {
			return assumption.Open("no user of the first page has a choice for a purpose")
		}
		strangers := 0
		for id := range used {
			if !slices.ContainsFunc(s.purposed, func(p Purpose) bool { return p.ID == id }) {
				strangers++
			}
		}
		if strangers > 0 {
			return assumption.Fails("of %d ids in users' consents %d are not those of the list", len(used), strangers)
		}
		return assumption.Holds("all %d ids in users' consents are those of the list", len(used))
	})
}
