-- +goose Up
-- Since when the owner of a lease holds it.
ALTER TABLE licences ADD COLUMN held_since bigint NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE licences DROP COLUMN held_since;
