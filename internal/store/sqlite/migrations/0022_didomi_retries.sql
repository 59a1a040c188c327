-- +goose Up
-- +goose StatementBegin

-- Where the deliveries go that a re-projection of some is about; empty is Actito.
ALTER TABLE reprojections ADD COLUMN only_target TEXT NOT NULL DEFAULT '';
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
ALTER TABLE reprojections DROP COLUMN only_target;
-- +goose StatementEnd
