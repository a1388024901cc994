"""Tells the log to its topic. The topic's last record is the checkpoint, so there is none to lose.

Any number of relays, zombies included, only ever append runs that start at or before end + 1: first occurrences stay in order and
without a gap, and hearers act on exactly the next position.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata
from opentelemetry import metrics

from chassis.failpoints import reach
from chassis.kafka import headers_of, row_of, topic_of
from chassis.log import Log

log_ = structlog.get_logger("hotline.relay")
told = metrics.get_meter("hotline").create_gauge("hotline.relay.position", description="last position told to the topic")
BATCH, PATIENCE, ASK_EVERY = 500, 5.0, 2.0  # records, then seconds


class TopicAheadError(Exception):
    """The topic tells more than the log holds: the log was restored from an old backup, or rewritten. A person must look."""


class SomebodyElseWrote(KafkaError):
    """The topic does not end where this relay left it: another one tells it too, or it was emptied. Starting over puts it right."""


async def relay(log: Log, kafka: str, up: Callable[[], None]) -> None:
    """Runs until cancelled; calls `up` once it works. Raises a transient error to be started again, TopicAheadError to end all."""
    topic = TopicPartition(topic_of(log.name), 0)
    position, end = await last_told(topic, kafka)
    if position > (head := await log.head()):
        raise TopicAheadError(
            f"the topic is at {position} but the log at {head}: restored from an old backup? first missing: {head + 1}"
        )
    producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True, acks="all", linger_ms=0)
    try:
        await producer.start()
        up()
        asked = time.monotonic()
        while True:
            rows = await log.after(position, BATCH)
            if not rows:
                if time.monotonic() - asked > ASK_EVERY:  # an idle producer would not notice that the broker is gone
                    async with asyncio.timeout(PATIENCE):
                        await producer.client.fetch_all_metadata()
                    asked = time.monotonic()
                await log.grown(position)
                continue
            if rows[-1].position != position + len(rows):
                last = next(last for last, row in enumerate(rows, position) if row.position != last + 1)
                raise RuntimeError(f"the log of {log.name} has a hole after {last}: tampering or loss")
            reach("relay.before-send")
            async with asyncio.timeout(PATIENCE):  # starting over is always safe, so waiting for ever never is
                sends: list[Awaitable[RecordMetadata]] = []
                for n, row in enumerate(rows, 1):
                    headers = headers_of(log.name, row)
                    sends.append(
                        await producer.send(
                            topic.topic, row.state, key=row.stream.bytes, partition=topic.partition, headers=headers
                        )
                    )
                    if n == (len(rows) + 1) // 2:
                        reach("relay.mid-batch")
                placed = await asyncio.gather(*sends)
            reach("relay.after-send")
            position = rows[-1].position
            told.set(position, {"log": log.name})
            if (placed[0].offset, placed[-1].offset) != (end, end + len(rows) - 1):
                raise SomebodyElseWrote
            end += len(rows)
    finally:
        with contextlib.suppress(TimeoutError):  # what it still holds is told again by the next one
            async with asyncio.timeout(1):
                await producer.stop()


async def last_told(topic: TopicPartition, kafka: str) -> tuple[int, int]:
    """The greatest position in the topic, 0 for an empty one, and the offset at which it ends. A stranger's record tells none."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        consumer.assign([topic])
        end = (await consumer.end_offsets([topic]))[topic]
        begin = (await consumer.beginning_offsets([topic]))[topic]
        last = 0
        if end > begin:
            consumer.seek(topic, max(begin, end - 1000))  # a zombie may have told old positions after newer ones
            async with asyncio.timeout(PATIENCE):
                while await consumer.position(topic) < end:
                    for record in (await consumer.getmany(topic, timeout_ms=500)).get(topic, []):
                        headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
                        row = row_of(headers, b"")
                        last = max(last, row.position if row else 0)
        return last, end
    finally:
        await consumer.stop()
