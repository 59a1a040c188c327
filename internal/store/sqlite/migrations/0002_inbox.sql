-- +goose Up
-- +goose StatementBegin

-- Webhooks that were accepted but are not merged yet: see docs/design.md.
CREATE TABLE inbox (
  organization TEXT NOT NULL,
  lane         INTEGER NOT NULL,          -- 0 withdrawals, 1 the rest, 2 set aside
  seq          INTEGER NOT NULL,
  arrived_at   INTEGER NOT NULL,
  body         BLOB NOT NULL,
  reason       TEXT NOT NULL DEFAULT '',  -- why it was set aside
  PRIMARY KEY (organization, lane, seq)
) WITHOUT ROWID, STRICT;

-- A tombstone names the deletion behind it, so that a deletion that came
-- before its event is found among what happened to the person.
CREATE TABLE graves (
  organization TEXT NOT NULL,
  entity       BLOB NOT NULL,
  deletion     BLOB NOT NULL,             -- events.id
  at           INTEGER NOT NULL,
  PRIMARY KEY (organization, entity, deletion)
) WITHOUT ROWID, STRICT;
INSERT INTO graves SELECT organization, entity, x'', at FROM tombstones;
DROP TABLE tombstones;
ALTER TABLE graves RENAME TO tombstones;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE TABLE graves (
  organization TEXT NOT NULL,
  entity       BLOB NOT NULL,
  at           INTEGER NOT NULL,
  PRIMARY KEY (organization, entity)
) WITHOUT ROWID, STRICT;
INSERT INTO graves SELECT organization, entity, min(at) FROM tombstones GROUP BY organization, entity;
DROP TABLE tombstones;
ALTER TABLE graves RENAME TO tombstones;
DROP TABLE inbox;
-- +goose StatementEnd
