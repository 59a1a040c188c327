-- +goose Up
-- +goose StatementBegin

-- Bulk loads: files of profiles that were handed to Actito in one call.
CREATE TABLE loads (
  organization TEXT NOT NULL,
  integration  TEXT NOT NULL,
  id           BLOB NOT NULL,
  state        TEXT NOT NULL,             -- building, started, running, ending, done
  epoch        INTEGER NOT NULL,          -- of the lease under which it was built
  columns      TEXT NOT NULL,             -- JSON: the subscriptions in the file
  people       INTEGER NOT NULL DEFAULT 0,
  withdrawals  INTEGER NOT NULL DEFAULT 0,
  refused      INTEGER NOT NULL DEFAULT 0,
  execution    TEXT NOT NULL DEFAULT '',  -- Actito's id of it
  outcome      TEXT NOT NULL DEFAULT '',
  reason       TEXT NOT NULL DEFAULT '',
  created_at   INTEGER NOT NULL,
  started_at   INTEGER NOT NULL DEFAULT 0,
  ended_at     INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (organization, integration, id)
) WITHOUT ROWID, STRICT;
CREATE INDEX loads_open ON loads (organization, integration) WHERE state <> 'done';

-- Who is in a load, until what became of it is recorded.
CREATE TABLE load_rows (
  organization TEXT NOT NULL,
  integration  TEXT NOT NULL,
  load         BLOB NOT NULL,
  number       INTEGER NOT NULL,          -- of the row, from 1
  person       BLOB NOT NULL,
  version      INTEGER NOT NULL,
  class        INTEGER NOT NULL,
  due_at       INTEGER NOT NULL,
  cells        TEXT NOT NULL,             -- '1' or '0' for each column
  rest         INTEGER NOT NULL,          -- more is to be sent than the file can hold
  stranger     INTEGER NOT NULL,          -- whether there is such a profile is not known
  refused      TEXT NOT NULL DEFAULT '',
  doubtful     INTEGER NOT NULL DEFAULT 0, -- it, or a row beside it, was refused
  state        INTEGER NOT NULL DEFAULT 0, -- 0 open, 1 a sample that is read, 2 to be compared again, 3 done
  PRIMARY KEY (organization, integration, load, number)
) WITHOUT ROWID, STRICT;
CREATE UNIQUE INDEX load_rows_by_person ON load_rows (organization, integration, person, load);

-- By how many events a delivery was made due since it was last looked at.
ALTER TABLE deliveries ADD COLUMN marks INTEGER NOT NULL DEFAULT 0;

-- What an integration was spared, and what it spent, ever.
CREATE TABLE counts (
  organization TEXT NOT NULL,
  integration  TEXT NOT NULL,
  name         TEXT NOT NULL,
  n            INTEGER NOT NULL,
  PRIMARY KEY (organization, integration, name)
) WITHOUT ROWID, STRICT;

-- What the node that holds a licence last said of its plan: JSON.
ALTER TABLE licences ADD COLUMN plan TEXT NOT NULL DEFAULT '';
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
ALTER TABLE licences DROP COLUMN plan;
DROP TABLE counts;
ALTER TABLE deliveries DROP COLUMN marks;
DROP TABLE load_rows;
DROP TABLE loads;
-- +goose StatementEnd
