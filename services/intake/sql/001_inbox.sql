-- Deliveries of webhooks and mail hosts: raw bytes, sealed, kept before the sender hears 200; the worker turns them into commands.
CREATE TABLE inbox (
    provider text NOT NULL,
    id text NOT NULL,                -- the provider's own id of the message: known again, however late it is repeated
    received_at timestamptz NOT NULL,
    person uuid NOT NULL,            -- minted for this delivery; its key seals `box`
    mark bytea NOT NULL,             -- keyed digest of the content, to tell a repeat from a conflict
    box text NOT NULL,
    state text NOT NULL DEFAULT 'new',  -- new, done, no_contact, unknown, unreadable, refused
    reason text,
    repeats int NOT NULL DEFAULT 0,
    conflicts int NOT NULL DEFAULT 0,
    PRIMARY KEY (provider, id)
);
CREATE INDEX inbox_new ON inbox (received_at) WHERE state = 'new';

-- Keep a delivery; answers new, known (the same again) or conflict (a known id with other content: kept visible, never applied).
CREATE FUNCTION keep_delivery(provider_ text, id_ text, at timestamptz, person_ uuid, mark_ bytea, box_ text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    kept bytea;
BEGIN
    INSERT INTO inbox (provider, id, received_at, person, mark, box) VALUES (provider_, id_, at, person_, mark_, box_)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN 'new';
    END IF;
    UPDATE inbox SET repeats = repeats + (mark = mark_)::int, conflicts = conflicts + (mark <> mark_)::int
    WHERE provider = provider_ AND id = id_ RETURNING mark INTO kept;
    RETURN CASE WHEN kept = mark_ THEN 'known' ELSE 'conflict' END;
END $$;

DO $$
DECLARE
    api text := current_database() || '_api';
    worker text := current_database() || '_worker';
    keep text := 'keep_delivery(text, text, timestamptz, uuid, bytea, text)';
BEGIN
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', keep);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', keep, api);
    EXECUTE format('GRANT SELECT ON inbox TO %I', api);
    EXECUTE format('GRANT SELECT, UPDATE ON inbox TO %I', worker);
END $$;
