-- +goose Up
-- +goose StatementBegin

-- Who failed or is unmatched, by reason. The condition is one that no other
-- question meets: whoever asks for a state would be led through this index.
CREATE INDEX deliveries_troubled ON deliveries (organization, integration, target, (state COLLATE "C"), (left(last_error, 200) COLLATE "C"), person)
  WHERE left(state, 9) IN ('failed', 'unmatched');

-- A re-projection may be of those alone who are in a state for a reason, if it
-- is the one that began at only_since.
ALTER TABLE reprojections ADD COLUMN only_since bigint NOT NULL DEFAULT 0;
ALTER TABLE reprojections ADD COLUMN only_state text NOT NULL DEFAULT '';
ALTER TABLE reprojections ADD COLUMN only_reason text NOT NULL DEFAULT '';

-- How many people's choices came into effect within which time, per 5 minutes.
CREATE TABLE effects (
  organization text COLLATE "C" NOT NULL,
  integration  text COLLATE "C" NOT NULL,
  at           bigint NOT NULL,           -- beginning of the interval
  withdrawal   boolean NOT NULL,
  step         smallint NOT NULL,         -- of store.EffectSteps
  people       bigint NOT NULL,
  PRIMARY KEY (organization, integration, at, withdrawal, step)
);
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP TABLE effects;
ALTER TABLE reprojections DROP COLUMN only_reason;
ALTER TABLE reprojections DROP COLUMN only_state;
ALTER TABLE reprojections DROP COLUMN only_since;
DROP INDEX deliveries_troubled;
-- +goose StatementEnd
