-- +goose Up
-- +goose StatementBegin

-- How the messages of a type are sent.
CREATE TABLE emails (
  organization TEXT NOT NULL,
  id           TEXT NOT NULL,
  integration  TEXT NOT NULL,
  type         TEXT NOT NULL,
  settings     TEXT NOT NULL,             -- JSON
  revision     INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL,
  PRIMARY KEY (organization, id)
) WITHOUT ROWID, STRICT;
CREATE UNIQUE INDEX emails_by_type ON emails (organization, type);

-- Messages to be sent and those that were, for ever: who, what about and what for
-- as keyed hashes.
CREATE TABLE messages (
  organization TEXT NOT NULL,
  id           BLOB NOT NULL,
  integration  TEXT NOT NULL,
  email        TEXT NOT NULL,             -- emails.id
  type         TEXT NOT NULL,
  person       BLOB NOT NULL,
  event        BLOB NOT NULL,
  origin       TEXT NOT NULL,             -- event, request, test
  rank         INTEGER NOT NULL,
  state        TEXT NOT NULL,             -- pending, in_flight, sent, failed, unclear, dropped
  again        INTEGER NOT NULL,          -- may be sent again where it is unclear
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  next_at      INTEGER NOT NULL,          -- when it may be sent; in flight: when that began
  ended_at     INTEGER NOT NULL DEFAULT 0,
  attempts     INTEGER NOT NULL DEFAULT 0,
  epoch        INTEGER NOT NULL DEFAULT 0,
  body         BLOB NOT NULL,             -- JSON: what it says; empty once it is not needed
  reason       TEXT NOT NULL DEFAULT '',
  interaction  TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (organization, id)
) WITHOUT ROWID, STRICT;
CREATE UNIQUE INDEX messages_once ON messages (organization, person, type, event);
CREATE INDEX messages_by_state ON messages (organization, state, id);
CREATE INDEX messages_due ON messages (organization, integration, rank, next_at) WHERE state = 'pending';
CREATE INDEX messages_old ON messages (organization, integration, expires_at) WHERE state = 'pending';
CREATE INDEX messages_in_flight ON messages (organization, integration) WHERE state = 'in_flight';
CREATE INDEX messages_kept ON messages (organization, integration, ended_at) WHERE state IN ('failed', 'unclear', 'dropped') AND body <> x'';
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP TABLE messages;
DROP TABLE emails;
-- +goose StatementEnd
