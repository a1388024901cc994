-- The views are built, and later rebuilt beside the live build: each build has a schema `build_<number>` of the same tables, with its
-- own place in every log and its own parked facts. One row says which build is live. It is an ordinary row: whoever reads it and the
-- tables in one snapshot sees one build, whole, and a swap waits for no reader.
-- What was built so far becomes build 1, and live.
CREATE TABLE build (
    number int PRIMARY KEY CHECK (number > 0),
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    swapped_at timestamptz,  -- since then it is live, or was until a later one was swapped in; empty while it is filled
    instant text,            -- the positions at which it was compared and swapped
    digest text,             -- over the content of all its tables then
    accepted text,           -- why a difference from the build before it was accepted
    told_at timestamptz      -- since then the swap is a fact of the log
);
INSERT INTO build (number, swapped_at, told_at) VALUES (1, clock_timestamp(), clock_timestamp());
CREATE TABLE live (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    build int NOT NULL REFERENCES build
);
INSERT INTO live VALUES (true, 1);

-- revised: how often facts were folded after later ones of their log, so that whoever remembers streams forgets them.
ALTER TABLE heard ADD COLUMN revised int NOT NULL DEFAULT 0;
-- discarded_at: since then a person has decided that this fact will never be folded; the later ones of its stream are.
ALTER TABLE parked ADD COLUMN IF NOT EXISTS discarded_at timestamptz;

CREATE SCHEMA build_1;
CREATE SCHEMA shape;  -- empty tables: the form of the next build
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['history', 'belongs', 'reached', 'work', 'clock', 'heard', 'parked'] LOOP
        EXECUTE format('ALTER TABLE public.%I SET SCHEMA build_1', name);
        EXECUTE format('CREATE TABLE shape.%1$I (LIKE build_1.%1$I INCLUDING ALL)', name);
    END LOOP;
END $$;

-- For looking by hand, under the names that these tables always had. Programs choose the build once a transaction instead and read
-- its tables themselves: these views are scanned whole.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['history', 'belongs', 'reached', 'work', 'clock', 'heard', 'parked'] LOOP
        EXECUTE format('CREATE FUNCTION live_%1$s() RETURNS SETOF shape.%1$I LANGUAGE plpgsql STABLE AS $f$
            BEGIN RETURN QUERY EXECUTE format(''SELECT * FROM build_%%s.%1$I'', (SELECT build FROM public.live)); END $f$', name);
        EXECUTE format('CREATE VIEW public.%1$I AS SELECT * FROM live_%1$s()', name);
    END LOOP;
END $$;

-- Who may do what with the tables of a build.
CREATE FUNCTION grant_build(of text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    api text := current_database() || '_api';
    worker text := current_database() || '_worker';
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I, %I', of, api, worker);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I, %I', of, api, worker);
    EXECUTE format('GRANT INSERT ON ALL TABLES IN SCHEMA %I TO %I', of, worker);
    EXECUTE format('GRANT UPDATE ON %1$I.heard, %1$I.reached, %1$I.work, %1$I.clock, %1$I.parked TO %2$I', of, worker);
    EXECUTE format('GRANT UPDATE (rests_on) ON %I.history TO %I', of, worker);
    EXECUTE format('GRANT DELETE ON %1$I.work, %1$I.clock, %1$I.parked TO %2$I', of, worker);
END $$;

-- Begin a build: its tables with their primary keys; the other indexes come when it is full. Answers its number.
CREATE FUNCTION begin_build() RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    new int;
    name text;
    key text;
BEGIN
    LOCK TABLE build IN EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM build WHERE swapped_at IS NULL) THEN
        RAISE EXCEPTION 'a build is already being filled' USING ERRCODE = 'object_in_use';
    END IF;
    INSERT INTO build (number) SELECT max(number) + 1 FROM build RETURNING number INTO new;
    EXECUTE format('CREATE SCHEMA build_%s', new);
    FOR name, key IN SELECT t.relname, pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
        WHERE t.relnamespace = 'shape'::regnamespace AND c.contype = 'p' LOOP
        EXECUTE format('CREATE TABLE build_%s.%I (LIKE shape.%2$I INCLUDING DEFAULTS INCLUDING CONSTRAINTS, %3$s)', new, name, key);
    END LOOP;
    PERFORM grant_build('build_' || new);
    RETURN new;
END $$;

-- The indexes that a build still lacks, and statistics for whoever plans over it.
CREATE FUNCTION index_build(of int) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    name text;
    definition text;
BEGIN
    FOR name, definition IN SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relnamespace = 'shape'::regnamespace AND NOT i.indisprimary LOOP
        IF to_regclass(format('build_%s.%I', of, name)) IS NULL THEN
            EXECUTE replace(definition, ' ON shape.', format(' ON build_%s.', of));
        END IF;
    END LOOP;
    FOR name IN SELECT relname FROM pg_class WHERE relnamespace = format('build_%s', of)::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('ANALYZE build_%s.%I', of, name);
    END LOOP;
END $$;

-- Give up a build that is being filled, or one that was live before.
CREATE FUNCTION drop_build(of int) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1747005745, 0);  -- nobody swaps meanwhile
    IF of = (SELECT l.build FROM live l) THEN
        RAISE EXCEPTION 'build % is live', of USING ERRCODE = 'object_in_use';
    END IF;
    IF EXISTS (SELECT FROM build b JOIN live l ON l.build = b.number WHERE b.swapped_at > clock_timestamp() - interval '1 minute')
        AND EXISTS (SELECT FROM build WHERE number = of AND swapped_at IS NOT NULL) THEN
        RAISE EXCEPTION 'a read may still look at build %, which was live less than a minute ago', of USING ERRCODE = 'object_in_use';
    END IF;
    PERFORM pg_advisory_xact_lock(1747005745, of);  -- whoever folds into it is done, and finds it gone
    EXECUTE format('DROP SCHEMA IF EXISTS build_%s CASCADE', of);
    DELETE FROM build WHERE number = of AND swapped_at IS NULL;
END $$;

DO $$
DECLARE
    api text := current_database() || '_api';
    worker text := current_database() || '_worker';
    named text;
BEGIN
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA public TO %I, %I', api, worker);
    EXECUTE format('GRANT USAGE ON SCHEMA shape TO %I, %I', api, worker);
    EXECUTE format('GRANT UPDATE ON build, live TO %I', worker);
    FOREACH named IN ARRAY ARRAY['begin_build()', 'index_build(int)', 'drop_build(int)'] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', named);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', named, worker);
    END LOOP;
    REVOKE ALL ON FUNCTION grant_build(text) FROM PUBLIC;
END $$;
SELECT grant_build('build_1');
