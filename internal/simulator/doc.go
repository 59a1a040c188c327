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
// # Our guesses about Didomi
//
//   - the flat form of a webhook's payload, see [Flatten];
//   - which answers it takes for a failure: everything but a 2xx;
//   - the waits between its retries: five that add up to five minutes;
//   - that a rejected token is fetched anew once within one attempt;
//   - 409 for an event whose id exists, and what a batch answers.
package simulator
