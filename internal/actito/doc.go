// Package actito speaks Actito's API: entities, profile tables, single profiles
// and loads of many profiles, with the token that each call needs.
//
// It guarantees that every error says by its kind what became of the call: a
// write whose outcome is not certain is Unclear and was sent once only;
// Transient, RateLimited and every refusal mean that nothing was applied. No
// error holds the API key, a token, or a value that was sent.
//
// The words are Actito's. An entity is the customer's division and stands in
// URLs by its name. A table holds profiles. A profile has attributes, of which
// some are unique keys, and subscriptions, which are on or off. An ETL is set up
// by somebody in Actito and puts the rows of a file into a table; what it makes
// of one file is an execution.
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
//     (https://developers.actito.com/docs/integration-framework/apis/limitations);
//   - POST /mass-imports/v5/entities/{entity}/etls/{id}/trigger-execution, as
//     multipart/form-data with the file alone
//     (https://developers.actito.com/docs/use-cases/datasync/api/migrating-v4-imports);
//   - the paths of an ETL and of an execution, which stand as links in the sample
//     of a webhook, and the status SUCCESS in it
//     (https://developers.actito.com/docs/integration-framework/webhooks/events/triggers);
//   - the files: RFC 4180 with a header, UTF-8 without a byte order mark, zipped,
//     at most 100 MB, texts of up to 255 characters, TRUE and FALSE
//     (https://developersbuild.actito.com/develop/docs/integration-framework/etls/formats);
//   - 24 loads a table and day, 429 for more, 400 for a zip above 100 MB (limitations).
//
// What is taken from public client code (https://github.com/shokme/laravel-actito):
// {key} is written attribute=value, and the PUT on the collection of profiles
// has the body {"key":{},"attributes":{},"subscriptions":{}}. The part with a load's
// file is named inputFile, and a column subscriptions#Name, as for V4's imports.
//
// What we guess, and the files v5*.go alone hold, so that a wrong guess is mended
// there:
//   - PATCH is on the profile's own URL, with {"attributes":{},"subscriptions":{}};
//   - the create operation is a POST on the collection, with the body of the PUT;
//   - null clears an attribute;
//   - where subscriptions stand in the answers, which is why every likely
//     shape is read; a subscription that a profile's answer leaves out is off;
//   - the lists are not cut into pages;
//   - an ETL and an execution are read with GET on those paths;
//   - where the answer to a trigger names the execution, and every status but
//     SUCCESS, which is why every likely place and word is read; a status that is
//     not known has not ended;
//   - how an execution tells of refused rows: numbers, lists and linked files are
//     looked for under names that speak of errors. Rows are confirmed only where
//     every refused one is named by its key: whether row numbers count the header
//     is not known. Links are followed on the client's own host only.
//
// The format of Actito's error answers is not published: it is shown to the
// operator and never decides anything.
package actito
