-- One log: dense positions from a single head row, so commit order is position order and a gap is a fault, never a race.
CREATE TABLE head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint NOT NULL,
    recorded_at timestamptz NOT NULL
) WITH (fillfactor = 50);  -- updated by every append: room for HOT updates
INSERT INTO head VALUES (true, 0, '-infinity');

CREATE TABLE event (
    position bigint PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    originator_id uuid NOT NULL,
    originator_version int NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,  -- bytea, never json: these exact bytes are hashed and published
    UNIQUE (originator_id, originator_version)
);

-- The only idempotence: written in the append that it makes happen once. `fingerprint` is an HMAC of actor and body, '' where none applies.
CREATE TABLE command (
    id uuid PRIMARY KEY,
    first bigint NOT NULL,
    last bigint NOT NULL,
    fingerprint bytea NOT NULL
);

-- What this service has heard of other logs, and what it could not digest.
CREATE TABLE heard (
    topic text NOT NULL,
    partition int NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);
CREATE TABLE parked (
    topic text NOT NULL,
    partition int NOT NULL,
    position bigint NOT NULL,
    stream uuid NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    reason text NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (topic, partition, position)
);
CREATE INDEX parked_stream ON parked (topic, stream);

-- Positions up to which loops of the worker followed the service's own log, and the clocks that the timer watches.
CREATE TABLE follower (
    name text PRIMARY KEY,
    position bigint NOT NULL
);
CREATE TABLE clock_due (
    stream uuid NOT NULL,
    clock text NOT NULL,
    started int NOT NULL,  -- version of the ClockStarted: part of the timer's command id
    due_at timestamptz NOT NULL,
    PRIMARY KEY (stream, clock)
);
CREATE INDEX clock_due_at ON clock_due (due_at);

-- History is never rewritten, not even by the owner's slip.
CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
CREATE TRIGGER command_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON command
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
