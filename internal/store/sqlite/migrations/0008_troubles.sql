-- +goose Up
-- +goose StatementBegin

-- Who failed or is unmatched, by reason.
CREATE INDEX deliveries_troubled ON deliveries (organization, integration, target, state, substr(last_error, 1, 200), person)
  WHERE state IN ('failed', 'unmatched');

-- A re-projection may be of those alone who are in a state for a reason, if it
-- is the one that began at only_since.
ALTER TABLE reprojections ADD COLUMN only_since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reprojections ADD COLUMN only_state TEXT NOT NULL DEFAULT '';
ALTER TABLE reprojections ADD COLUMN only_reason TEXT NOT NULL DEFAULT '';

-- How many people's choices came into effect within which time, per 5 minutes.
CREATE TABLE effects (
  organization TEXT NOT NULL,
  integration  TEXT NOT NULL,
  at           INTEGER NOT NULL,          -- beginning of the interval
  withdrawal   INTEGER NOT NULL,
  step         INTEGER NOT NULL,          -- of store.EffectSteps
  people       INTEGER NOT NULL,
  PRIMARY KEY (organization, integration, at, withdrawal, step)
) WITHOUT ROWID, STRICT;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP TABLE effects;
ALTER TABLE reprojections DROP COLUMN only_reason;
ALTER TABLE reprojections DROP COLUMN only_state;
ALTER TABLE reprojections DROP COLUMN only_since;
DROP INDEX deliveries_troubled;
-- +goose StatementEnd
