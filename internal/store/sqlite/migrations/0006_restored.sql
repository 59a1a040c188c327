-- +goose Up
-- When the database was last brought back to an older state; 0 for never.
ALTER TABLE organizations ADD COLUMN restored_at INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE organizations DROP COLUMN restored_at;
