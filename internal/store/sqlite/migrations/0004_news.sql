-- +goose Up
-- +goose StatementBegin

-- Changes in Actito that were told and are not looked into yet.
CREATE TABLE news (
  organization TEXT NOT NULL,
  integration  TEXT NOT NULL,
  id           BLOB NOT NULL,
  arrived_at   INTEGER NOT NULL,
  next_at      INTEGER NOT NULL,
  attempts     INTEGER NOT NULL DEFAULT 0,
  body         BLOB NOT NULL,             -- JSON: what was told
  PRIMARY KEY (organization, integration, id)
) WITHOUT ROWID, STRICT;
CREATE INDEX news_next ON news (organization, integration, next_at);

-- Actito's own id of a profile, once it is known.
ALTER TABLE deliveries ADD COLUMN profile TEXT NOT NULL DEFAULT '';
CREATE INDEX deliveries_by_profile ON deliveries (organization, integration, profile) WHERE profile <> '';

-- How far the webhooks in Actito are that lead to us: JSON.
ALTER TABLE integrations ADD COLUMN webhook TEXT NOT NULL DEFAULT '';
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
ALTER TABLE integrations DROP COLUMN webhook;
DROP INDEX deliveries_by_profile;
ALTER TABLE deliveries DROP COLUMN profile;
DROP TABLE news;
-- +goose StatementEnd
