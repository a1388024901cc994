"""Where a log's signed checkpoints lie: a file outside the database's volume, a table beside the log, a topic for everybody.

Whoever restores one of them to an older state still has the other two; the signer starts from the largest.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from chassis.clients import consuming, producing
from chassis.log import Log

TOPIC = TopicPartition("hotline.checkpoints.v1", 0)
"""Compacted; key: the log's name, value: the note."""
NEWEST_ONLY = {"cleanup.policy": "compact", "segment.ms": "3600000", "min.cleanable.dirty.ratio": "0.1"}
"""Its settings: what is older than an hour may be dropped but for the newest of each log."""
PATIENCE = 15.0  # seconds
LOOK_BACK = 1000  # records looked at from the end, then twice as many, and so on
_NEWEST: LiteralString = (
    "SELECT note, extract(epoch FROM clock_timestamp() - signed_at)::float FROM checkpoint ORDER BY size DESC LIMIT 1"
)


def file_of(folder: Path, log: str) -> Path:
    """The file that holds the newest note of a log."""
    return folder / log / "last"


def read_file(file: Path) -> bytes | None:
    """The note; None where none was ever written."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def write_file(file: Path, note: bytes) -> None:
    """Replace the note: after a power cut there is the old one or the new one, whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(f".{os.getpid()}")
    with part.open("wb") as out:
        out.write(note)
        out.flush()
        os.fsync(out.fileno())
    part.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def newest_in_table(log: Log) -> tuple[bytes, float] | None:
    """The newest note and its age in seconds. Raises StoreGone."""
    rows = await log.fetch(_NEWEST)
    return (rows[0][0].encode(), rows[0][1]) if rows else None


async def add_to_table(log: Log, size: int, note: bytes) -> None:
    """Once a size. Raises StoreGone."""
    query: LiteralString = "INSERT INTO checkpoint (size, note) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING size"
    await log.fetch(query, size, note.decode())


@dataclass(frozen=True, slots=True)
class Topic:
    """The topic of checkpoints. Every method raises a transient error while the broker does not answer."""

    reader: AIOKafkaConsumer
    producer: AIOKafkaProducer

    async def tell(self, log: str, note: bytes) -> None:
        """Returns once the broker has it."""
        async with asyncio.timeout(PATIENCE):
            await self.producer.send_and_wait(TOPIC.topic, note, key=log.encode(), partition=TOPIC.partition)

    async def newest(self, log: str) -> bytes | None:
        """The note that the topic tells last of a log; None only if the broker says that there is none."""
        async with asyncio.timeout(PATIENCE):
            begin = (await self.reader.beginning_offsets([TOPIC]))[TOPIC]
            end = (await self.reader.end_offsets([TOPIC]))[TOPIC]
        back = LOOK_BACK
        while not (found := await self._of(log, max(begin, end - back), end)) and end - back > begin:
            back *= 2
        return found[-1] if found else None

    async def _of(self, log: str, begin: int, end: int) -> list[bytes | None]:
        found: list[bytes | None] = []
        self.reader.seek(TOPIC, begin)
        async with asyncio.timeout(PATIENCE):
            while await self.reader.position(TOPIC) < end:
                records = (await self.reader.getmany(TOPIC, timeout_ms=500)).get(TOPIC, [])
                found += [record.value for record in records if record.key == log.encode() and record.offset < end]
        return found


@asynccontextmanager
async def topic_at(kafka: str) -> AsyncIterator[Topic]:
    """Connections to the topic. Raises a transient error if the broker does not answer."""
    async with consuming(kafka) as reader, producing(kafka) as producer:
        reader.assign([TOPIC])
        yield Topic(reader, producer)
