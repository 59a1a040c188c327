-- +goose Up
-- +goose StatementBegin

-- Where in a trace a webhook was accepted; empty unless traces are made.
ALTER TABLE events ADD COLUMN trace bytea NOT NULL DEFAULT '';
ALTER TABLE inbox ADD COLUMN trace bytea NOT NULL DEFAULT '';
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
ALTER TABLE inbox DROP COLUMN trace;
ALTER TABLE events DROP COLUMN trace;
-- +goose StatementEnd
