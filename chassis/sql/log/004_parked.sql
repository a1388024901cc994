-- What operators decide about a parked fact, folded from this service's own log. retry_by: the entry that wants it, and those that
-- wait behind it, digested again; it stands at the first of a stream, moves on with each that is digested and ends where one fails.
-- discarded_by, discarded_at: the entry that gave up on it, and when; such a row stays and no longer holds back its stream.
ALTER TABLE parked ADD COLUMN retry_by bigint, ADD COLUMN discarded_by bigint, ADD COLUMN discarded_at timestamptz;
DROP INDEX parked_stream;
CREATE INDEX parked_stream ON parked (topic, stream, position) WHERE discarded_at IS NULL;
CREATE INDEX parked_retry ON parked (topic, stream) WHERE retry_by IS NOT NULL;
