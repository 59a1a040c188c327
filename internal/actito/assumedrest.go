package actito

import (
	"net/http"
	"slices"

	"consentsync/internal/assumption"
)

var assumedOfLoads = []assumption.Of[sight]{
	one(assumption.Assumption{
		ID: "actito.load", Sure: assumption.Documented, Sources: []string{docLoads, docLimits}, Where: []string{"internal/actito/v5bulk.go"},
		Assumed: "`POST /mass-imports/v5/entities/{entity}/etls/{id}/trigger-execution` takes a file for an ETL, 24 times a table and day; more is 429.",
		ByHand:  "Set up the ETL (`consentsync etl-template`), give its id, and wait for a backlog; the loads stand in the plan.",
	}, nil),
	one(assumption.Assumption{
		ID: "actito.load-part", Sure: assumption.SeenInCode, Sources: []string{codeShokme, codePet}, Where: []string{"internal/actito/v5bulk.go", "internal/actito/bulkfile.go"},
		Assumed:   "The file is the part `inputFile`, and a subscription's column is named `subscriptions#Name`, as for V4.",
		Otherwise: "A file that is refused closes the lane for an hour, and everybody in it goes one by one.",
		ByHand:    "As for `actito.load`.",
	}, nil),
	one(assumption.Assumption{
		ID: "actito.load-file", Sure: assumption.Documented, Sources: []string{docFiles}, Where: []string{"internal/actito/bulkfile.go"},
		Assumed: "Files are RFC 4180 with a header, UTF-8 without a byte order mark, zipped, 100 MB at most; `TRUE` and `FALSE` are on and off.",
		ByHand:  "As for `actito.load`.",
	}, nil),
	one(assumption.Assumption{
		ID: "actito.load-execution", Sure: assumption.Inferred, Sources: []string{docTrigger}, Where: []string{"internal/actito/v5bulk.go"},
		Assumed:   "A load is asked after at the address that stands in the sample of a webhook, and has ended well with `SUCCESS`.",
		Otherwise: "Every likely place and word is read; a status that is not known has not ended.",
		ByHand:    "As for `actito.load`.",
	}, nil),
	one(assumption.Assumption{
		ID: "actito.load-refusals", Sure: assumption.Guess, Where: []string{"internal/actito/v5report.go", "internal/actito/v5rows.go"},
		Assumed:   "How refused rows are told, and whether row numbers count the header, is not known.",
		Otherwise: "Rows count as applied only where every refused one is named by its key; otherwise profiles are read back.",
		ByHand:    "As for `actito.load`, with one key that no profile has.",
	}, nil),
	one(assumption.Assumption{
		ID: "actito.export", Sure: assumption.Guess, Where: []string{"cmd/consentsync/csvfile.go"},
		Assumed:   "Actito's own export of a table is CSV with the columns of its files for loads, and the usual words for on and off.",
		Otherwise: "A column or word that is not understood is named, and nothing is compared.",
		ByHand:    "Export a few profiles and run `consentsync reconcile` on them with `--policy report`.",
	}, nil),
}

