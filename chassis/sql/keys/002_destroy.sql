-- Forgetting a person: the wrapped key goes, the tombstone stays with time and decision, so that nobody gets another key in its place.
-- A repeat answers the first time. lived: whether a key was there until now, as in a key store that was restored from a backup.
DROP FUNCTION destroy_key(uuid, text);
CREATE FUNCTION destroy_key(who uuid, why text, at timestamptz) RETURNS TABLE (since timestamptz, lived boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    known person_key;
BEGIN
    INSERT INTO person_key (person, master, destroyed_at, decision) VALUES (who, '', at, why) ON CONFLICT DO NOTHING;
    SELECT * INTO known FROM person_key WHERE person = who FOR UPDATE;
    IF known.wrapped IS NOT NULL THEN
        UPDATE person_key SET wrapped = NULL, destroyed_at = at, decision = why WHERE person = who;
        RETURN QUERY SELECT at, true;
    ELSE
        RETURN QUERY SELECT known.destroyed_at, false;
    END IF;
END $$;
REVOKE ALL ON FUNCTION destroy_key(uuid, text, timestamptz) FROM PUBLIC;

-- Only intake's worker destroys. MAINTAIN lets it rewrite the table, so that no copy of the key stays in it, but read no row.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'intake_eraser') THEN
        GRANT EXECUTE ON FUNCTION get_keys(uuid[]), create_keys(uuid[], text[], bytea[]), destroy_key(uuid, text, timestamptz)
            TO intake_eraser;
        GRANT MAINTAIN ON person_key TO intake_eraser;
    END IF;
END $$;
