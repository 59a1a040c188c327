-- +goose Up
-- +goose StatementBegin

-- What programs call the API with. Only the hash of a key is kept.
CREATE TABLE api_keys (
  organization TEXT NOT NULL,             -- '*' is all of them
  id           TEXT NOT NULL,             -- what the key begins with
  hash         BLOB NOT NULL,             -- of the whole key
  name         TEXT NOT NULL,
  role         TEXT NOT NULL,             -- viewer, operator, administrator
  created_by   TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  used_at      INTEGER NOT NULL,          -- to a few minutes; 0 for never
  PRIMARY KEY (organization, id)
) WITHOUT ROWID, STRICT;
CREATE UNIQUE INDEX api_keys_by_id ON api_keys (id);

-- A client of Didomi's webhooks may send its secret along with each of them,
-- and while its secret is being changed the one before is as good.
ALTER TABLE webhook_clients ADD COLUMN header INTEGER NOT NULL DEFAULT 0;
ALTER TABLE webhook_clients ADD COLUMN previous_hash BLOB NOT NULL DEFAULT x'';
ALTER TABLE webhook_clients ADD COLUMN previous_until INTEGER NOT NULL DEFAULT 0;

-- Of several keys with which secrets are sealed, since when one is not the
-- newest any more; 0 for the newest, and for keys for something else.
ALTER TABLE secret_keys ADD COLUMN retired_at INTEGER NOT NULL DEFAULT 0;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
ALTER TABLE secret_keys DROP COLUMN retired_at;
ALTER TABLE webhook_clients DROP COLUMN previous_until;
ALTER TABLE webhook_clients DROP COLUMN previous_hash;
ALTER TABLE webhook_clients DROP COLUMN header;
DROP TABLE api_keys;
-- +goose StatementEnd