var assumedOfWebhooks = []assumption.Of[sight]{
	one(assumption.Assumption{
		ID: "actito.webhooks", Sure: assumption.SeenInCode, Sources: []string{docOptin, codeShokme}, Where: []string{"internal/actito/v4webhook.go"},
		Assumed:   "`GET /webhooks/v4/entity/{entity}/webhookSubscription?page=0&pageSize=100` lists webhooks, each with `id`, `eventType` and `targetUrl`.",
		Otherwise: "Any list of objects with a target or an event is read. Without a list, webhooks have to be made by hand.",
		How:       "lists them.",
	}, func(s *sight) assumption.Verdict {
		return s.webhooks.Judged(func(answer any) assumption.Verdict {
			if len(s.hooks) == 0 {
				return assumption.Open("there is no webhook on a profile table; the list is %s", assumption.Form(answer))
			}
			return assumption.Holds("%d are listed, as %s", len(s.hooks), assumption.Form(answer))
		})
	}),
	one(assumption.Assumption{
		ID: "actito.webhook-headers", Sure: assumption.Guess, Where: []string{"internal/actito/v4webhook.go", "internal/integration/webhook.go"},
		Assumed:   "The list shows the headers that a webhook sends along.",
		Otherwise: "Only headers that are shown are compared.",
		How:       "looks at the list of webhooks.",
	}, func(s *sight) assumption.Verdict {
		return s.webhooks.Judged(func(any) assumption.Verdict {
			switch {
			case len(s.hooks) == 0:
				return assumption.Open("there is no webhook on a profile table")
			case slices.ContainsFunc(s.hooks, func(h Subscription) bool { return len(h.Headers) > 0 }):
				return assumption.Holds("they are shown")
			}
			return assumption.Fails("of %d webhooks none shows headers", len(s.hooks))
		})
	}),
	one(assumption.Assumption{
		ID: "actito.webhook-create", Sure: assumption.Documented, Sources: []string{docOptin, docHooks, codeSDK}, Where: []string{"internal/actito/v4webhook.go"},
		Assumed: "`POST` on the same address makes a webhook for `CREATE` or `UPDATED_SUBSCRIPTION` with headers of our choosing, and answers its id; `PUT` and `DELETE` take the id.",
		ByHand:  "Switch on `enable_webhooks`; the integration's `webhook` says whether both are registered.",
	}, nil),
	one(assumption.Assumption{
		ID: "actito.webhook-data", Sure: assumption.SeenInCode, Sources: []string{docEvents, codePet}, Where: []string{"internal/actito/newsdata.go"},
		Assumed:   "What is told of a changed subscription has `data.profileId` and, under its name, the subscription.",
		Otherwise: "Every likely place and spelling is read; where no value is told the profile is read.",
		ByHand:    "With `enable_webhooks`, change a subscription of a test profile in Actito and look at the person's trace.",
	}, nil),
	one(assumption.Assumption{
		ID: "actito.webhook-id", Sure: assumption.Inferred, Sources: []string{docTrigger}, Where: []string{"internal/store/news.go"},
		Assumed:   "The id of what is told is a UUID; a number may be the webhook's own id.",
		Otherwise: "An id counts only together with what is told.",
		ByHand:    "As for `actito.webhook-data`; the events of the organization show the ids.",
	}, nil),
	one(assumption.Assumption{
		ID: "actito.webhook-order", Sure: assumption.Guess, Where: []string{"internal/consent/hear.go"},
		Assumed: "Webhooks may come late, twice, out of order, or not at all.",
		ByHand:  "Ask Actito. Nothing rests on the opposite.",
	}, nil),
}

var assumedOfMessages = []assumption.Of[sight]{
	one(assumption.Assumption{
		ID: "actito.mail", Sure: assumption.Documented, Sources: []string{docMail}, Where: []string{"internal/actito/v4mail.go"},
		Assumed: "`POST` to `…/entity/{entity}/transactionalmail/{campaign}/contact` sends a message and makes or changes the profile.",
		ByHand:  "Configure a message and send a test to yourself (`POST /v1/marketplace/emails/{id}/test`).",
	}, nil),
	one(assumption.Assumption{
		ID: "actito.mail-address", Sure: assumption.Inferred, Sources: []string{docReorg, codeProdu}, Where: []string{"internal/actito/v4mail.go"},
		Assumed:   "Its address begins with `/email-campaigns/v4`, a parameter is `{\"key\", \"values\": []}`, dates are day before month in UTC, and the answer has `interactionId`.",
		Otherwise: "The beginning of the address can be configured.",
		ByHand:    "As for `actito.mail`.",
	}, nil),
	one(assumption.Assumption{
		ID: "actito.campaigns", Sure: assumption.Guess, Sources: []string{docReorg}, Where: []string{"internal/actito/v4mail.go"},
		Assumed:   "`GET /email-campaigns/v4/entity/{entity}/mail?type=TRANSACTIONAL` lists transactional campaigns, each with a name and a state.",
		Otherwise: "`check=false` does without.",
		How:       "lists them.",
	}, func(s *sight) assumption.Verdict {
		if v, ok := s.campaigns.Open(); ok {
			return v
		}
		switch answer, ok := s.campaigns.JSON(); {
		case s.campaigns.Answer.Status != http.StatusOK:
			return assumption.Fails("it is answered with %s", statusWords(&s.campaigns))
		case !ok:
			return assumption.Fails("the answer is not JSON")
		case !s.knowsCampaigns:
			return assumption.Open("there are none, or they are told otherwise: %s", assumption.Form(answer))
		default:
			return assumption.Holds("it answers %s", assumption.Form(answer))
		}
	}),
	one(assumption.Assumption{
		ID: "actito.sms", Sure: assumption.Guess, Where: []string{"internal/actito/v4mail.go"},
		Assumed:   "Text messages are sent by a call with the body of an e-mail.",
		Otherwise: "Its address has to be configured.",
		ByHand:    "Ask Actito for the call; then as for `actito.mail`.",
	}, nil),
}
