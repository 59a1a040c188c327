-- +goose Up
-- +goose StatementBegin

-- The structure of the table as it was looked at last: JSON.
ALTER TABLE integrations ADD COLUMN seen text NOT NULL DEFAULT '';

-- A retry may be about a time: when a delivery was last worked on, or a field of
-- it confirmed.
ALTER TABLE reprojections ADD COLUMN only_from bigint NOT NULL DEFAULT 0;
ALTER TABLE reprojections ADD COLUMN only_to bigint NOT NULL DEFAULT 0;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
ALTER TABLE reprojections DROP COLUMN only_to;
ALTER TABLE reprojections DROP COLUMN only_from;
ALTER TABLE integrations DROP COLUMN seen;
-- +goose StatementEnd
