// Package didomi reads what Didomi's webhooks send, and creates events through
// its API.
//
// # Webhooks
//
// It guarantees that a payload is either understood or refused with the path,
// as sent, of each field at fault: a field that we read is never guessed at
// when it has another type than documented, and an answer that was not given
// is never invented. Fields that are missing, null or unknown are no fault,
// since Didomi's own samples leave out fields that its OpenAPI requires. The
// same bytes always give the same message, and no error text holds a value of
// the payload.
//
// What is documented, and where:
//
//   - the envelope {type, parameters} and the six types:
//     https://developers.didomi.io/integrations/generic-integrations/webhooks
//   - events: https://developers.didomi.io/api-and-platform/consents/events/consent-event-schema
//   - users: https://developers.didomi.io/api-and-platform/consents/users/users-schema
//   - the types of their fields: https://api.didomi.io/openapi.json
//
// What Didomi does not document is read in every likely way: where the
// flattened form puts the entity, and how it names the members of lists; see
// flat.go.
//
// # The API
//
// The client guarantees that every error says by its kind what became of an
// event: nil only when it is in Didomi, Invalid only when this event is
// refused, Unclear when it may be there. Whatever came before, the same events
// may be sent again, since each has an id of ours. One bad event fails no other.
// No error holds the key, its secret, a token or a person's id.
//
// What is documented, and we rely on:
//
//   - POST /sessions with an API key and its secret, the access_token in its
//     answer and its life of an hour, 400 for wrong ones, 401 for a token that
//     ended: https://developers.didomi.io/api/introduction/authentication
//   - POST /consents/events, organization_id and $disable_integrations in its
//     query, that an id is never created twice, 200; and GET
//     /consents/events/{id}: https://api.didomi.io/openapi.json
//   - a list of up to 100 events: https://developers.didomi.io/integrations/batch-import
//   - that of one choice the event with the newer date counts, and what an
//     event does not name stays: https://developers.didomi.io/api/consents/events
//   - that calls about consents are not limited, others to 100 in 15 s:
//     https://developers.didomi.io/api/introduction/rate-limiting
//
// What we guess:
//
//   - user.id may be left out, as in Didomi's own samples: its OpenAPI requires it;
//   - a list is refused as a whole, with 400, 409, 413 or 422; its events then go
//     one by one. Where the answer to a list is a list of events, those that it
//     leaves out, or has with the code of an error, go one by one too. Any other
//     2xx is a success of all;
//   - 409, or a refusal that says so in words, for an id that exists. As 409 may
//     mean something else, the event is looked for, and is only missing when
//     that is answered with 404;
//   - no 5xx is certain to have changed nothing, not even 503;
//   - the header RateLimit: limit=100, remaining=60, reset=7, of which a third
//     party tells, and which is read where a 429 has no Retry-After;
//   - the claims exp and iat of the token, which is a JWT;
//   - enabled: null on a purpose or a preference changes nothing at that level.
//     It is sent where only something below was chosen, which is the deprecated
//     form that organizations on version 1 have. Version 2 may refuse it;
//   - dates are kept in milliseconds.
//
// One value of a preference (consent.OfValue) cannot be created: an event holds
// the whole list of the values, and what else is in it we need not know.
package didomi
