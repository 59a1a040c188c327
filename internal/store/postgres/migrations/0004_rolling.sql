-- +goose Up
-- +goose StatementBegin

-- The version of the schema that a node was built for.
ALTER TABLE nodes ADD COLUMN knows bigint NOT NULL DEFAULT 0;

-- The oldest version of the schema that a program must know to use this one:
-- one row. Programs that know a newer one go on working while those that know
-- the newest are started beside them.
CREATE TABLE compatibility (
  oldest bigint NOT NULL
);
INSERT INTO compatibility (oldest) VALUES (4);

-- contract begins a migration that programs which do not know the version
-- given could not work with. It refuses while nodes are there that do not; a
-- node that was out of reach meanwhile finds out when it renews its leases.
CREATE FUNCTION contract(version bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  older text;
BEGIN
  LOCK TABLE nodes IN SHARE ROW EXCLUSIVE MODE;
  SELECT string_agg(node, ', ' ORDER BY node) INTO older FROM nodes
    WHERE knows < version AND seen_at > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - 15 * 1000000;
  IF older IS NOT NULL THEN
    RAISE EXCEPTION 'nodes of an older version are running or were ended less than 15 seconds ago: %; upgrade or end them, then start this one again', older;
  END IF;
  UPDATE compatibility SET oldest = version;
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP FUNCTION contract;
DROP TABLE compatibility;
ALTER TABLE nodes DROP COLUMN knows;
-- +goose StatementEnd
