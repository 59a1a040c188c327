// Package simulator plays the two parties that consentsync stands between: an
// Actito that stores profiles and a Didomi that sends consent webhooks. Both
// speak real HTTP, so that whatever works against them has really encoded,
// sent, timed out and retried.
//
// What is documented is answered as documented; the sources are named beside
// the code. On top of that both can misbehave on demand: refuse, stall, break
// the connection before or after a change was made, make it late, or answer
// nonsense. A test that passes here has met these things; it has not met
// Actito or Didomi.
//
// # Our guesses about Actito
//
// Published documentation leaves these open. They are answered in one way here
// and code under test should not depend on it:
//
//   - the body of an error: {"message": "..."};
//   - the wrapper of the list of tables, {"profileTables": [...]}, and where a
//     table's structure names its subscriptions and segmentations;
//   - the bodies of profile calls: "key", "attributes" and "subscriptions" as
//     flat objects, and {"profileId": n} as the answer to a write;
//   - the profile key in a path: attribute=value with a unique attribute, or a
//     plain number for a profileId;
//   - 409 for a profile that exists already, 201 with Location for a new one;
//   - that PUT on the collection blanks what it is not given;
//   - the formats of dates in JSON (several are taken, creationMoment is written
//     as "2006-01-02 15:04:05" in UTC), that numbers and booleans are taken as
//     strings too, and that a text without a stated limit holds 255 characters;
//   - that unique values are compared exactly, upper and lower case apart;
//   - that several tokens of one key may live at once, that they die with the
//     key, and that asking for one counts towards no limit;
//   - how fast latency grows above 100 calls a minute;
//   - that a call goes on when its client has left.
//
// V4's operations on single profiles are answered too, as far as V5 replaces
// them. What documentation and public client code say of them is in the package
// actito. Guessed are that values are texts or null, that an answer lists the
// subscriptions that are on, 404 for a subscription that the table, or a profile
// that is to lose it, does not have, and 409 for a profile that may not be
// updated.
//
// Of the loads of files by ETLs, the call that begins one, the rules for files
// and the number of loads a day are documented. Guessed are:
//
//   - the bodies: {"id": "1001"} with 202 for a load begun; {"id", "etl",
//     "status", "rows", "rowsInError", "rowErrors": [{"row", "key", "message"}]}
//     for an execution, see [LoadResults] for the other forms;
//   - every status but SUCCESS;
//   - that the header is looked at before the answer, the rows after it; that an
//     unknown column, an attribute with many values and a column that is there
//     twice are refused;
//   - what a row does: it changes the columns of the file and nothing else, an
//     empty cell blanks an attribute and turns a subscription off; the spellings
//     of booleans beside TRUE, 1 and Y; that rows count from 1 after the header;
//   - that a key's second row in a file is refused, and so is a row without a
//     profile where the ETL makes none; that a refused row stops no other;
//   - that a day is the last 24 hours and that refused files do not count;
//   - how long a load takes, and that single calls are served during it.
//
// Of webhooks, the call that makes one and its fields are documented, the names
// of the events, the rights, that the target has to be https (which
// [ActitoOptions.AllowHTTPWebhooks] lifts), that each POST carries the chosen
// headers, and that data hold what the change was given and the row's unique
// ids. The other calls are those of public client code. Guessed are:
//
//   - the list's pages and its wrapper {"webhookSubscriptions": [...]}; that it
//     holds at most 100; {"id": 1} as the answer to a webhook made or replaced;
//     whether headers are shown, see [HeadersShape];
//   - that every change is told of, whoever made it, but for one that differs in
//     nothing; that of a new profile the subscriptions are told as well as its
//     CREATE; that deletions are not told of; that a webhook's fields do no more
//     than filter;
//   - the body of what is told: {"id", "eventType", "data", "_links"}, the
//     samples have no eventType; in data profileId and, under their names, the
//     subscriptions that changed; see [WebhookOptions] for the other forms;
//   - that one webhook tells in the order of the changes, and two keep no order
//     between them; three retries after anything but a 2xx, then never again;
//     that a webhook is not switched off by that, and that what a deleted one
//     has not told is lost.
//
// Of messages, the call that sends one is documented, its body up to the
// parameters, that it makes or changes the profile, and that a campaign has to be
// in progress. Guessed are the beginning of its path, that the first attribute
// names the profile, the forms of a parameter and of the date, the answer
// {"interactionId": 1}, the list of campaigns, and all of text messages.
//
// # Our guesses about Didomi
//
//   - the flat form of a webhook's payload, see [Flatten];
//   - which answers it takes for a failure: everything but a 2xx;
//   - the waits between its retries: five that add up to five minutes;
//   - that a rejected token is fetched anew once within one attempt;
//   - 409 for an event whose id exists alone, that it is passed over in a list,
//     and that a list's answer is the list of the events created;
//   - that a list with a bad event in it is refused as a whole, 400 for an id
//     that is not known, and the words of refusals;
//   - that of two events of one date the later arrival counts, that null changes
//     nothing, and that metadata is merged as events arrive;
//   - that sessions share one limit, and that its window begins with a call.
package simulator
