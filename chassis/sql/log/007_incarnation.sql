-- A log that was restored from an old backup, or a standby that was promoted, may lack what others have heard already. Whoever appends
-- to it forks it. So the log remembers on which server it was written last, and is closed on any other until its worker has looked.
-- The timeline is that of the write-ahead log now: the control file tells it only from the first checkpoint after a promotion on.
CREATE FUNCTION incarnation_here() RETURNS text LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT system_identifier || ':' || ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
    FROM pg_control_system() $$;
ALTER TABLE head ADD COLUMN incarnation text;
UPDATE head SET incarnation = incarnation_here();
ALTER TABLE head ALTER COLUMN incarnation SET NOT NULL;

-- The worker has compared the log with its topic and with what was signed: it goes on here.
CREATE FUNCTION open_log() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE head SET incarnation = incarnation_here() RETURNING incarnation $$;
DO $$
BEGIN
    REVOKE ALL ON FUNCTION open_log() FROM PUBLIC;
    EXECUTE format('GRANT EXECUTE ON FUNCTION open_log() TO %I', current_database() || '_worker');
END $$;

-- As before, but for the one question at its beginning.
CREATE OR REPLACE FUNCTION append(
    commands uuid[], fingerprints bytea[], sizes int[], not_before timestamptz, shift interval,
    nth int[], ids uuid[], versions int[], topics text[], states bytea[]
) RETURNS TABLE (n int, first bigint, last bigint, fingerprint bytea, stamp timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    top head;
    at timestamptz;
    known int[];
    left_out int[];
    written bigint;
BEGIN
    SELECT * INTO top FROM head FOR UPDATE;
    IF top.incarnation <> incarnation_here() THEN
        RAISE EXCEPTION 'this log was written on another server and has not been compared with its topic' USING ERRCODE = 'H1C01';
    END IF;
    -- never runs backwards, never before its cause: "as of T" is always a prefix, and causally closed
    at := greatest(clock_timestamp() + shift, top.recorded_at, not_before);
    known := ARRAY(SELECT c.n FROM unnest(commands) WITH ORDINALITY AS c(id, n)
                   WHERE EXISTS (SELECT FROM command k WHERE k.id = c.id));
    left_out := known || ARRAY(SELECT u.n FROM unnest(nth, ids, versions) AS u(n, id, version)
                               WHERE EXISTS (SELECT FROM event e WHERE e.originator_id = u.id AND e.originator_version = u.version));
    INSERT INTO event
    SELECT top.position + row_number() OVER (ORDER BY u.ord), at, u.id, u.version, u.topic, u.state
    FROM unnest(nth, ids, versions, topics, states) WITH ORDINALITY AS u(n, id, version, topic, state, ord)
    WHERE u.n <> ALL (left_out);
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written > 0 THEN
        UPDATE head SET position = top.position + written, recorded_at = at;
        RETURN QUERY
        WITH fresh AS (
            SELECT c.n::int AS n, c.id, c.fingerprint, top.position + sum(c.size) OVER (ORDER BY c.n) AS last, c.size
            FROM unnest(commands, fingerprints, sizes) WITH ORDINALITY AS c(id, fingerprint, size, n)
            WHERE c.n <> ALL (left_out)),
        noted AS (INSERT INTO command SELECT id, last - size + 1, last, fingerprint FROM fresh)
        SELECT n, last - size + 1, last, fingerprint, at FROM fresh;
    END IF;
    IF known <> '{}' THEN
        RETURN QUERY
        SELECT c.n::int, k.first, k.last, k.fingerprint, NULL::timestamptz
        FROM unnest(commands) WITH ORDINALITY AS c(id, n) JOIN command k ON k.id = c.id;
    END IF;
END $$;
