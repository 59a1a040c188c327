-- +goose Up
-- +goose StatementBegin

-- The end of an organization's audit chain, and who may add to it.
CREATE TABLE audit_heads (
  organization  TEXT NOT NULL,
  number        INTEGER NOT NULL,         -- of the last link
  position      INTEGER NOT NULL,         -- of the last record
  hash          BLOB NOT NULL,            -- of the last link
  epoch         INTEGER NOT NULL,
  cursors       TEXT NOT NULL,            -- JSON: how far each kind is sealed
  horizons      TEXT NOT NULL DEFAULT '', -- JSON: what retention has removed
  sealer        TEXT NOT NULL DEFAULT '', -- the node that seals
  claimed_until INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (organization)
) WITHOUT ROWID, STRICT;

-- The links of the chain: a batch of records, and the signed checkpoint after it.
CREATE TABLE audit_links (
  organization TEXT NOT NULL,
  number       INTEGER NOT NULL,
  first        INTEGER NOT NULL,          -- positions of its records
  last         INTEGER NOT NULL,
  at           INTEGER NOT NULL,
  previous     BLOB NOT NULL,             -- hash of the link before
  root         BLOB NOT NULL,             -- of the tree over its records
  hash         BLOB NOT NULL,
  signer       TEXT NOT NULL,             -- names the key
  signature    BLOB NOT NULL,
  PRIMARY KEY (organization, number)
) WITHOUT ROWID, STRICT;
CREATE UNIQUE INDEX audit_links_by_first ON audit_links (organization, first);

-- What is sealed: the digest of each record, in the order of the chain.
CREATE TABLE audit_records (
  organization TEXT NOT NULL,
  position     INTEGER NOT NULL,
  kind         TEXT NOT NULL,             -- event, change, call, begun
  id           BLOB NOT NULL,
  person       BLOB NOT NULL,
  digest       BLOB NOT NULL,
  PRIMARY KEY (organization, position)
) WITHOUT ROWID, STRICT;
CREATE UNIQUE INDEX audit_records_by_id ON audit_records (organization, kind, id, person);

-- Which mapping a call follows, the salt of the commitments to what it said, and
-- those commitments once that is erased.
ALTER TABLE calls ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN salt BLOB NOT NULL DEFAULT x'';
ALTER TABLE calls ADD COLUMN erased BLOB NOT NULL DEFAULT x'';
CREATE INDEX calls_by_answer ON calls (organization, answered_at, person, id);

-- The keyed hash of an entity id that is erased.
ALTER TABLE events ADD COLUMN erased BLOB NOT NULL DEFAULT x'';

-- How long what is kept, and whether Didomi's deletions erase.
CREATE TABLE privacy (
  organization TEXT NOT NULL,
  settings     TEXT NOT NULL,             -- JSON
  PRIMARY KEY (organization)
) WITHOUT ROWID, STRICT;

-- Who is to be erased because Didomi deleted their user.
CREATE TABLE erasures (
  organization TEXT NOT NULL,
  person       BLOB NOT NULL,             -- the Didomi user, or the person
  requested_at INTEGER NOT NULL,
  PRIMARY KEY (organization, person)
) WITHOUT ROWID, STRICT;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP TABLE erasures; DROP TABLE privacy;
ALTER TABLE events DROP COLUMN erased;
DROP INDEX calls_by_answer;
ALTER TABLE calls DROP COLUMN erased; ALTER TABLE calls DROP COLUMN salt; ALTER TABLE calls DROP COLUMN revision;
DROP TABLE audit_records; DROP TABLE audit_links; DROP TABLE audit_heads;
-- +goose StatementEnd
