-- What stands on worklists and on the breach board: a row a contact, record, case, hand-off or thread of messages, folded from its own
-- stream. Clear fields only. The label is the one of the last fact; files of earlier instants compute their own.
CREATE TABLE work (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    log text NOT NULL,
    position bigint NOT NULL,  -- of the first fact: the spoken reference
    version int NOT NULL,
    label text NOT NULL,
    done boolean NOT NULL,
    emergency boolean NOT NULL,
    risk text,
    owner text,                -- of a record, the officer of the line who answers for it; of a contact, who answered
    record_id uuid,
    lead text,
    incident text,
    residence text,
    centre text,
    addressee text,            -- of a hand-off or a message: `<role>@<place>`
    provinces text[] NOT NULL,
    due_at timestamptz,        -- the earliest clock still owed
    due_clock text
);
CREATE INDEX work_open ON work ((coalesce(due_at, 'infinity')), id) WHERE NOT done;
CREATE INDEX work_record ON work (record_id);

-- One row a clock name of a stream: the last promise under that name, together with those that it restarted.
CREATE TABLE clock (
    stream uuid NOT NULL,
    log text NOT NULL,
    clock text NOT NULL,
    rule text NOT NULL,
    due_at timestamptz NOT NULL,
    responsible text NOT NULL,
    breached_since timestamptz,  -- the first due time that passed undone; stays until the promise is met or waived
    breaches int NOT NULL,
    ended boolean NOT NULL,      -- met or waived
    about uuid NOT NULL,         -- the contact, record, case or hand-off that it stands for on the board
    PRIMARY KEY (log, stream, clock)
);
CREATE INDEX clock_breached ON clock (breached_since, stream, clock) WHERE breached_since IS NOT NULL AND NOT ended;

DO $$
DECLARE
    api text := current_database() || '_api';
    worker text := current_database() || '_worker';
BEGIN
    EXECUTE format('GRANT SELECT ON work, clock TO %I, %I', api, worker);
    EXECUTE format('GRANT INSERT, UPDATE, DELETE ON work, clock TO %I', worker);
END $$;
