-- +goose Up
-- Times are integers: microseconds since 1970 UTC, written by us. The key of
-- every table of people and events starts with the organization. Texts compare
-- by their bytes, whatever the database's locale, as they do in the program.

-- +goose StatementBegin
CREATE TABLE secret_keys (
  name   text COLLATE "C" PRIMARY KEY,
  sealed bytea NOT NULL
);

-- One row, written to see whether the database can be written.
CREATE TABLE pings (
  at bigint NOT NULL
);
INSERT INTO pings (at) VALUES (0);

CREATE TABLE organizations (
  organization text COLLATE "C" PRIMARY KEY,
  actito       boolean NOT NULL,          -- the premium feature
  created_at   bigint NOT NULL
);

CREATE TABLE webhook_clients (
  client_id    text COLLATE "C" PRIMARY KEY,
  organization text COLLATE "C" NOT NULL,
  secret_hash  bytea NOT NULL,
  created_at   bigint NOT NULL
);

CREATE TABLE licences (
  licence       text COLLATE "C" PRIMARY KEY,
  owner         text COLLATE "C" NOT NULL DEFAULT '',
  epoch         bigint NOT NULL DEFAULT 0,
  expires_at    bigint NOT NULL DEFAULT 0,
  blocked_until bigint NOT NULL DEFAULT 0,
  idle_since    bigint NOT NULL DEFAULT 0,
  plan          text NOT NULL DEFAULT ''  -- JSON: what the holder last said of its plan
) WITH (fillfactor = 50);

-- The processes that share the licences.
CREATE TABLE nodes (
  node    text COLLATE "C" PRIMARY KEY,
  seen_at bigint NOT NULL
) WITH (fillfactor = 50);

-- Epochs grow over all licences and all nodes.
CREATE SEQUENCE epochs;

CREATE TABLE integrations (
  organization  text COLLATE "C" NOT NULL,
  id            text COLLATE "C" NOT NULL,
  status        text NOT NULL,
  status_reason text NOT NULL DEFAULT '',
  revision      bigint NOT NULL,
  licence       text COLLATE "C" NOT NULL,
  settings      text NOT NULL,            -- JSON, without secrets
  sealed        bytea NOT NULL,           -- secrets
  snapshot      text NOT NULL,            -- JSON
  created_at    bigint NOT NULL,
  updated_at    bigint NOT NULL,
  PRIMARY KEY (organization, id)
);
CREATE UNIQUE INDEX integrations_by_id ON integrations (id);
CREATE INDEX integrations_by_licence ON integrations (licence, organization, id);

-- Running re-projections of all the people of an integration (R12, R23).
CREATE TABLE reprojections (
  organization text COLLATE "C" NOT NULL,
  integration  text COLLATE "C" NOT NULL,
  state        text NOT NULL,             -- counting, asking, granting
  cursor       bytea NOT NULL,
  people       bigint NOT NULL DEFAULT 0,
  withdrawals  bigint NOT NULL DEFAULT 0,
  grants       bigint NOT NULL DEFAULT 0,
  started_at   bigint NOT NULL,
  PRIMARY KEY (organization, integration)
);

-- What was seen already, for ever, as keyed hashes only.
CREATE TABLE ledger (
  organization text COLLATE "C" NOT NULL,
  entity       bytea NOT NULL,
  content      bytea NOT NULL,
  person       bytea NOT NULL,
  seen_at      bigint NOT NULL,
  PRIMARY KEY (organization, entity, content)
);

-- A tombstone names the deletion behind it, so that a deletion that came
-- before its event is found among what happened to the person.
CREATE TABLE tombstones (
  organization text COLLATE "C" NOT NULL,
  entity       bytea NOT NULL,
  deletion     bytea NOT NULL,            -- events.id
  at           bigint NOT NULL,
  PRIMARY KEY (organization, entity, deletion)
);

-- The header of an event; its payload stands apart, so that it can be erased.
CREATE TABLE events (
  organization text COLLATE "C" NOT NULL,
  id           bytea NOT NULL,
  type         text NOT NULL,
  entity_id    text NOT NULL,
  person       bytea NOT NULL,
  regulation   text NOT NULL,
  consent_at   bigint NOT NULL,
  arrived_at   bigint NOT NULL,
  outcome      text NOT NULL,
  commitment   bytea NOT NULL,
  PRIMARY KEY (organization, id)
);
CREATE INDEX events_by_person ON events (organization, person, id);

CREATE TABLE payloads (
  organization text COLLATE "C" NOT NULL,
  id           bytea NOT NULL,
  salt         bytea NOT NULL,
  body         bytea NOT NULL,
  PRIMARY KEY (organization, id)
);

