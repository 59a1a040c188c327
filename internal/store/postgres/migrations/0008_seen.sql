-- +goose Up
-- +goose StatementBegin

-- The structure of the table as it was looked at last: JSON.
ALTER TABLE integrations ADD COLUMN seen text NOT NULL DEFAULT '';
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
ALTER TABLE integrations DROP COLUMN seen;
-- +goose StatementEnd
