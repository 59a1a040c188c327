-- +goose Up
-- +goose StatementBegin

-- Where in a trace a webhook was accepted; empty unless traces are made.
ALTER TABLE events ADD COLUMN trace BLOB NOT NULL DEFAULT x'';
ALTER TABLE inbox ADD COLUMN trace BLOB NOT NULL DEFAULT x'';
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
ALTER TABLE inbox DROP COLUMN trace;
ALTER TABLE events DROP COLUMN trace;
-- +goose StatementEnd
