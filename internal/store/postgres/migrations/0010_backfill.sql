-- +goose Up
-- +goose StatementBegin

-- Files that somebody hands us, found again by their name.
CREATE TABLE imports (
  organization text COLLATE "C" NOT NULL,
  id           text COLLATE "C" NOT NULL,
  name         text COLLATE "C" NOT NULL,
  ended        boolean NOT NULL,          -- everybody is compared, and nothing came since
  outcomes     text NOT NULL,             -- how many rows had which: JSON
  refused      bigint NOT NULL,
  started_at   bigint NOT NULL,
  updated_at   bigint NOT NULL,
  PRIMARY KEY (organization, id),
  UNIQUE (organization, name)
);

-- How far each file was taken, in one transaction with its rows.
CREATE TABLE import_files (
  organization text COLLATE "C" NOT NULL,
  import       text COLLATE "C" NOT NULL,
  file         text COLLATE "C" NOT NULL,
  fingerprint  text NOT NULL,             -- of the rows taken
  taken        bigint NOT NULL,           -- rows from the first
  PRIMARY KEY (organization, import, file)
);

CREATE TABLE import_refusals (
  organization text COLLATE "C" NOT NULL,
  import       text COLLATE "C" NOT NULL,
  file         text COLLATE "C" NOT NULL,
  number       bigint NOT NULL,           -- of the row, from 1
  reason       text NOT NULL,
  PRIMARY KEY (organization, import, file, number)
);

-- How far each organization's catch-up from Didomi is: JSON.
CREATE TABLE catch_ups (
  organization text COLLATE "C" PRIMARY KEY,
  version      bigint NOT NULL,
  body         text NOT NULL
);

-- Comparisons of what Actito holds with what it should hold.
CREATE TABLE reconciliations (
  organization text COLLATE "C" NOT NULL,
  integration  text COLLATE "C" NOT NULL,
  id           bytea NOT NULL,
  version      bigint NOT NULL,
  state        text COLLATE "C" NOT NULL,
  body         text NOT NULL,             -- JSON
  PRIMARY KEY (organization, integration, id)
);
CREATE INDEX reconciliations_comparing ON reconciliations (organization, integration) WHERE state = 'comparing';

-- The rows of the export, until they were compared.
CREATE TABLE held_rows (
  organization text COLLATE "C" NOT NULL,
  integration  text COLLATE "C" NOT NULL,
  run          bytea NOT NULL,
  person       bytea NOT NULL,
  cells        text NOT NULL,
  PRIMARY KEY (organization, integration, run, person)
);
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
