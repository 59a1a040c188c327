-- +goose Up
-- +goose StatementBegin

-- Files that somebody hands us, found again by their name.
CREATE TABLE imports (
  organization TEXT NOT NULL,
  id           TEXT NOT NULL,
  name         TEXT NOT NULL,
  ended        INTEGER NOT NULL,          -- everybody is compared, and nothing came since
  outcomes     TEXT NOT NULL,             -- how many rows had which: JSON
  refused      INTEGER NOT NULL,
  started_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL,
  PRIMARY KEY (organization, id),
  UNIQUE (organization, name)
) WITHOUT ROWID, STRICT;

-- How far each file was taken, in one transaction with its rows.
CREATE TABLE import_files (
  organization TEXT NOT NULL,
  import       TEXT NOT NULL,
  file         TEXT NOT NULL,
  fingerprint  TEXT NOT NULL,             -- of the rows taken
  taken        INTEGER NOT NULL,          -- rows from the first
  PRIMARY KEY (organization, import, file)
) WITHOUT ROWID, STRICT;

CREATE TABLE import_refusals (
  organization TEXT NOT NULL,
  import       TEXT NOT NULL,
  file         TEXT NOT NULL,
  number       INTEGER NOT NULL,          -- of the row, from 1
  reason       TEXT NOT NULL,
  PRIMARY KEY (organization, import, file, number)
) WITHOUT ROWID, STRICT;

-- How far each organization's catch-up from Didomi is: JSON.
CREATE TABLE catch_ups (
  organization TEXT PRIMARY KEY,
  version      INTEGER NOT NULL,
  body         TEXT NOT NULL
) WITHOUT ROWID, STRICT;

-- Comparisons of what Actito holds with what it should hold.
CREATE TABLE reconciliations (
  organization TEXT NOT NULL,
  integration  TEXT NOT NULL,
  id           BLOB NOT NULL,
  version      INTEGER NOT NULL,
  state        TEXT NOT NULL,
  body         TEXT NOT NULL,             -- JSON
  PRIMARY KEY (organization, integration, id)
) WITHOUT ROWID, STRICT;
CREATE INDEX reconciliations_comparing ON reconciliations (organization, integration) WHERE state = 'comparing';

-- The rows of the export, until they were compared.
CREATE TABLE held_rows (
  organization TEXT NOT NULL,
  integration  TEXT NOT NULL,
  run          BLOB NOT NULL,
  person       BLOB NOT NULL,
  cells        TEXT NOT NULL,
  PRIMARY KEY (organization, integration, run, person)
) WITHOUT ROWID, STRICT;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP TABLE held_rows;
DROP TABLE reconciliations;
DROP TABLE catch_ups;
DROP TABLE import_refusals;
DROP TABLE import_files;
DROP TABLE imports;
-- +goose StatementEnd
