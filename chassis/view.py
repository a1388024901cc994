"""A view: the logs of several services folded into tables of one database. Rows and place move in one transaction, so a row is
never ahead of its place nor behind it, however the process ends, and any number of folders, zombies included, do no harm.

Act on exactly the next position, or do nothing; park what cannot be digested; never skip, never block. A fact whose cause is a
position of another log that this view also folds waits until that one is folded: every state shown is causally closed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from eventsourcing.persistence import MapperDeserialisationError
from opentelemetry import metrics
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from chassis.failpoints import reach
from chassis.kafka import STAMP, row_of, topic_of
from chassis.log import Log, Row, recorded
from chassis.mapper import FactMapper, Recorded
from chassis.service import Loop
from chassis.transient import TRANSIENT

log_ = structlog.get_logger("hotline.view")
meter = metrics.get_meter("hotline")
folded_ = meter.create_gauge("hotline.view.position", description="last position of a log folded into the view")
parked_ = meter.create_counter("hotline.view.parked", description="facts parked since the process started")
BATCH, IDLE, PATIENCE = 1000, 0.02, 10_000  # rows, seconds, milliseconds
AT_END = 0.5  # seconds between two looks whether a log is folded to its end

Vector = Mapping[str, int]
"""An instant: log → position. A log that is not named stands before its first entry."""
Fold = Callable[[AsyncConnection[Any], Sequence[Recorded]], Awaitable[None]]
"""Writes what consecutive facts of one log mean into tables, inside the caller's transaction. Sealed fields are not opened."""