-- Webhooks that were accepted but are not merged yet: see docs/design.md.
-- Numbers come from the sequence, and are not committed in their order.
CREATE TABLE inbox (
  organization text COLLATE "C" NOT NULL,
  lane         smallint NOT NULL,         -- 0 withdrawals, 1 the rest, 2 set aside
  seq          bigint GENERATED ALWAYS AS IDENTITY,
  arrived_at   bigint NOT NULL,
  body         bytea NOT NULL,
  reason       text NOT NULL DEFAULT '',  -- why it was set aside
  PRIMARY KEY (organization, lane, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE TABLE people (
  organization text COLLATE "C" NOT NULL,
  person       bytea NOT NULL,
  user_id      text NOT NULL,             -- organization user id, '' for a Didomi user
  didomi_id    text NOT NULL,             -- Didomi user id, '' for a person
  state        bytea NOT NULL,
  didomi_users text NOT NULL DEFAULT '',  -- JSON: Didomi users seen under this person
  PRIMARY KEY (organization, person)
) WITH (fillfactor = 85);

CREATE TABLE deliveries (
  organization text COLLATE "C" NOT NULL,
  integration  text COLLATE "C" NOT NULL,
  target       text COLLATE "C" NOT NULL,
  person       bytea NOT NULL,
  state        text NOT NULL,
  class        smallint NOT NULL,
  consent_at   bigint NOT NULL,
  due_at       bigint NOT NULL,
  next_at      bigint NOT NULL DEFAULT 0,
  attempted_at bigint NOT NULL DEFAULT 0,
  version      bigint NOT NULL DEFAULT 1,
  attempts     integer NOT NULL DEFAULT 0,
  tried        boolean GENERATED ALWAYS AS (attempts > 0) STORED,
  calls        bigint NOT NULL DEFAULT 0,
  epoch        bigint NOT NULL DEFAULT 0,
  known        text NOT NULL DEFAULT '',  -- JSON
  left_out     text NOT NULL DEFAULT '',  -- JSON
  last_error   text NOT NULL DEFAULT '',
  held         boolean NOT NULL DEFAULT false, -- grants wait for a yes (R23)
  readback     integer NOT NULL DEFAULT 0,
  readback_at  bigint NOT NULL DEFAULT 0,
  updated_at   bigint NOT NULL DEFAULT 0,
  marks        bigint NOT NULL DEFAULT 0, -- events that made it due since it was last looked at
  PRIMARY KEY (organization, integration, target, person)
) WITH (fillfactor = 85);
CREATE INDEX deliveries_due ON deliveries (organization, integration, target, class, tried, consent_at, person) WHERE state = 'pending';
CREATE INDEX deliveries_next ON deliveries (organization, integration, target, next_at) WHERE next_at > 0;
CREATE INDEX deliveries_readback ON deliveries (organization, integration, target, readback_at) WHERE readback_at > 0;
CREATE INDEX deliveries_in_flight ON deliveries (organization, integration) WHERE state = 'in_flight';
CREATE INDEX deliveries_unmatched ON deliveries (organization, integration, updated_at) WHERE state = 'unmatched';

-- How many people have something left out, and why.
CREATE TABLE left_out (
  organization text COLLATE "C" NOT NULL,
  integration  text COLLATE "C" NOT NULL,
  name         text COLLATE "C" NOT NULL,
  reason       text COLLATE "C" NOT NULL,
  people       bigint NOT NULL,
  PRIMARY KEY (organization, integration, name, reason)
);

CREATE TABLE calls (
  organization  text COLLATE "C" NOT NULL,
  person        bytea NOT NULL,
  id            bytea NOT NULL,
  integration   text COLLATE "C" NOT NULL,
  operation     text NOT NULL,
  subscriptions text NOT NULL,            -- JSON
  attributes    text NOT NULL,            -- JSON, names only
  started_at    bigint NOT NULL,
  answered_at   bigint NOT NULL DEFAULT 0,
  outcome       text NOT NULL DEFAULT '',
  detail        text NOT NULL DEFAULT '',
  PRIMARY KEY (organization, person, id)
);

-- Bulk loads: files of profiles that were handed to Actito in one call.
CREATE TABLE loads (
  organization text COLLATE "C" NOT NULL,
  integration  text COLLATE "C" NOT NULL,
  id           bytea NOT NULL,
  state        text NOT NULL,             -- building, started, running, ending, done
  epoch        bigint NOT NULL,           -- of the lease under which it was built
  columns      text NOT NULL,             -- JSON: the subscriptions in the file
  people       bigint NOT NULL DEFAULT 0,
  withdrawals  bigint NOT NULL DEFAULT 0,
  refused      bigint NOT NULL DEFAULT 0,
  execution    text NOT NULL DEFAULT '',  -- Actito's id of it
  outcome      text NOT NULL DEFAULT '',
  reason       text NOT NULL DEFAULT '',
  created_at   bigint NOT NULL,
  started_at   bigint NOT NULL DEFAULT 0,
  ended_at     bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (organization, integration, id)
);
CREATE INDEX loads_open ON loads (organization, integration, id) WHERE state <> 'done';

-- Who is in a load, until what became of it is recorded.
CREATE TABLE load_rows (
  organization text COLLATE "C" NOT NULL,
  integration  text COLLATE "C" NOT NULL,
  load         bytea NOT NULL,
  number       integer NOT NULL,          -- of the row, from 1
  person       bytea NOT NULL,
  version      bigint NOT NULL,
  class        smallint NOT NULL,
  due_at       bigint NOT NULL,
  cells        text NOT NULL,             -- '1' or '0' for each column
  rest         boolean NOT NULL,          -- more is to be sent than the file can hold
  stranger     boolean NOT NULL,          -- whether there is such a profile is not known
  refused      text NOT NULL DEFAULT '',
  doubtful     boolean NOT NULL DEFAULT false, -- it, or a row beside it, was refused
  state        smallint NOT NULL DEFAULT 0, -- 0 open, 1 a sample that is read, 2 to be compared again, 3 done
  PRIMARY KEY (organization, integration, load, number)
);
CREATE UNIQUE INDEX load_rows_by_person ON load_rows (organization, integration, person, load);

-- What an integration was spared, and what it spent, ever.
CREATE TABLE counts (
  organization text COLLATE "C" NOT NULL,
  integration  text COLLATE "C" NOT NULL,
  name         text COLLATE "C" NOT NULL,
  n            bigint NOT NULL,
  PRIMARY KEY (organization, integration, name)
) WITH (fillfactor = 50);
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP TABLE counts, load_rows, loads, calls, left_out, deliveries, people, inbox, payloads, events, tombstones, ledger,
  reprojections, integrations, licences, webhook_clients, organizations, secret_keys, pings, nodes;
DROP SEQUENCE epochs;
-- +goose StatementEnd
