-- +goose Up
-- +goose StatementBegin

-- Rows of an import that were taken and are not merged yet: by slices of people's
-- keys, so that what lies together is merged together. A node of the version before
-- does not know them when it erases somebody: end imports before an upgrade.
CREATE TABLE import_blocks (
  organization text COLLATE "C" NOT NULL,
  import       text COLLATE "C" NOT NULL,
  slice        bigint NOT NULL,
  number       bigint NOT NULL,           -- grows with each block that comes
  count        bigint NOT NULL,           -- of rows, before anything was erased
  size         bigint NOT NULL,           -- of them in bytes
  rows         bytea NOT NULL,
  PRIMARY KEY (organization, import, slice, number)
);

-- ending: everybody is to be compared as soon as nothing is staged.
ALTER TABLE imports
  ADD COLUMN ending        boolean NOT NULL DEFAULT false,
  ADD COLUMN staged_rows   bigint NOT NULL DEFAULT 0,
  ADD COLUMN staged_bytes  bigint NOT NULL DEFAULT 0,
  ADD COLUMN staged_blocks bigint NOT NULL DEFAULT 0;
CREATE INDEX imports_staged ON imports (organization, id) WHERE staged_rows > 0;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP INDEX imports_staged;
ALTER TABLE imports DROP COLUMN ending, DROP COLUMN staged_rows, DROP COLUMN staged_bytes, DROP COLUMN staged_blocks;
DROP TABLE import_blocks;
-- +goose StatementEnd
