package didomi

import "consentsync/internal/assumption"

// twoWay is how what is created in Didomi is looked at by hand.
const twoWay = "In a test organization, give credentials for Didomi's API, change a subscription in Actito, and look at the person's trace and at the event in Didomi."

// fromSamples is how webhooks are looked at by hand.
const fromSamples = "Download a sample of each webhook from Didomi's Console and run `consentsync simulate --events` on it."

var assumedOfWrites = []assumption.Of[sight]{
	one(assumption.Assumption{
		ID: "didomi.create", Sure: assumption.Documented, Sources: []string{docAPI, docCreate, docBatch}, Where: []string{"internal/didomi/events.go"},
		Assumed: "`POST /consents/events` creates an event, or a list of up to 100, and none twice; `$disable_integrations=true` keeps it from being forwarded.",
		ByHand:  twoWay,
	}, nil),
	one(assumption.Assumption{
		ID: "didomi.create-user", Sure: assumption.Inferred, Sources: []string{docEvent}, Where: []string{"internal/didomi/event.go"},
		Assumed: "An event may leave out `user.id`, as in Didomi's samples and against its OpenAPI.",
		ByHand:  twoWay,
	}, nil),
	one(assumption.Assumption{
		ID: "didomi.create-exists", Sure: assumption.Guess, Where: []string{"internal/didomi/events.go", "internal/didomi/client.go"},
		Assumed:   "An id that exists is answered with 409, or with a refusal that says so in words.",
		Otherwise: "The event is looked for before it counts as created.",
		ByHand:    twoWay,
	}, nil),
	one(assumption.Assumption{
		ID: "didomi.create-list", Sure: assumption.Guess, Where: []string{"internal/didomi/events.go"},
		Assumed:   "A list with a bad event in it is refused as a whole, or taken without that one; what the answer to a list holds is not known.",
		Otherwise: "Events that are refused or left out go one by one.",
		ByHand:    twoWay,
	}, nil),
	one(assumption.Assumption{
		ID: "didomi.null", Sure: assumption.Inferred, Sources: []string{docAPI}, Where: []string{"internal/didomi/event.go", "internal/consent/state.go"},
		Assumed: "`enabled: null` says nothing at its level, and what an event does not name stays as it is.",
		ByHand:  twoWay,
	}, nil),
	one(assumption.Assumption{
		ID: "didomi.dates", Sure: assumption.Documented, Sources: []string{docCreate}, Where: []string{"internal/didomi/event.go"},
		Assumed: "Of two events about a choice the one with the newer date counts. That dates are kept in milliseconds is a guess.",
		ByHand:  twoWay,
	}, nil),
	one(assumption.Assumption{
		ID: "didomi.unclear", Sure: assumption.Guess, Where: []string{"internal/didomi/client.go"},
		Assumed: "No answer of 500 or above is certain to have changed nothing, not even 503.",
		ByHand:  "Nothing rests on the opposite: what is unclear is sent again under the same id.",
	}, nil),
}

var assumedOfWebhooks = []assumption.Of[sight]{
	one(assumption.Assumption{
		ID: "didomi.webhooks", Sure: assumption.Documented, Sources: []string{docHooks}, Where: []string{"internal/didomi/decode.go"},
		Assumed: "A webhook is `{\"type\", \"parameters\"}`, of six types; `created` and `deleted` carry `entity`, `updated` carries `old_entity`, `new_entity` and `source`.",
		ByHand:  fromSamples,
	}, nil),
	one(assumption.Assumption{
		ID: "didomi.webhook-fields", Sure: assumption.Inferred, Sources: []string{docHooks}, Where: []string{"internal/didomi/entity.go"},
		Assumed: "An entity may lack its id and its date, as a sample of Didomi's does; events name only what was chosen.",
		ByHand:  fromSamples,
	}, nil),
	one(assumption.Assumption{
		ID: "didomi.flat", Sure: assumption.Told, Sources: []string{thirdParty}, Where: []string{"internal/didomi/flat.go"},
		Assumed:   "A flattened webhook joins names with `__`, and has the entity, and the new one, under `entity`. How it names members of lists is not known.",
		Otherwise: "Lists, indexes and ids are all taken.",
		ByHand:    fromSamples,
	}, nil),
	one(assumption.Assumption{
		ID: "didomi.webhook-token", Sure: assumption.Inferred, Sources: []string{docHooks}, Where: []string{"internal/auth/endpoint.go"},
		Assumed:   "Didomi asks our `/oauth/token` with client credentials, and calls with the bearer token. How it sends the credentials is not known.",
		Otherwise: "Basic, a form and JSON are all taken.",
		ByHand:    "Set the webhook up in Didomi's Console and let a test person consent; refusals stand in the log.",
	}, nil),
	one(assumption.Assumption{
		ID: "didomi.webhook-retries", Sure: assumption.Documented, Sources: []string{docHooks}, Where: []string{"internal/ingest", "internal/backfill/catchup.go"},
		Assumed: "What is not answered with 2xx is sent again five times within five minutes, and then no more; there is no signature.",
		ByHand:  "Ask Didomi. What was missed is fetched by catch-up.",
	}, nil),
	one(assumption.Assumption{
		ID: "didomi.webhook-address", Sure: assumption.Documented, Sources: []string{docHooks}, Where: []string{"internal/app/config.go"},
		Assumed: "Webhooks come from 35.159.1.63.",
		ByHand:  "Compare with the sources in the log before you set `--didomi-addresses`.",
	}, nil),
	one(assumption.Assumption{
		ID: "didomi.values", Sure: assumption.Guess, Sources: []string{docActito}, Where: []string{"internal/consent/choice.go"},
		Assumed: "One value of a preference is mapped as `consents_purposes_<purpose>_values_<preference>_<value>_enabled`. Didomi says that it can be mapped, not how.",
		ByHand:  "The spelling is ours: only mappings that are copied from Didomi's own integration have to be compared.",
	}, nil),
	one(assumption.Assumption{
		ID: "didomi.export", Sure: assumption.Inferred, Sources: []string{docExport}, Where: []string{"internal/didomi/bare.go"},
		Assumed:   "Rows of the daily export are users and events as the API shows them.",
		Otherwise: "A row that cannot be read is counted and told of.",
		ByHand:    "Run `consentsync simulate --events` on a file of it.",
	}, nil),
	one(assumption.Assumption{
		ID: "didomi.templates", Sure: assumption.Inferred, Sources: []string{docMails}, Where: []string{"internal/mail"},
		Assumed: "Templates for messages have the ids that are documented for consent; of others the beginning is taken.",
		ByHand:  "Compare with the list of templates in Didomi's Console.",
	}, nil),
}
