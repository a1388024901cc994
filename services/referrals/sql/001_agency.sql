-- Which body fills a role at a place from which day on: folded from this log by the worker, looked up before a hand-off is sent.
CREATE TABLE agency (
    agency_id uuid PRIMARY KEY,
    role text NOT NULL,
    place text NOT NULL,
    valid_from_on date NOT NULL,
    label text NOT NULL,
    UNIQUE (role, place, valid_from_on)
);
DO $$
BEGIN
    EXECUTE format('GRANT SELECT ON agency TO %I', current_database() || '_api');
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON agency TO %I', current_database() || '_worker');
END $$;
