-- The exact bytes heard of every log. Files are folded from here on request, sealed parts opened for that answer only, so the live
-- file and the file of any earlier instant are the same code, and no table holds a personal field in plain text.
CREATE TABLE history (
    log text NOT NULL,
    position bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    stream uuid NOT NULL,
    version int NOT NULL,
    type text NOT NULL,
    state bytea NOT NULL,
    rests_on jsonb NOT NULL,  -- other log → greatest position that a cause in this log names, up to and with this row
    PRIMARY KEY (log, position)
);
CREATE INDEX history_stream ON history (stream, log, position);
CREATE INDEX history_recorded ON history (log, recorded_at, position);

-- What belongs to what, from clear fields: a case to its record, a contact to the record that names it, a hand-off to its cases and
-- record, a thread of messages to what it is about. (log, position) is the fact that says so.
CREATE TABLE belongs (
    stream uuid NOT NULL,
    to_stream uuid NOT NULL,
    kind text NOT NULL,  -- of `stream`: contact, case, hand_off, message
    log text NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (stream, to_stream)
);
CREATE INDEX belongs_to ON belongs (to_stream);

-- When the worker last found itself at the end of a log: up to here a time of day can be resolved to a position.
CREATE TABLE reached (
    log text PRIMARY KEY,
    at timestamptz NOT NULL
);

DO $$
DECLARE
    api text := current_database() || '_api';
    worker text := current_database() || '_worker';
BEGIN
    EXECUTE format('GRANT SELECT ON history, belongs, reached TO %I, %I', api, worker);
    EXECUTE format('GRANT INSERT ON history, belongs, reached TO %I', worker);
    EXECUTE format('GRANT UPDATE ON reached TO %I', worker);
END $$;
