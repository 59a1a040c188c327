// Package actito speaks Actito's API: entities, profile tables and single
// profiles, with the token that each call needs.
//
// It guarantees that every error says by its kind what became of the call: a
// write whose outcome is not certain is Unclear and was sent once only;
// Transient, RateLimited and every refusal mean that nothing was applied. No
// error holds the API key, a token, or a value that was sent.
//
// The words are Actito's. An entity is the customer's division and stands in
// URLs by its name. A table holds profiles. A profile has attributes, of which
// some are unique keys, and subscriptions, which are on or off.
//
// What Actito documents, and we rely on:
//   - the token call, with the raw API key, the answer's accessToken and its
//     life of 15 minutes, and 401 for a token that ended
//     (https://developers.actito.com/docs/integration-framework/apis/authentication/api-key);
//   - GET /entities/v5/entities and its answer
//     (https://developers.actito.com/docs/use-cases/quick-start);
//   - GET /profile-table-structure/v5/entities/{entity}/profile-tables[/{id}]
//     and the attributes in the answer
//     (https://developers.actito.com/docs/use-cases/data-model-management/profile-tables);
//   - GET /profiles/v5/entities/{entity}/profile-tables/{id}/profiles/{key};
//     that V5 can create, update, get, patch and delete a profile; that PUT
//     replaces and PATCH changes what is given; that 404 may hide other errors;
//   - 429 for more than five calls at once, slowness above 100 a minute
//     (https://developers.actito.com/docs/integration-framework/apis/limitations).
//
// What is taken from public client code (https://github.com/shokme/laravel-actito):
// {key} is written attribute=value, and the PUT on the collection of profiles
// has the body {"key":{},"attributes":{},"subscriptions":{}}.
//
// What we guess, and v5.go alone holds, so that a wrong guess is mended there:
//   - PATCH is on the profile's own URL, with {"attributes":{},"subscriptions":{}};
//   - the create operation is a POST on the collection, with the body of the PUT;
//   - null clears an attribute;
//   - where subscriptions stand in the answers, which is why every likely
//     shape is read; a subscription that a profile's answer leaves out is off;
//   - the lists are not cut into pages.
//
// The format of Actito's error answers is not published: it is shown to the
// operator and never decides anything.
package actito
