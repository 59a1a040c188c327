-- +goose Up
-- +goose StatementBegin

-- The rows of an export are kept in blocks, until they were compared, and what is
-- being compared has to be started again. held_rows, which is used no more, goes
-- with a later contraction; a reconciliation that is begun while nodes of the version
-- before run takes all profiles for missing.
CREATE TABLE held_blocks (
  organization text COLLATE "C" NOT NULL,
  integration  text COLLATE "C" NOT NULL,
  run          bytea NOT NULL,
  slice        bigint NOT NULL,           -- the first byte of people's keys
  number       bigint NOT NULL,           -- grows with each part of the export
  rows         bytea NOT NULL,
  PRIMARY KEY (organization, integration, run, slice, number)
);
UPDATE reconciliations SET state = 'replaced', version = version + 1 WHERE state IN ('loading', 'comparing');
DELETE FROM held_rows;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP TABLE held_blocks;
-- +goose StatementEnd
