-- +goose Up
-- +goose StatementBegin

-- The rows of an export are kept in blocks, until they were compared. A node that
-- does not know this would put rows where nobody looks. What is being compared has
-- to be started again.
SELECT contract(23);
DROP TABLE held_rows;
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
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP TABLE held_blocks;
CREATE TABLE held_rows (
  organization text COLLATE "C" NOT NULL,
  integration  text COLLATE "C" NOT NULL,
  run          bytea NOT NULL,
  person       bytea NOT NULL,
  cells        text NOT NULL,
  PRIMARY KEY (organization, integration, run, person)
);
-- +goose StatementEnd
