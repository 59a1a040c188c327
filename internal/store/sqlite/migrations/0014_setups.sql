-- +goose Up
-- +goose StatementBegin

-- Integrations that somebody has begun to set up or to change. What was typed
-- is sealed, since an API key may be in it.
CREATE TABLE setups (
  organization TEXT NOT NULL,
  id           TEXT NOT NULL,
  integration  TEXT NOT NULL,             -- that is changed, '' for a new one
  title        TEXT NOT NULL,
  actor        TEXT NOT NULL,             -- who worked on it last
  sealed       BLOB NOT NULL,
  updated_at   INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  PRIMARY KEY (organization, id)
) WITHOUT ROWID, STRICT;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP TABLE setups;
-- +goose StatementEnd
