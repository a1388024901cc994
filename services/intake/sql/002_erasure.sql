-- Whose erasure is approved, and whether it is done: folded from this log by the worker, which destroys what is due. Rows stay, so
-- that a key store restored from a backup can be told of everybody again.
CREATE TABLE erasure (
    person uuid PRIMARY KEY,
    position bigint NOT NULL,    -- of the approval
    decision text NOT NULL,
    destroyed_at timestamptz     -- NULL until the deed is told
);
CREATE INDEX erasure_due ON erasure (position) WHERE destroyed_at IS NULL;

DO $$
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON erasure TO %I', current_database() || '_worker');
END $$;
