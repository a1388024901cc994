-- Every signed checkpoint of this log, for ever. Written after the file that the signer keeps outside this database's volume: a row
-- here was on disk there first.
CREATE TABLE checkpoint (
    size bigint PRIMARY KEY CHECK (size > 0),  -- entries covered: positions 1 to size
    note text NOT NULL,                        -- origin, size, root, an empty line, signatures
    signed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TRIGGER checkpoint_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
DO $$
DECLARE
    api text := current_database() || '_api';
    worker text := current_database() || '_worker';
BEGIN
    EXECUTE format('GRANT SELECT ON checkpoint TO %I, %I', api, worker);
    EXECUTE format('GRANT INSERT ON checkpoint TO %I', worker);
END $$;
