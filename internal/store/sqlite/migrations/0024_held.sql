-- +goose Up
-- +goose StatementBegin

-- The rows of an export are kept in blocks, until they were compared. What is
-- being compared has to be started again.
DROP TABLE held_rows;
CREATE TABLE held_blocks (
  organization TEXT NOT NULL,
  integration  TEXT NOT NULL,
  run          BLOB NOT NULL,
  slice        INTEGER NOT NULL,          -- the first byte of people's keys
  number       INTEGER NOT NULL,          -- grows with each part of the export
  rows         BLOB NOT NULL,
  PRIMARY KEY (organization, integration, run, slice, number)
) WITHOUT ROWID, STRICT;
UPDATE reconciliations SET state = 'replaced', version = version + 1 WHERE state IN ('loading', 'comparing');
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP TABLE held_blocks;
CREATE TABLE held_rows (
  organization TEXT NOT NULL,
  integration  TEXT NOT NULL,
  run          BLOB NOT NULL,
  person       BLOB NOT NULL,
  cells        TEXT NOT NULL,
  PRIMARY KEY (organization, integration, run, person)
) WITHOUT ROWID, STRICT;
-- +goose StatementEnd
