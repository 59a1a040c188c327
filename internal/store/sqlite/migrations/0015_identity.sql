-- +goose Up
-- +goose StatementBegin

-- What Actito told is known again when it is looked into, no longer when it
-- comes: by these. They are empty of what came before.
ALTER TABLE news ADD COLUMN entity BLOB NOT NULL DEFAULT x'';
ALTER TABLE news ADD COLUMN content BLOB NOT NULL DEFAULT x'';
ALTER TABLE news ADD COLUMN named INTEGER NOT NULL DEFAULT 0;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
ALTER TABLE news DROP COLUMN named;
ALTER TABLE news DROP COLUMN content;
ALTER TABLE news DROP COLUMN entity;
-- +goose StatementEnd
