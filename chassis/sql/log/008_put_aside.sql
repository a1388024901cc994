-- What a loop that follows the service's own log could not fold: the code is older than whoever told it, or the bytes are damaged.
-- The later facts of the stream wait behind it. Each worker tries again, in order, when it starts: the bytes are in the log.
CREATE TABLE put_aside (
    follower text NOT NULL,
    position bigint NOT NULL,
    stream uuid NOT NULL,
    reason text NOT NULL,
    put_aside_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (follower, position)
);
CREATE INDEX put_aside_stream ON put_aside (follower, stream);
DO $$
BEGIN
    EXECUTE format('GRANT SELECT ON put_aside TO %I', current_database() || '_api');
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON put_aside TO %I', current_database() || '_worker');
END $$;
