// Package actito speaks Actito's API: entities, profile tables, single profiles,
// loads of many profiles, webhooks and messages, with the token that each call needs. It
// also reads what Actito's webhooks tell us, which is not a call.
//
// It guarantees that every error says by its kind what became of the call: a
// write whose outcome is not certain is Unclear and was sent once only;
// Transient, RateLimited and every refusal mean that nothing was applied. No
// error holds the API key, a token, or a value that was sent, a webhook's secret
// headers among them.
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
//   - the path of an execution, which stands as a link in the sample of a webhook,
//     and the status SUCCESS in it
//     (https://developers.actito.com/docs/integration-framework/webhooks/events/triggers);
//   - the files: RFC 4180 with a header, UTF-8 without a byte order mark, zipped,
//     at most 100 MB, texts of up to 255 characters, TRUE and FALSE
//     (https://developersbuild.actito.com/develop/docs/integration-framework/etls/formats);
//   - 24 loads a table and day, 429 for more, 400 for a zip above 100 MB (limitations);
//   - POST /webhooks/v4/entity/{entity}/webhookSubscription
//     (https://developersbuild.actito.com/develop/docs/use-cases/optin-preferences-management),
//     the fields of its body, that each POST to us carries the headers chosen
//     there and no signature, that data may be an array and events may come in
//     one (https://developers.actito.com/docs/integration-framework/webhooks/protocol);
//   - the events CREATE and UPDATED_SUBSCRIPTION, and that data hold no more than
//     what the change was given and the profile's unique ids
//     (https://developers.actito.com/docs/integration-framework/webhooks/events/data).
//
// Of V4's operations on single profiles, which V5 replaces, documented are: POST
// on /profiles/v4/entity/{entity}/table/{name}/profile with the query
// allowUpdate, and the same without a category
// (https://developers.actito.com/docs/use-cases/datasync/api/profile-tables); that
// its body has attributes, subscriptions, segmentations and a data collection
// (https://cdn.actito.be/fe/actito-documentation-client/campaign/en/Creating_or_Updating_a_Single_Profile.html);
// that a profile and all its subscriptions can be got
// (http://cdn3.actito.com/fe/actito-documentation/es/docs/v4-profiles-1by1-calls).
// Client code (https://github.com/actito/data-model-sdk) has the forms
// {"name", "value"} and {"name", "subscribe"}, texts for values in answers,
// {"profileId": 7} as the answer to a write, any 2xx as success, and a PUT with
// only the attributes that change. Two other clients
// (https://github.com/produpress/laravel-actito and the next) have GET on
// .../profile/{key}/subscription, and POST and DELETE on
// .../subscription/{name}, without a body.
//
// What is taken from public client code (https://github.com/shokme/laravel-actito):
// {key} is written attribute=value, and the PUT on the collection of profiles
// has the body {"key":{},"attributes":{},"subscriptions":{}}. The part with a load's
// file is named inputFile, and a column subscriptions#Name, as for V4's imports.
// The list of webhooks has the queries page, from 0, and pageSize; one is
// replaced and deleted under its id; making one answers {"id": 1}
// (https://github.com/actito/data-model-sdk). Of UPDATED_SUBSCRIPTION, data hold
// profileId and, under its name, the subscription
// (https://github.com/Nelo07o/myhappypet).
//
// A parameter of a message has a list of values
// (https://github.com/produpress/laravel-actito).
//
// What we guess, and the files v5*.go, v4*.go, parse.go and newsdata.go alone
// hold, so that a wrong guess is mended there:
//   - of V4: that PUT keeps the attributes that it is not given, and may make a
//     profile that is missing; that values may be written as texts; which
//     refusal says that a profile exists; what a 404 to a subscription means,
//     which is why its profile is looked at; that an empty list of subscriptions
//     in a profile's answer proves nothing; that no data collection is needed;
//   - PATCH is on the profile's own URL, with {"attributes":{},"subscriptions":{}};
//   - the create operation is a POST on the collection, with the body of the PUT,
//     and 409 where the profile exists, or one with another unique value of it;
//   - 503 says that nothing was applied, as HTTP means it;
//   - the answer to a write may tell the profileId, as V4's did;
//   - null clears an attribute;
//   - where subscriptions stand in the answers, which is why every likely
//     shape is read; a subscription that a profile's answer leaves out is off;
//   - the lists are not cut into pages;
//   - an execution is read with GET on that path;
//   - where the answer to a trigger names the execution, and every status but
//     SUCCESS, which is why every likely place and word is read; a status that is
//     not known has not ended;
//   - how an execution tells of refused rows: numbers, lists and linked files are
//     looked for under names that speak of errors. Rows are confirmed only where
//     every refused one is named by its key: whether row numbers count the header
//     is not known. Links are followed on the client's own host only;
//   - where the list of webhooks stands in the answer, which is why any array of
//     objects with a target or an event counts; that it has ended when a page
//     tells nothing new or is not found; that headers which look masked, or are
//     not told, are kept all the same; that without fields a webhook tells of
//     all;
//   - how a webhook writes values and where beside data's own names subscriptions
//     and attributes may stand, which is why the likely places and spellings are
//     read, and what has no one meaning is left out;
//   - the beginning /email-campaigns/v4 of the call that sends a message, which may
//     be configured; the order of day and month in its date, and its zone; that
//     its answer may tell an interactionId; that transactional campaigns are
//     listed as others are, with a name and a state;
//   - that an event's id may be told twice for different data, and what an id
//     means at all: it is only handed on.
//
// The format of Actito's error answers is not published: it is shown to the
// operator and never decides anything.
package actito
