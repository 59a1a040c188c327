-- +goose Up
-- +goose StatementBegin

-- Where the deliveries go that a re-projection of some is about; empty is Actito.
-- A node that does not know it compares those who failed towards Actito instead,
-- which changes nothing that is not due anyway.
ALTER TABLE reprojections ADD COLUMN only_target text NOT NULL DEFAULT '';
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
ALTER TABLE reprojections DROP COLUMN only_target;
-- +goose StatementEnd