@dataclass(frozen=True)
class View:
    """`own`, the service's own log, is read from its table; the logs in `hears` are read from their topics.

    at_end is told about twice a second that a log was folded to its end, and the time at which that end was asked for.
    """

    pool: AsyncConnectionPool
    kafka: str
    own: Log
    hears: Sequence[str]
    fold: Fold
    at_end: Callable[[str, datetime], Awaitable[None]]

    def loops(self) -> dict[str, Loop]:
        """One loop a log."""
        return {f"view of {log}": _of(self._follow_topic, log) for log in self.hears} | {
            f"view of {self.own.name}": _of(self._follow_own, self.own.name)
        }

    async def _follow_topic(self, log: str, up: Callable[[], None]) -> None:
        """Until cancelled. The place to begin needs no memory of its own: positions are dense, so the first record of position p
        stands at offset p - 1 or later. Offsets are nevertheless only a way to skip: what counts is the position."""
        topic = TopicPartition(topic_of(log), 0)
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka, auto_offset_reset="earliest", request_timeout_ms=PATIENCE)
        await consumer.start()
        try:
            consumer.assign([topic])
            consumer.seek(topic, await self.begin(log))
            looked = 0.0
            while True:
                records = (await consumer.getmany(topic, timeout_ms=100, max_records=BATCH)).get(topic, [])
                await self.take_all(log, rows_in(records))
                if not records and time.monotonic() - looked > AT_END:
                    looked, asked_at = time.monotonic(), self.own.time.now()
                    end = (await consumer.end_offsets([topic]))[topic]  # raises if the broker is gone: getmany would keep silent
                    if await consumer.position(topic) >= end:
                        await self.at_end(log, asked_at)
                    up()
        finally:
            await consumer.stop()

    async def _follow_own(self, log: str, up: Callable[[], None]) -> None:
        place, looked = await self.begin(log), 0.0
        while True:
            asked_at = self.own.time.now()
            rows = await self.own.after(place, BATCH)
            await self.take_all(log, rows)
            place = rows[-1].position if rows else place
            up()
            if len(rows) < BATCH:
                if time.monotonic() - looked > AT_END:
                    looked = time.monotonic()
                    await self.at_end(log, asked_at)
                await self.own.grown(place)

    async def begin(self, log: str) -> int:
        """The last position folded; the first time a log is followed it gets its row."""
        async with self.pool.connection() as db:
            await db.execute("INSERT INTO heard VALUES (%s, 0, 0) ON CONFLICT DO NOTHING", (topic_of(log),))
        return (await positions(self.pool)).get(log, 0)

    # -- folding -------------------------------------------------------------------------------------------------------------

    async def take_all(self, log: str, rows: Sequence[Row]) -> None:
        """Fold the rows, waiting where a cause in another log has not been folded yet."""
        while rows:
            done = await self.take(log, rows)
            rows = rows[done:]
            if not done:
                await asyncio.sleep(IDLE)

    async def take(self, log: str, rows: Sequence[Row]) -> int:
        """How many of the rows, from the first, are done with: folded, parked, heard before, or behind a gap. Raises only what is
        transient."""
        try:
            return await self._apply(log, rows)
        except TRANSIENT:
            raise
        except Exception as problem:  # one fact cannot be digested, whatever the reason: find it by halves, then park it
            if len(rows) > 1:
                return await self.take(log, rows[: len(rows) // 2])
            log_.warning("a fact cannot be folded", source=log, position=rows[0].position, type=rows[0].type, exc_info=problem)
            return await self._apply(log, rows, unfit=type(problem).__name__)

    async def _apply(self, log: str, rows: Sequence[Row], unfit: str | None = None) -> int:
        async with self.pool.connection() as db, db.transaction():
            query = "SELECT position FROM heard WHERE topic = %s AND partition = 0 FOR UPDATE"
            cursor = await db.execute(query, (topic_of(log),))
            ((start,),) = await cursor.fetchall()  # locked: a rival folds after us, and finds these rows heard before
            folded = await positions_in(db)
            streams = await self._parked_streams(db, log, rows)
            events: list[Recorded] = []
            last, done = start, 0
            for row in rows:
                if row.position != last + 1:
                    _report_gap(log, last, row)
                    done += 1
                    continue
                event = unfit or _decoded(log, row, streams)
                if isinstance(event, Recorded):
                    if not _cause_folded(event, folded):
                        break
                    events.append(event)
                else:
                    streams.add(row.stream)
                    await self._park(db, log, row, event)
                last, done = row.position, done + 1
            if events:
                await self.fold(db, events)
            if last > start:
                await db.execute("UPDATE heard SET position = %s WHERE topic = %s AND partition = 0", (last, topic_of(log)))
                reach("view.before-commit")
        if last > start:
            reach("view.after-commit")
        folded_.set(last, {"source": log})
        return done

    @staticmethod
    async def _parked_streams(db: AsyncConnection[Any], log: str, rows: Sequence[Row]) -> set[Any]:
        query = "SELECT DISTINCT stream FROM parked WHERE topic = %s AND stream = ANY(%s)"
        cursor = await db.execute(query, (topic_of(log), [row.stream for row in rows]))
        return {stream for (stream,) in await cursor.fetchall()}

    @staticmethod
    async def _park(db: AsyncConnection[Any], log: str, row: Row, reason: str) -> None:
        log_.warning("parked", source=log, position=row.position, type=row.type, reason=reason)
        parked_.add(1, {"source": log})
        await db.execute(
            "INSERT INTO parked VALUES (%s, 0, %s, %s, %s, %s, %s)",
            (topic_of(log), row.position, row.stream, Jsonb(_headers(row)), row.state, reason),
        )


def rows_in(records: Sequence[ConsumerRecord[Any, Any]]) -> list[Row]:
    """The rows that these records tell; a record that is not from a relay of ours is passed over, and named in the log."""
    rows: list[Row] = []
    for record in records:
        headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
        if row := row_of(headers, record.value or b""):
            rows.append(row)
        else:
            log_.error("a record that is not from a relay was passed over", topic=record.topic, offset=record.offset)
    return rows


async def positions(pool: AsyncConnectionPool) -> dict[str, int]:
    """How far each log is folded: an instant that is causally closed, for it is read in one statement."""
    async with pool.connection() as db:
        return await positions_in(db)


async def wait_for(pool: AsyncConnectionPool, wanted: Vector, seconds: float = 2.0) -> bool:
    """Are these positions folded, now or within so many seconds?"""
    until = time.monotonic() + seconds
    while True:
        folded = await positions(pool)
        if all(folded.get(log, 0) >= position for log, position in wanted.items()):
            return True
        if time.monotonic() > until:
            return False
        await asyncio.sleep(IDLE)


async def positions_in(db: AsyncConnection[Any]) -> dict[str, int]:
    """The same, inside the caller's transaction."""
    cursor = await db.execute("SELECT topic, position FROM heard WHERE partition = 0")
    return {topic.split(".")[1]: position for topic, position in await cursor.fetchall()}


def _of(follow: Callable[[str, Callable[[], None]], Awaitable[None]], log: str) -> Loop:
    return lambda up: follow(log, up)


def _decoded(log: str, row: Row, parked: set[Any]) -> Recorded | str:
    """The fact, or why it has to be parked."""
    if row.stream in parked:
        return "an earlier event of this stream is parked"
    try:
        return recorded(log, row, FactMapper())
    except MapperDeserialisationError as problem:
        return str(problem)


def _cause_folded(event: Recorded, folded: Vector) -> bool:
    """Causes are recorded earlier than their effects, so waiting for them cannot come full circle."""
    log, _, position = event.meta.get("cause", "").partition(":")
    return log == event.log or log not in folded or not position.isdecimal() or folded[log] >= int(position)


def _report_gap(log: str, last: int, row: Row) -> None:
    if row.position > last + 1:  # the relay sends it again behind the missing one
        log_.error("a gap", source=log, waiting_for=last + 1, got=row.position)


def _headers(row: Row) -> dict[str, str]:
    """What `row_of` needs to make the row again from the parked bytes."""
    stamp = row.recorded_at.astimezone(UTC).strftime(STAMP)
    return {
        "ce_id": str(row.position),
        "ce_type": row.type,
        "ce_subject": str(row.stream),
        "ce_time": stamp,
        "version": str(row.version),
    }
