// Package didomi reads what Didomi's webhooks send.
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
package didomi
