-- A copy of the directory as heard from referrals. `state` are the fact's own bytes: addresses stay sealed until a message leaves.
CREATE TABLE agency (
    agency_id uuid PRIMARY KEY,
    role text NOT NULL,
    place text NOT NULL,
    valid_from_on date NOT NULL,
    stream uuid NOT NULL,
    version int NOT NULL,
    type text NOT NULL,
    state bytea NOT NULL,
    UNIQUE (role, place, valid_from_on)
);

-- Position of the first fact of each hand-off, for the spoken reference in a message.
CREATE TABLE hand_off (
    stream uuid PRIMARY KEY,
    position bigint NOT NULL,
    agency_id uuid
);

-- Threads with something to send, folded from this log; `next_at` is when to look again.
CREATE TABLE outgoing (
    stream uuid PRIMARY KEY,
    next_at timestamptz NOT NULL
);

DO $$
BEGIN
    EXECUTE format('GRANT SELECT ON agency, hand_off, outgoing TO %I', current_database() || '_api');
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON agency, hand_off, outgoing TO %I', current_database() || '_worker');
END $$;
