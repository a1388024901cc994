-- Append whole commands, many at a time. Answers, per command that is (or already was) written, its first and last position; `stamp`
-- only for those written now. A command whose (stream, version) is taken is left out: somebody was faster.
--   commands, fingerprints, sizes: one entry a command · nth: which command a row belongs to (from 1), rows in the order of commands
--   not_before: the greatest stamp of the batch's causes · shift: offset of a demo's clock, zero in production
-- The head is locked by a statement of its own: the next one takes its snapshot afterwards, so its checks cannot miss a row.
-- Callers set plan_cache_mode and switch sequential scans off for their connection (`chassis/wire.py`), rather than each call here:
-- planning anew, or setting four variables, would cost more than the append.
DROP FUNCTION append(uuid[], bytea[], timestamptz, interval, int[], uuid[], int[], text[], bytea[]);
CREATE FUNCTION append(
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
DO $$
DECLARE
    append_ text := 'append(uuid[], bytea[], int[], timestamptz, interval, int[], uuid[], int[], text[], bytea[])';
BEGIN
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', append_);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I, %I', append_, current_database() || '_api', current_database() || '_worker');
END $$;
