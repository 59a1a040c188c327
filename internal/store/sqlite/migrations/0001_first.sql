-- +goose Up
-- Times are integers: microseconds since 1970 UTC, written by us. The key of
-- every table of people and events starts with the organization.

-- +goose StatementBegin
CREATE TABLE secret_keys (
  name   TEXT PRIMARY KEY,
  sealed BLOB NOT NULL
) WITHOUT ROWID, STRICT;

-- One row, written to see whether the database can be written.
CREATE TABLE pings (
  at INTEGER NOT NULL
) STRICT;
INSERT INTO pings (at) VALUES (0);

CREATE TABLE organizations (
  organization TEXT PRIMARY KEY,
  actito       INTEGER NOT NULL,          -- the premium feature
  created_at   INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

CREATE TABLE webhook_clients (
  client_id    TEXT PRIMARY KEY,
  organization TEXT NOT NULL,
  secret_hash  BLOB NOT NULL,
  created_at   INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

CREATE TABLE licences (
  licence       TEXT PRIMARY KEY,
  owner         TEXT NOT NULL DEFAULT '',
  epoch         INTEGER NOT NULL DEFAULT 0,
  expires_at    INTEGER NOT NULL DEFAULT 0,
  blocked_until INTEGER NOT NULL DEFAULT 0,
  idle_since    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID, STRICT;

CREATE TABLE integrations (
  organization  TEXT NOT NULL,
  id            TEXT NOT NULL,
  status        TEXT NOT NULL,
  status_reason TEXT NOT NULL DEFAULT '',
  revision      INTEGER NOT NULL,
  licence       TEXT NOT NULL,
  settings      TEXT NOT NULL,            -- JSON, without secrets
  sealed        BLOB NOT NULL,            -- secrets
  snapshot      TEXT NOT NULL,            -- JSON
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  PRIMARY KEY (organization, id)
) WITHOUT ROWID, STRICT;
CREATE UNIQUE INDEX integrations_by_id ON integrations (id);
CREATE INDEX integrations_by_licence ON integrations (licence);

-- Running re-projections of all the people of an integration (R12, R23).
CREATE TABLE reprojections (
  organization TEXT NOT NULL,
  integration  TEXT NOT NULL,
  state        TEXT NOT NULL,             -- counting, asking, granting
  cursor       BLOB NOT NULL,
  people       INTEGER NOT NULL DEFAULT 0,
  withdrawals  INTEGER NOT NULL DEFAULT 0,
  grants       INTEGER NOT NULL DEFAULT 0,
  started_at   INTEGER NOT NULL,
  PRIMARY KEY (organization, integration)
) WITHOUT ROWID, STRICT;

-- What was seen already, for ever, as keyed hashes only.
CREATE TABLE ledger (
  organization TEXT NOT NULL,
  entity       BLOB NOT NULL,
  content      BLOB NOT NULL,
  person       BLOB NOT NULL,
  seen_at      INTEGER NOT NULL,
  PRIMARY KEY (organization, entity, content)
) WITHOUT ROWID, STRICT;

CREATE TABLE tombstones (
  organization TEXT NOT NULL,
  entity       BLOB NOT NULL,
  at           INTEGER NOT NULL,
  PRIMARY KEY (organization, entity)
) WITHOUT ROWID, STRICT;

-- The header of an event; its payload stands apart, so that it can be erased.
CREATE TABLE events (
  organization TEXT NOT NULL,
  id           BLOB NOT NULL,
  type         TEXT NOT NULL,
  entity_id    TEXT NOT NULL,
  person       BLOB NOT NULL,
  regulation   TEXT NOT NULL,
  consent_at   INTEGER NOT NULL,
  arrived_at   INTEGER NOT NULL,
  outcome      TEXT NOT NULL,
  commitment   BLOB NOT NULL,
  PRIMARY KEY (organization, id)
) WITHOUT ROWID, STRICT;
CREATE INDEX events_by_person ON events (organization, person, id);

CREATE TABLE payloads (
  organization TEXT NOT NULL,
  id           BLOB NOT NULL,
  salt         BLOB NOT NULL,
  body         BLOB NOT NULL,
  PRIMARY KEY (organization, id)
) WITHOUT ROWID, STRICT;

CREATE TABLE people (
  organization TEXT NOT NULL,
  person       BLOB NOT NULL,
  user_id      TEXT NOT NULL,             -- organization user id, '' for a Didomi user
  didomi_id    TEXT NOT NULL,             -- Didomi user id, '' for a person
  state        BLOB NOT NULL,
  didomi_users TEXT NOT NULL DEFAULT '',  -- JSON: Didomi users seen under this person
  PRIMARY KEY (organization, person)
) WITHOUT ROWID, STRICT;

CREATE TABLE deliveries (
  organization TEXT NOT NULL,
  integration  TEXT NOT NULL,
  target       TEXT NOT NULL,
  person       BLOB NOT NULL,
  state        TEXT NOT NULL,
  class        INTEGER NOT NULL,
  consent_at   INTEGER NOT NULL,
  due_at       INTEGER NOT NULL,
  next_at      INTEGER NOT NULL DEFAULT 0,
  attempted_at INTEGER NOT NULL DEFAULT 0,
  version      INTEGER NOT NULL DEFAULT 1,
  attempts     INTEGER NOT NULL DEFAULT 0,
  calls        INTEGER NOT NULL DEFAULT 0,
  epoch        INTEGER NOT NULL DEFAULT 0,
  known        TEXT NOT NULL DEFAULT '',  -- JSON
  left_out     TEXT NOT NULL DEFAULT '',  -- JSON
  last_error   TEXT NOT NULL DEFAULT '',
  held         INTEGER NOT NULL DEFAULT 0, -- grants wait for a yes (R23)
  readback     INTEGER NOT NULL DEFAULT 0,
  readback_at  INTEGER NOT NULL DEFAULT 0,
  updated_at   INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (organization, integration, target, person)
) WITHOUT ROWID, STRICT;
CREATE INDEX deliveries_due ON deliveries (organization, integration, target, class, (attempts > 0), consent_at) WHERE state = 'pending';
CREATE INDEX deliveries_next ON deliveries (organization, integration, target, next_at) WHERE next_at > 0;
CREATE INDEX deliveries_readback ON deliveries (organization, integration, target, readback_at) WHERE readback_at > 0;
CREATE INDEX deliveries_in_flight ON deliveries (organization, integration) WHERE state = 'in_flight';

-- How many people have something left out, and why.
CREATE TABLE left_out (
  organization TEXT NOT NULL,
  integration  TEXT NOT NULL,
  name         TEXT NOT NULL,
  reason       TEXT NOT NULL,
  people       INTEGER NOT NULL,
  PRIMARY KEY (organization, integration, name, reason)
) WITHOUT ROWID, STRICT;

CREATE TABLE calls (
  organization  TEXT NOT NULL,
  person        BLOB NOT NULL,
  id            BLOB NOT NULL,
  integration   TEXT NOT NULL,
  operation     TEXT NOT NULL,
  subscriptions TEXT NOT NULL,            -- JSON
  attributes    TEXT NOT NULL,            -- JSON, names only
  started_at    INTEGER NOT NULL,
  answered_at   INTEGER NOT NULL DEFAULT 0,
  outcome       TEXT NOT NULL DEFAULT '',
  detail        TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (organization, person, id)
) WITHOUT ROWID, STRICT;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP TABLE calls; DROP TABLE left_out; DROP TABLE deliveries; DROP TABLE people; DROP TABLE payloads;
DROP TABLE events; DROP TABLE tombstones; DROP TABLE ledger; DROP TABLE reprojections; DROP TABLE integrations;
DROP TABLE licences; DROP TABLE webhook_clients; DROP TABLE organizations; DROP TABLE secret_keys; DROP TABLE pings;
-- +goose StatementEnd
