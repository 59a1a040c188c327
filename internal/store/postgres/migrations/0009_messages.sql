-- +goose Up
-- +goose StatementBegin

-- How the messages of a type are sent.
CREATE TABLE emails (
  organization text COLLATE "C" NOT NULL,
  id           text COLLATE "C" NOT NULL,
  integration  text COLLATE "C" NOT NULL,
  type         text COLLATE "C" NOT NULL,
  settings     text NOT NULL,             -- JSON
  revision     bigint NOT NULL,
  created_at   bigint NOT NULL,
  updated_at   bigint NOT NULL,
  PRIMARY KEY (organization, id),
  CONSTRAINT emails_by_type UNIQUE (organization, type)
);

-- Messages to be sent and those that were, for ever: who, what about and what for
-- as keyed hashes.
CREATE TABLE messages (
  organization text COLLATE "C" NOT NULL,
  id           bytea NOT NULL,
  integration  text COLLATE "C" NOT NULL,
  email        text COLLATE "C" NOT NULL, -- emails.id
  type         text COLLATE "C" NOT NULL,
  person       bytea NOT NULL,
  event        bytea NOT NULL,
  origin       text NOT NULL,             -- event, request, test
  rank         smallint NOT NULL,
  state        text COLLATE "C" NOT NULL, -- pending, in_flight, sent, failed, unclear, dropped
  again        boolean NOT NULL,          -- may be sent again where it is unclear
  created_at   bigint NOT NULL,
  expires_at   bigint NOT NULL,
  next_at      bigint NOT NULL,           -- when it may be sent; in flight: when that began
  ended_at     bigint NOT NULL DEFAULT 0,
  attempts     integer NOT NULL DEFAULT 0,
  epoch        bigint NOT NULL DEFAULT 0,
  body         bytea NOT NULL,            -- JSON: what it says; empty once it is not needed
  reason       text NOT NULL DEFAULT '',
  interaction  text NOT NULL DEFAULT '',
  PRIMARY KEY (organization, id),
  CONSTRAINT messages_once UNIQUE (organization, person, type, event)
);
CREATE INDEX messages_by_state ON messages (organization, state, id);
CREATE INDEX messages_due ON messages (organization, integration, rank, next_at) WHERE state = 'pending';
CREATE INDEX messages_old ON messages (organization, integration, expires_at) WHERE state = 'pending';
CREATE INDEX messages_in_flight ON messages (organization, integration) WHERE state = 'in_flight';
CREATE INDEX messages_kept ON messages (organization, integration, ended_at) WHERE state IN ('failed', 'unclear', 'dropped') AND body <> '';
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP TABLE messages, emails;
-- +goose StatementEnd
