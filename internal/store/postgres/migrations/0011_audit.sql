-- +goose NO TRANSACTION
-- Each statement is a transaction of its own: while the index of calls is made,
-- which may be many, calls wait to be recorded, and accepting does not. It is not
-- made CONCURRENTLY, which waits for whoever waits for this migration. Whatever
-- is there already, should this have been interrupted, stays.

-- +goose Up

-- The end of an organization's audit chain, and who may add to it.
CREATE TABLE IF NOT EXISTS audit_heads (
  organization  text COLLATE "C" PRIMARY KEY,
  number        bigint NOT NULL,          -- of the last link
  position      bigint NOT NULL,          -- of the last record
  hash          bytea NOT NULL,           -- of the last link
  epoch         bigint NOT NULL,
  cursors       text NOT NULL,            -- JSON: how far each kind is sealed
  horizons      text NOT NULL DEFAULT '', -- JSON: what retention has removed
  sealer        text NOT NULL DEFAULT '', -- the node that seals
  claimed_until bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- The links of the chain: a batch of records, and the signed checkpoint after it.
CREATE TABLE IF NOT EXISTS audit_links (
  organization text COLLATE "C" NOT NULL,
  number       bigint NOT NULL,
  first        bigint NOT NULL,           -- positions of its records
  last         bigint NOT NULL,
  at           bigint NOT NULL,
  previous     bytea NOT NULL,            -- hash of the link before
  root         bytea NOT NULL,            -- of the tree over its records
  hash         bytea NOT NULL,
  signer       text NOT NULL,             -- names the key
  signature    bytea NOT NULL,
  PRIMARY KEY (organization, number),
  CONSTRAINT audit_links_by_first UNIQUE (organization, first)
);

-- What is sealed: the digest of each record, in the order of the chain.
CREATE TABLE IF NOT EXISTS audit_records (
  organization text COLLATE "C" NOT NULL,
  position     bigint NOT NULL,
  kind         text COLLATE "C" NOT NULL, -- event, change, call, begun
  id           bytea NOT NULL,
  person       bytea NOT NULL,
  digest       bytea NOT NULL,
  PRIMARY KEY (organization, position),
  CONSTRAINT audit_records_by_id UNIQUE (organization, kind, id, person)
);

-- Which mapping a call follows, the salt of the commitments to what it said, and
-- those commitments once that is erased.
ALTER TABLE calls ADD COLUMN IF NOT EXISTS revision bigint NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN IF NOT EXISTS salt bytea NOT NULL DEFAULT '';
ALTER TABLE calls ADD COLUMN IF NOT EXISTS erased bytea NOT NULL DEFAULT '';
CREATE INDEX IF NOT EXISTS calls_by_answer ON calls (organization, answered_at, person, id);

-- The keyed hash of an entity id that is erased.
ALTER TABLE events ADD COLUMN IF NOT EXISTS erased bytea NOT NULL DEFAULT '';

-- How long what is kept, and whether Didomi's deletions erase.
CREATE TABLE IF NOT EXISTS privacy (
  organization text COLLATE "C" PRIMARY KEY,
  settings     text NOT NULL              -- JSON
);

-- Who is to be erased because Didomi deleted their user.
CREATE TABLE IF NOT EXISTS erasures (
  organization text COLLATE "C" NOT NULL,
  person       bytea NOT NULL,            -- the Didomi user, or the person
  requested_at bigint NOT NULL,
  PRIMARY KEY (organization, person)
);

-- +goose Down
DROP TABLE erasures, privacy;
ALTER TABLE events DROP COLUMN erased;
DROP INDEX calls_by_answer;
ALTER TABLE calls DROP COLUMN erased, DROP COLUMN salt, DROP COLUMN revision;
DROP TABLE audit_records, audit_links, audit_heads;
