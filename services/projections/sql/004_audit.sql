-- The trees over all logs, grown from what the topics tell, independently of who signs. Outside the builds of the views: a rebuild
-- changes nothing here. A row at level 0 is an entry with the hash of its leaf; at level 1 the hash over 256 of them, and so on.
CREATE TABLE audit_tree (
    log text PRIMARY KEY,
    size bigint NOT NULL,   -- entries: positions 1 to size
    at_end timestamptz      -- when the topic was last found to tell nothing more
);
CREATE TABLE audit_hash (
    log text NOT NULL,
    level smallint NOT NULL,
    number bigint NOT NULL,
    hash bytea NOT NULL,
    entry bytea,
    PRIMARY KEY (log, level, number),
    CHECK ((level = 0) = (entry IS NOT NULL))
);
CREATE TRIGGER audit_hash_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_hash
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

-- Every signed checkpoint that was ever told. agrees: whether its root is that of our own tree; empty until the tree has its size.
CREATE TABLE audit_note (
    log text NOT NULL,
    size bigint NOT NULL,
    root bytea NOT NULL,
    note text NOT NULL,
    agrees boolean,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log, size, root)
);
CREATE INDEX audit_note_served ON audit_note (log, size) WHERE agrees;
CREATE INDEX audit_note_open ON audit_note (log, size) WHERE agrees IS NULL;
CREATE INDEX audit_note_alarm ON audit_note (log, size) WHERE NOT agrees;

DO $$
DECLARE
    api text := current_database() || '_api';
    worker text := current_database() || '_worker';
BEGIN
    EXECUTE format('GRANT SELECT ON audit_tree, audit_hash, audit_note TO %I, %I', api, worker);
    EXECUTE format('GRANT INSERT ON audit_tree, audit_hash, audit_note TO %I', worker);
    EXECUTE format('GRANT UPDATE ON audit_tree TO %I', worker);
    EXECUTE format('GRANT UPDATE (agrees) ON audit_note TO %I', worker);
END $$;
