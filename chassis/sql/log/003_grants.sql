-- The roles are named after the database: <service>_api may append and look, <service>_worker may also keep its own place.
DO $$
DECLARE
    api text := current_database() || '_api';
    worker text := current_database() || '_worker';
    append_ text := 'append(uuid[], bytea[], timestamptz, interval, int[], uuid[], int[], text[], bytea[])';
BEGIN
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', append_);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I, %I', append_, api, worker);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA public TO %I, %I', api, worker);
    EXECUTE format('GRANT INSERT, UPDATE ON heard, follower TO %I', worker);
    EXECUTE format('GRANT INSERT, UPDATE, DELETE ON parked, clock_due TO %I', worker);
END $$;
