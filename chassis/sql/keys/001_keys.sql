-- One wrapped key a person. No role has a right to the table: only these three functions touch it.
CREATE TABLE person_key (
    person uuid PRIMARY KEY,
    master text NOT NULL,          -- name of the master key that wraps this one, so masters rotate by re-wrapping
    wrapped bytea,                 -- NULL once destroyed: the tombstone stays
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    destroyed_at timestamptz,
    decision text
);

-- Known persons only: who is missing from the answer is unknown, who has no wrapped key is destroyed.
CREATE FUNCTION get_keys(persons uuid[]) RETURNS TABLE (person uuid, master text, wrapped bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT person, master, wrapped FROM person_key WHERE person = ANY (persons) $$;

-- Rivals share one key; a destroyed person never gets another.
CREATE FUNCTION create_keys(persons uuid[], masters text[], wraps bytea[]) RETURNS TABLE (person uuid, master text, wrapped bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO person_key (person, master, wrapped) SELECT * FROM unnest(persons, masters, wraps) ON CONFLICT DO NOTHING;
    -- a second statement, whose snapshot sees what a rival committed meanwhile
    RETURN QUERY SELECT person, master, wrapped FROM person_key WHERE person = ANY (persons);
END $$;

CREATE FUNCTION destroy_key(who uuid, why text) RETURNS timestamptz
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO person_key (person, master, destroyed_at, decision) VALUES (who, '', clock_timestamp(), why)
    ON CONFLICT (person) DO UPDATE SET wrapped = NULL, destroyed_at = coalesce(person_key.destroyed_at, excluded.destroyed_at),
        decision = coalesce(person_key.decision, excluded.decision)
    RETURNING destroyed_at $$;

REVOKE ALL ON FUNCTION get_keys(uuid[]), create_keys(uuid[], text[], bytea[]), destroy_key(uuid, text) FROM PUBLIC;
DO $$
DECLARE
    service text;
BEGIN
    FOREACH service IN ARRAY ARRAY['intake', 'cases', 'referrals', 'notifications', 'projections'] LOOP
        CONTINUE WHEN NOT EXISTS (SELECT FROM pg_roles WHERE rolname = service || '_keys');
        EXECUTE format('GRANT EXECUTE ON FUNCTION get_keys(uuid[]), create_keys(uuid[], text[], bytea[]) TO %I', service || '_keys');
    END LOOP;
END $$;
