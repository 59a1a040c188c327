-- +goose Up
-- +goose StatementBegin

-- Rows of an import that were taken and are not merged yet: by slices of people's
-- keys, so that what lies together is merged together.
CREATE TABLE import_blocks (
  organization TEXT NOT NULL,
  import       TEXT NOT NULL,
  slice        INTEGER NOT NULL,
  number       INTEGER NOT NULL,          -- grows with each block that comes
  count        INTEGER NOT NULL,          -- of rows, before anything was erased
  size         INTEGER NOT NULL,          -- of them in bytes
  rows         BLOB NOT NULL,
  PRIMARY KEY (organization, import, slice, number)
) WITHOUT ROWID, STRICT;

-- ending: everybody is to be compared as soon as nothing is staged.
ALTER TABLE imports ADD COLUMN ending        INTEGER NOT NULL DEFAULT 0;
ALTER TABLE imports ADD COLUMN staged_rows   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE imports ADD COLUMN staged_bytes  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE imports ADD COLUMN staged_blocks INTEGER NOT NULL DEFAULT 0;
CREATE INDEX imports_staged ON imports (organization, id) WHERE staged_rows > 0;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP INDEX imports_staged;
ALTER TABLE imports DROP COLUMN staged_blocks;
ALTER TABLE imports DROP COLUMN staged_bytes;
ALTER TABLE imports DROP COLUMN staged_rows;
ALTER TABLE imports DROP COLUMN ending;
DROP TABLE import_blocks;
-- +goose StatementEnd
