-- Append whole commands, many at a time. Answers, per command that is (or already was) written, its first and last position;
-- a command whose (stream, version) is taken is left out: somebody was faster.
--   commands, fingerprints: one entry a command · nth: which command a row belongs to (from 1)
--   not_before: the greatest stamp of the batch's causes · shift: offset of a demo's clock, zero in production
-- Two statements on purpose: the second takes its snapshot after the head is locked, so its checks cannot miss a row.
CREATE FUNCTION append(
    commands uuid[], fingerprints bytea[], not_before timestamptz, shift interval,
    nth int[], ids uuid[], versions int[], topics text[], states bytea[]
) RETURNS TABLE (n int, first bigint, last bigint, fingerprint bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    top head;
    stamp timestamptz;
BEGIN
    SELECT * INTO top FROM head FOR UPDATE;
    -- never runs backwards, never before its cause: "as of T" is always a prefix, and causally closed
    stamp := greatest(clock_timestamp() + shift, top.recorded_at, not_before);
    RETURN QUERY
    WITH asked AS (SELECT * FROM unnest(commands, fingerprints) WITH ORDINALITY AS c(id, fingerprint, n)),
    known AS (SELECT a.n::int AS n, k.first, k.last, k.fingerprint FROM asked a JOIN command k USING (id)),
    given AS (SELECT * FROM unnest(nth, ids, versions, topics, states) WITH ORDINALITY AS u(n, id, version, topic, state, ord)),
    clash AS (SELECT DISTINCT g.n FROM given g JOIN event e ON e.originator_id = g.id AND e.originator_version = g.version),
    fresh AS (SELECT g.*, top.position + row_number() OVER (ORDER BY g.ord) AS position FROM given g
              WHERE g.n NOT IN (SELECT n FROM known) AND g.n NOT IN (SELECT n FROM clash)),
    stored AS (INSERT INTO event SELECT position, stamp, id, version, topic, state FROM fresh),
    moved AS (UPDATE head SET position = top.position + (SELECT count(*) FROM fresh),
                              recorded_at = CASE WHEN EXISTS (SELECT FROM fresh) THEN stamp ELSE top.recorded_at END),
    done AS (INSERT INTO command SELECT a.id, min(f.position), max(f.position), a.fingerprint FROM fresh f JOIN asked a ON a.n = f.n
             GROUP BY a.id, a.fingerprint RETURNING id, first, last, fingerprint)
    SELECT a.n::int, d.first, d.last, d.fingerprint FROM done d JOIN asked a USING (id)
    UNION ALL SELECT n, first, last, fingerprint FROM known;
END $$;
