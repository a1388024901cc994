-- How far the topic of checkpoints was read, under which policy: under another one, what it refused is judged anew.
CREATE TABLE audit_read (
    policy text PRIMARY KEY,     -- SHA-256 of the files of its epochs
    next_offset bigint NOT NULL
);

DO $$
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON audit_read TO %I', current_database() || '_worker');
END $$;
