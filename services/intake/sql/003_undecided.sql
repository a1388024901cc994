-- Which reported children nobody has decided about yet, or wait for the case that was decided: folded from this log by the worker.
-- Read before a person's erasure is approved.
CREATE TABLE undecided (
    child uuid NOT NULL,
    record uuid NOT NULL,
    PRIMARY KEY (child, record)
);

DO $$
BEGIN
    EXECUTE format('GRANT SELECT ON undecided TO %I', current_database() || '_api');
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON undecided TO %I', current_database() || '_worker');
END $$;

UPDATE follower SET position = 0 WHERE name = 'tables'; -- what is told already belongs in it too; the other tables take it twice
