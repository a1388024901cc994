"""The topic of a log: where it begins and ends, whether it tells the log to the letter, and how it is told anew."""

import asyncio
from collections.abc import AsyncGenerator, Callable

from aiokafka import TopicPartition

from chassis.kafka import row_of, texts_of, topic_of
from chassis.log import Row
from chassis.relay import Told, empty, how_it_lies
from tools.recovery.running import CannotAsk, Running

LOOK_EVERY = 0.3  # seconds
PATIENCE = 30.0  # seconds without progress


async def told(stack: Running, log: str) -> Told:
    """How the topic of a log lies. Raises KafkaError, or TimeoutError."""
    async with stack.reader(log) as (consumer, topic):
        return await how_it_lies(topic, consumer)


async def rows_of(stack: Running, log: str) -> AsyncGenerator[Row, None]:
    """Every row that the topic tells now, from its beginning to its end. Raises KafkaError."""
    async with stack.reader(log) as (consumer, topic):
        await consumer.seek_to_beginning(topic)
        end = (await consumer.end_offsets([topic]))[topic]
        while await consumer.position(topic) < end:
            for record in (await consumer.getmany(topic, timeout_ms=500, max_records=1000)).get(topic, []):
                if row := row_of(texts_of(record.headers), record.value or b""):
                    yield row


async def republish(stack: Running, log: str, say: Callable[[str], None]) -> int:
    """Delete the records of a topic and wait until the relay has told the log anew; answers how many positions that are.

    Raises CannotAsk where that would lose something: a topic that tells more than its log, or a log with a hole.
    """
    before = await told(stack, log)
    head = _head(stack, log)  # asked last: it may grow meanwhile
    if before.last > head:
        raise CannotAsk(
            f"the topic of {log} is at {before.last} but the log at {head}: the topic is the only copy of {head + 1} and later."
            " Nothing was deleted; see docs/runbooks/log-behind-topic.md"
        )
    say(f"deleting {before.end - before.begin} records of the topic of {log}, whose log holds {head} facts")
    await empty(TopicPartition(topic_of(log), 0), stack.kafka)
    return await _refilled(stack, log, head, say)


def _head(stack: Running, log: str) -> int:
    query = "SELECT (SELECT position FROM head) AS head, count(*) AS rows, coalesce(max(position), 0) AS last FROM event"
    (found,) = stack.rows(log, query)
    if len({*found.values()}) > 1:
        raise CannotAsk(
            f"the log of {log} has a hole: its head is {found['head']} and it holds {found['rows']} facts up to {found['last']}."
            " Nothing was deleted; see docs/runbooks/hole-in-the-log.md"
        )
    return int(found["head"])


async def _refilled(stack: Running, log: str, head: int, say: Callable[[str], None]) -> int:
    last, waited = 0, 0.0
    while last < head:
        lies = await told(stack, log)
        now = lies.last if lies.first == 1 else 0  # what is told meanwhile behind the gap is told again
        if now > last:
            say(f"told again to {now} of {head}")
        waited = 0.0 if now > last else waited + LOOK_EVERY
        if waited > PATIENCE:
            raise CannotAsk(f"the relay of {log} does not tell it again: is its worker ready? (hotline doctor)")
        last = max(now, last)
        await asyncio.sleep(LOOK_EVERY)
    return head
