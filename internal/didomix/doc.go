// Package didomix knows Didomi's dialects: it decodes the webhooks that Didomi
// sends.
//
// What it gives back is exactly what the payload says, in the words of package
// consent; what it refuses it names by its path in the payload, without the
// value. Documented fields must have their documented types; missing, null and
// unknown fields are fine everywhere.
//
// Known from Didomi's documentation
// (https://developers.didomi.io/integrations/generic-integrations/webhooks,
// https://developers.didomi.io/api-and-platform/consents/events/consent-event-schema):
// the envelope, the six types, the fields of events and users, partial events,
// null as "no explicit choice", and that a flattened form exists. Known from a
// third party's reading only: that the flattened form joins names with "__",
// flattens the entity or new entity alone, and puts it under "entity". Unknown:
// how lists are keyed there; lists, indexes and ids are all accepted.
package didomix
