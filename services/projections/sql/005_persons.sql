-- Which files name which person, in `belongs`: the kinds are `contact:caller`, `record:child`, `record:alleged`, `record:informant`,
-- `case:child`, `hand_off:child` and `hand_off:taker`; to_stream is the person. Facts that were folded before this was known are
-- looked through once, so that the reads of a person are complete from the first day.
DO $$
DECLARE
    build text;
BEGIN
    FOR build IN SELECT nspname FROM pg_namespace WHERE nspname ~ '^build_[0-9]+$' LOOP
        EXECUTE format($f$
            INSERT INTO %1$I.belongs
            SELECT stream, person::uuid, kind, log, min(position) FROM (
                SELECT h.log, h.stream, h.position, h.type, convert_from(h.state, 'UTF8')::json -> 'fact' AS fact FROM %1$I.history h
                WHERE h.type IN ('intake.ContactReceived', 'intake.ReportReceived', 'cases.CaseOpened', 'referrals.ReferralSent',
                                 'referrals.ReferralAcknowledged')
            ) told, LATERAL (
                SELECT 'contact:caller' AS kind, fact ->> 'caller_id' AS person WHERE type = 'intake.ContactReceived'
                UNION ALL SELECT 'record:child', each ->> 'child_id' FROM json_array_elements(fact -> 'children') each
                    WHERE type = 'intake.ReportReceived'
                UNION ALL SELECT 'record:alleged', each ->> 'person_id' FROM json_array_elements(fact -> 'alleged') each
                    WHERE type = 'intake.ReportReceived'
                UNION ALL SELECT 'record:informant', fact -> 'informant' ->> 'person_id' WHERE type = 'intake.ReportReceived'
                UNION ALL SELECT 'case:child', fact ->> 'child_id' WHERE type = 'cases.CaseOpened'
                UNION ALL SELECT 'hand_off:child', each FROM json_array_elements_text(fact -> 'of' -> 'children') each
                    WHERE type = 'referrals.ReferralSent'
                UNION ALL SELECT 'hand_off:taker', fact ->> 'taker_id' WHERE type = 'referrals.ReferralAcknowledged'
            ) named WHERE person IS NOT NULL GROUP BY stream, person, kind, log
            ON CONFLICT DO NOTHING $f$, build);
    END LOOP;
END $$;
