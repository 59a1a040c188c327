-- +goose Up
-- +goose StatementBegin

-- What programs call the API with. Only the hash of a key is kept.
CREATE TABLE api_keys (
  organization text COLLATE "C" NOT NULL, -- '*' is all of them
  id           text COLLATE "C" NOT NULL CONSTRAINT api_keys_by_id UNIQUE, -- what the key begins with
  hash         bytea NOT NULL,            -- of the whole key
  name         text NOT NULL,
  role         text NOT NULL,             -- viewer, operator, administrator
  created_by   text NOT NULL,
  created_at   bigint NOT NULL,
  expires_at   bigint NOT NULL,
  used_at      bigint NOT NULL,           -- to a few minutes; 0 for never
  PRIMARY KEY (organization, id)
);

-- A client of Didomi's webhooks may send its secret along with each of them,
-- and while its secret is being changed the one before is as good.
ALTER TABLE webhook_clients ADD COLUMN header boolean NOT NULL DEFAULT false;
ALTER TABLE webhook_clients ADD COLUMN previous_hash bytea NOT NULL DEFAULT '';
ALTER TABLE webhook_clients ADD COLUMN previous_until bigint NOT NULL DEFAULT 0;

-- Of several keys with which secrets are sealed, since when one is not the
-- newest any more; 0 for the newest, and for keys for something else.
ALTER TABLE secret_keys ADD COLUMN retired_at bigint NOT NULL DEFAULT 0;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
ALTER TABLE secret_keys DROP COLUMN retired_at;
ALTER TABLE webhook_clients DROP COLUMN previous_until;
ALTER TABLE webhook_clients DROP COLUMN previous_hash;
ALTER TABLE webhook_clients DROP COLUMN header;
DROP TABLE api_keys;
-- +goose StatementEnd
