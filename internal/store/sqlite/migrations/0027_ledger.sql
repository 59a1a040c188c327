-- +goose Up
-- +goose StatementBegin

-- The ledger by slices of people's keys, which are their first bytes: an import is
-- merged in the order of people, and each of its rows would otherwise change a page of
-- the ledger of its own. The same message is always about the same person.
--
-- Rows are taken over in the order in which they lay: that way each slice grows at its
-- end, and nothing has to be sorted.
CREATE TABLE ledger_sliced (
  organization TEXT NOT NULL,
  slice        BLOB NOT NULL CHECK (slice = substr(person, 1, 1)),
  entity       BLOB NOT NULL,
  content      BLOB NOT NULL,
  person       BLOB NOT NULL,
  seen_at      INTEGER NOT NULL,
  PRIMARY KEY (organization, slice, entity, content)
) WITHOUT ROWID, STRICT;
INSERT INTO ledger_sliced (organization, slice, entity, content, person, seen_at)
  SELECT organization, substr(person, 1, 1), entity, content, person, seen_at FROM ledger;

-- To overwrite what is dropped would take as much memory as it has bytes. It is keyed
-- hashes, all of which stay.
PRAGMA secure_delete = OFF;
DROP TABLE ledger;
PRAGMA secure_delete = ON;
ALTER TABLE ledger_sliced RENAME TO ledger;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE TABLE ledger_whole (
  organization TEXT NOT NULL,
  entity       BLOB NOT NULL,
  content      BLOB NOT NULL,
  person       BLOB NOT NULL,
  seen_at      INTEGER NOT NULL,
  PRIMARY KEY (organization, entity, content)
) WITHOUT ROWID, STRICT;
INSERT INTO ledger_whole (organization, entity, content, person, seen_at)
  SELECT organization, entity, content, person, seen_at FROM ledger;
PRAGMA secure_delete = OFF;
DROP TABLE ledger;
PRAGMA secure_delete = ON;
ALTER TABLE ledger_whole RENAME TO ledger;
-- +goose StatementEnd
