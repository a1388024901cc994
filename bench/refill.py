"""The relay fills an emptied topic from its log, against what aiokafka itself can send of the same values."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench import history
from bench.contest import Measured, Report, Scale, contest, figures, say
from bench.ground import Ground, create_topic
from chassis.kafka import topic_of
from chassis.loop import on_its_loop
from chassis.relay import relay

LENGTH = 20  # events a case
TARGET = 30_000  # records a second
number = count(1)


def run(ground: Ground, scale: Scale) -> Iterator[Report]:
    """Records a second into an empty topic, from the start of the relay to the last record that the broker has."""
    events = scale.of(100_000, 20_000)
    database = ground.database("cases")
    ground.fill(database, history.cases([uuid4() for _ in range(events // LENGTH)], LENGTH))
    ((size,),) = ground.rows(database, "SELECT avg(octet_length(state))::int FROM event")
    report = Report(
        "refill",
        "Relay refill",
        f"Records a second into an empty topic: {events:,} events of {size} bytes on average. `relay`: read from PostgreSQL,"
        " headers of the wire format, idempotent producer, from its start. `send_batch` and `send`: aiokafka's own, the values"
        " only and already in memory, the same producer.",
    )
    yield report
    values = [bytes(value) for (value,) in ground.rows(database, "SELECT state FROM event ORDER BY position")]
    say(f"refill of {events:,} records")
    found = contest(
        {
            "relay": lambda: on_its_loop(told(ground, database, f"refill{next(number)}")),
            "send_batch": lambda: on_its_loop(_sent(ground, values, _in_batches)),
            "send": lambda: on_its_loop(_sent(ground, values, _one_by_one)),
        },
        scale.rounds,
    )
    for name, each in found.items():
        report.row(contestant=name, **{k: v for k, v in figures(each, found["send_batch"]).items() if v is not None})
    report.target("relay refill", found["relay"].rate, TARGET, "records/s")


async def told(ground: Ground, database: str, log: str) -> Measured:
    """Let a relay tell the whole log of this database, or what its topic does not have yet."""
    kafka, topic = ground.kafka.bootstrap, TopicPartition(topic_of(log), 0)
    async with ground.parts("cases", database, "worker", name=log) as parts, _reading(kafka) as reader:
        if topic.topic not in await reader.topics():
            await create_topic(kafka, topic.topic)
        before, head = (await reader.end_offsets([topic]))[topic], await parts.log.head()
        begin = time.perf_counter()
        telling = asyncio.create_task(relay(parts.log, kafka, lambda: None))
        try:
            while (await reader.end_offsets([topic]))[topic] < head:
                if telling.done():
                    telling.result()
                await asyncio.sleep(0.01)
            return Measured((head - before) / (time.perf_counter() - begin))
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)


@asynccontextmanager
async def _reading(kafka: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


Send = Callable[[AIOKafkaProducer, str, list[bytes]], Awaitable[None]]


async def _sent(ground: Ground, values: list[bytes], send: Send) -> Measured:
    topic = f"bench.refill{next(number)}"
    await create_topic(ground.kafka.bootstrap, topic)
    producer = AIOKafkaProducer(bootstrap_servers=ground.kafka.bootstrap, enable_idempotence=True, acks="all")
    await producer.start()
    try:
        begin = time.perf_counter()
        await send(producer, topic, values)
        return Measured(len(values) / (time.perf_counter() - begin))
    finally:
        await producer.stop()


async def _in_batches(producer: AIOKafkaProducer, topic: str, values: list[bytes]) -> None:
    """As many records a batch as fit into its 16 KiB."""
    pending, batch = [], producer.create_batch()
    for value in values:
        if batch.append(key=None, value=value, timestamp=None) is None:
            pending.append(await producer.send_batch(batch, topic, partition=0))
            batch = producer.create_batch()
            batch.append(key=None, value=value, timestamp=None)
    pending.append(await producer.send_batch(batch, topic, partition=0))
    await asyncio.gather(*pending)


async def _one_by_one(producer: AIOKafkaProducer, topic: str, values: list[bytes]) -> None:
    """Five hundred at a time, as the relay does."""
    for first in range(0, len(values), 500):
        await asyncio.gather(*[await producer.send(topic, value, partition=0) for value in values[first : first + 500]])
