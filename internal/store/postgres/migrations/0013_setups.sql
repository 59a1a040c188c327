-- +goose Up
-- +goose StatementBegin

-- Integrations that somebody has begun to set up or to change. What was typed
-- is sealed, since an API key may be in it.
CREATE TABLE setups (
  organization text COLLATE "C" NOT NULL,
  id           text COLLATE "C" NOT NULL,
  integration  text COLLATE "C" NOT NULL, -- that is changed, '' for a new one
  title        text NOT NULL,
  actor        text NOT NULL,             -- who worked on it last
  sealed       bytea NOT NULL,
  updated_at   bigint NOT NULL,
  expires_at   bigint NOT NULL,
  PRIMARY KEY (organization, id)
);
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP TABLE setups;
-- +goose StatementEnd
