"""Topics of a real broker and the logs behind them, for tests that tell and hear: one new topic and one new database a log."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any, ClassVar
from uuid import UUID, uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from psycopg_pool import AsyncConnectionPool

from chassis.kafka import LARGEST, headers_of, row_of, topic_of
from chassis.log import Log, Row
from chassis.mapper import FactMapper, Recorded
from chassis.relay import relay
from contracts.kernel import Fact

number = count(1)


class SpokenFact(Fact):
    log: ClassVar[str] = "spoken"


class Said(SpokenFact):
    word: str
    to: UUID


async def until(ready, seconds=20.0):
    """Ask again and again until it is so."""
    async with asyncio.timeout(seconds):
        while not await ready():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(work, up=None):
    """A loop at work; what it raises is raised here."""
    task = asyncio.create_task(work)
    try:
        if up:
            await until(lambda: _is_up(task, up))
        yield task
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _is_up(task, up):
    return task.result() if task.done() else up.is_set()


def row(position, said, *, stream, version=1, cause="rest:1"):
    stored = FactMapper().to_stored_event(Recorded(stream, version, said, {"cause": cause, "correlation": str(stream)}))
    return Row(stream, version, stored.topic, stored.state, position, datetime.now(UTC))


@dataclass
class Topic:
    """The topic of one log, written and read directly."""

    log: str
    kafka: str
    admin: AIOKafkaAdminClient
    producer: AIOKafkaProducer
    reader: AIOKafkaConsumer

    @property
    def partition(self):
        return TopicPartition(topic_of(self.log), 0)

    async def send(self, told: Row, body: bytes | None = None, **headers: str):
        """As a relay would; a body or headers of one's own make it another record."""
        given = dict(headers_of(self.log, told)) | {name: value.encode() for name, value in headers.items()}
        value = told.state if body is None else body
        await self.producer.send_and_wait(
            self.partition.topic, value, key=told.stream.bytes, partition=0, headers=list(given.items())
        )

    async def stranger(self, **headers: str | None):
        pairs = [(name, value and value.encode()) for name, value in headers.items()]
        await self.producer.send_and_wait(self.partition.topic, b"{}", partition=0, headers=pairs)

    async def records(self):
        begin, end = await self.ends()
        self.reader.assign([self.partition])
        self.reader.seek(self.partition, begin)
        found: list[Any] = []
        while len(found) < end - begin:
            found += (await self.reader.getmany(self.partition, timeout_ms=200)).get(self.partition, [])
        return found

    async def ends(self):
        """Offsets of the first record and behind the last one."""
        begin = await self.reader.beginning_offsets([self.partition])
        end = await self.reader.end_offsets([self.partition])
        return begin[self.partition], end[self.partition]

    async def holds(self, records):
        """Wait until there are so many."""

        async def there():
            begin, end = await self.ends()
            return end - begin >= records

        await until(there)

    async def positions(self):
        """Of its records that a relay wrote."""
        told = [{name: value.decode() for name, value in record.headers} for record in await self.records()]
        return [told_row.position for headers in told if (told_row := row_of(headers, b""))]

    async def tells(self, position):
        """Wait until it tells this position."""

        async def there():
            return position in await self.positions()

        await until(there)

    async def empty(self):
        await self.admin.delete_records({self.partition: RecordsToDelete(before_offset=-1)})


@dataclass
class World:
    """A broker, and databases as `open_database` makes them: (name, URI)."""

    kafka: str
    open_database: Any
    admin: AIOKafkaAdminClient
    producer: AIOKafkaProducer
    reader: AIOKafkaConsumer
    stack: AsyncExitStack

    async def topic(self):
        log = f"spoken{next(number)}"
        await self.admin.create_topics([NewTopic(topic_of(log), 1, 1, topic_configs={"max.message.bytes": str(LARGEST)})])
        return Topic(log, self.kafka, self.admin, self.producer, self.reader)

    async def log(self, name):
        _, pool = await self.open_pool()
        log = Log(name, pool)
        self.stack.push_async_callback(log.close)
        return log

    async def open_pool(self):
        database, uri = self.open_database()
        pool = AsyncConnectionPool(
            uri,
            min_size=1,
            max_size=8,
            timeout=5,
            open=False,
            check=AsyncConnectionPool.check_connection,
            kwargs={"autocommit": True},
        )
        await self.stack.enter_async_context(pool)
        return database, pool


@asynccontextmanager
async def world_of(bootstrap, open_database):
    """Connections to a broker, closed at the end."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=0)
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=50)
    async with AsyncExitStack() as stack:
        for part, end in ((admin, admin.close), (producer, producer.stop), (reader, reader.stop)):
            await part.start()
            stack.push_async_callback(end)
        yield World(bootstrap, open_database, admin, producer, reader, stack)


async def say(log, *words, stream=None, to=None):
    """One fact a word, each with its own append."""
    stream = stream or uuid4()
    for word in words:
        version = len(await log.events(stream))
        await log.record(
            stream, version, [Said(word=word, to=to or stream)], uuid4(), {"cause": "rest:1", "correlation": str(stream)}
        )
    return stream


@asynccontextmanager
async def relaying(log, topic):
    up = asyncio.Event()
    async with running(relay(log, topic.kafka, up.set), up) as task:
        yield task
