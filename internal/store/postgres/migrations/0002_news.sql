-- +goose Up
-- +goose StatementBegin

-- Changes in Actito that were told and are not looked into yet.
CREATE TABLE news (
  organization text COLLATE "C" NOT NULL,
  integration  text COLLATE "C" NOT NULL,
  id           bytea NOT NULL,
  arrived_at   bigint NOT NULL,
  next_at      bigint NOT NULL,
  attempts     integer NOT NULL DEFAULT 0,
  body         text NOT NULL,              -- JSON: what was told
  PRIMARY KEY (organization, integration, id)
);
CREATE INDEX news_next ON news (organization, integration, next_at);

-- Actito's own id of a profile, once it is known.
ALTER TABLE deliveries ADD COLUMN profile text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX deliveries_by_profile ON deliveries (organization, integration, profile) WHERE profile <> '';

-- How far the webhooks in Actito are that lead to us: JSON.
ALTER TABLE integrations ADD COLUMN webhook text NOT NULL DEFAULT '';
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
ALTER TABLE integrations DROP COLUMN webhook;
DROP INDEX deliveries_by_profile;
ALTER TABLE deliveries DROP COLUMN profile;
DROP TABLE news;
-- +goose StatementEnd
