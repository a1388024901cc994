"""A view: the logs of several services folded into tables of one database. Rows and place move in one transaction, so a row is
never ahead of its place nor behind it, however the process ends, and any number of folders, zombies included, do no harm.

Act on exactly the next position, or do nothing; park what cannot be digested; never skip, never block. A fact whose cause is a
position of another log that this view also folds waits until that one is folded: every state shown is causally closed. A build that
nobody is shown yet need not wait: it is closed where it ends.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from opentelemetry import metrics
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from chassis.clients import Watch, consuming
from chassis.failpoints import reach
from chassis.kafka import row_of, topic_of
from chassis.log import Log, Row
from chassis.mapper import Recorded
from chassis.service import Loop
from chassis.transient import TRANSIENT
from chassis.view_builds import BuildGoneError, folding, reading
from chassis.view_rows import Told, park, rows_in, tell

log_ = structlog.get_logger("hotline.view")
meter = metrics.get_meter("hotline")
folded_ = meter.create_gauge("hotline.view.position", description="last position of a log folded into the view")
BATCH, IDLE, PATIENCE = 5000, 0.005, 10_000  # rows, seconds, milliseconds
FETCH = 8 << 20  # bytes of a topic at once: a batch of thousands
AT_END = 0.5  # seconds between two looks whether a log is folded to its end
REMEMBERED = 10_000  # streams a log

Vector = Mapping[str, int]
"""An instant: log → position. A log that is not named stands before its first entry."""


@dataclass
class Memory:
    """What a fold remembers of the streams of one log, as it answered it: then it need not read them again.

    whole: every stream is here, so one that is missing has no fact yet. late: later facts of this log are folded already.
    place: build, position and revision after which all of it is so; anywhere else it is forgotten.
    """

    streams: dict[UUID, Any] = field(default_factory=dict, repr=False)
    whole: bool = False
    late: bool = False
    place: tuple[int, int, int] = (0, 0, 0)

    def remember(self, more: Mapping[UUID, Any]) -> None:
        """The latest last; where not everything is kept, what was not touched for longest is forgotten."""
        for stream, state in more.items():
            self.streams.pop(stream, None)
            self.streams[stream] = state
        while not self.whole and len(self.streams) > REMEMBERED:
            del self.streams[next(iter(self.streams))]


Fold = Callable[[AsyncConnection[Any], Sequence[Recorded], Memory], Awaitable[Mapping[UUID, Any]]]
"""Writes what consecutive facts of one log mean into tables, inside the caller's transaction, and answers what to remember of the
streams that they touch once it is committed. It changes nothing of what it remembered. Sealed fields are not opened."""


class Again(NamedTuple):
    """How many parked facts of a stream were folded, how many are left, and why the first of those cannot be."""

    folded: int
    left: int
    reason: str | None


@dataclass(frozen=True)
class View:
    """`own`, the service's own log, is read from its table; the logs in `hears` are read from their topics.

    at_end is told about twice a second that a log was folded to its end, and the time at which that end was asked for.
    build: the one to fold into; None: whichever is live, also after a swap. recall: reads from the tables what `fold` would
    remember of all streams of a log; given, everything is remembered.
    """

    pool: AsyncConnectionPool
    kafka: str
    own: Log
    hears: Sequence[str]
    fold: Fold
    at_end: Callable[[str, datetime], Awaitable[None]]
    build: int | None = None
    recall: Callable[[AsyncConnection[Any], str], Awaitable[dict[UUID, Any]]] | None = None
    _memories: dict[str, Memory] = field(default_factory=dict, repr=False)
    _moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    def loops(self) -> dict[str, Loop]:
        """One loop a log."""
        return {f"view of {log}": _of(self._follow_topic, log) for log in self.hears} | {
            f"view of {self.own.name}": _of(self._follow_own, self.own.name)
        }

    async def _follow_topic(self, log: str, up: Callable[[], None]) -> None:
        """Until cancelled."""
        topic = TopicPartition(topic_of(log), 0)
        async with self.topic(log) as consumer:
            watch, looked = Watch(consumer, topic), 0.0
            while True:
                records = (await consumer.getmany(topic, timeout_ms=100, max_records=BATCH)).get(topic, [])
                await self.take_all(log, rows_in(records))
                if records:  # where work never ends, it is no less at work
                    up()
                elif time.monotonic() - looked > AT_END:
                    looked, asked_at = time.monotonic(), self.own.time.now()
                    if await watch.at_end():  # raises if the broker is gone: getmany would keep silent
                        await self.at_end(log, asked_at)
                    up()

    @contextlib.asynccontextmanager
    async def topic(self, log: str) -> AsyncIterator[AIOKafkaConsumer]:
        """A reader of a log's topic, at the place to go on. That needs no memory of its own: positions are dense, so the first
        record of position p stands at offset p - 1 or later. Offsets are nevertheless only a way to skip: the position counts."""
        topic = TopicPartition(topic_of(log), 0)
        patient = {"auto_offset_reset": "earliest", "request_timeout_ms": PATIENCE, "max_partition_fetch_bytes": FETCH}
        async with consuming(self.kafka, **patient) as consumer:
            consumer.assign([topic])
            consumer.seek(topic, await self.begin(log))
            yield consumer

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
        async with folding(self.pool, self.build) as (db, _):
            await db.execute("INSERT INTO heard VALUES (%s, 0, 0) ON CONFLICT DO NOTHING", (topic_of(log),))
            return (await positions_in(db)).get(log, 0)

    # -- folding -------------------------------------------------------------------------------------------------------------

    async def take_all(self, log: str, rows: Sequence[Row]) -> None:
        """Fold the rows, waiting where a cause in another log has not been folded yet."""
        await self.fold_all(log, tell(log, rows))

    async def fold_all(self, log: str, told: Sequence[Told]) -> None:
        """The same for rows that are read already."""
        while told:
            done = await self._take(log, told)
            told = told[done:]
            if told and not done:
                await self._other_moves()

    async def take(self, log: str, rows: Sequence[Row]) -> int:
        """How many of the rows, from the first, are done with: folded, parked, heard before, or behind a gap. Raises only what is
        transient, and BuildGoneError."""
        return await self._take(log, tell(log, rows))

    async def _take(self, log: str, told: Sequence[Told]) -> int:
        try:
            return await self._apply(log, told)
        except (*TRANSIENT, BuildGoneError):
            raise
        except Exception as problem:  # one fact cannot be digested, whatever the reason: find it by halves, then park it
            if len(told) > 1:
                return await self._take(log, told[: len(told) // 2])
            row = told[0].row
            log_.warning("a fact cannot be folded", source=log, position=row.position, type=row.type, exc_info=problem)
            return await self._apply(log, [Told(row, type(problem).__name__)])

    async def _apply(self, log: str, told: Sequence[Told]) -> int:
        async with folding(self.pool, self.build) as (db, build):
            start, revised, folded, any_parked = await _place(db, log)
            memory = await self._memory(db, log, (build, start, revised))
            parked, discarded = await _parked(db, log, told) if any_parked else (set[UUID](), set[int]())
            run = _next(told, start, None if self.build else folded, parked, discarded)
            for row, reason in run.unfit:
                await park(db, log, row, reason)
            async with db.pipeline():  # the database works on one table while the rows of the next are made
                touched = await self.fold(db, run.events, memory) if run.events else {}
                if run.last > start:
                    await db.execute("UPDATE heard SET position = %s WHERE topic = %s AND partition = 0", (run.last, topic_of(log)))
            if run.last > start:
                reach("rebuild.before-commit" if self.build else "view.before-commit")
        if run.done and (behind := told[run.done - 1].row).position > run.last:  # the relay sends it again behind the missing one
            log_.error("a gap", source=log, waiting_for=run.last + 1, got=behind.position)
        memory.remember(touched)
        memory.place = (build, run.last, revised)
        if run.last > start:
            await self._committed(log, run.last)
        return run.done

    async def _committed(self, log: str, last: int) -> None:
        if not self.build:
            reach("view.after-commit")
            folded_.set(last, {"source": log})
        async with self._moved:
            self._moved.notify_all()

    async def _memory(self, db: AsyncConnection[Any], log: str, place: tuple[int, int, int]) -> Memory:
        """What is remembered of a log at this place; nothing if somebody else folded, or a transaction of ours failed."""
        memory = self._memories.setdefault(log, Memory(whole=self.recall is not None))
        if memory.place != place:
            memory.streams = await self.recall(db, log) if self.recall and place[1] else {}
            memory.place = place
        return memory

    async def _other_moves(self) -> None:
        """Wait until another log of this view moves, here or in another process."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDLE), self._moved:
                await self._moved.wait()

    # -- what is parked ------------------------------------------------------------------------------------------------------

    async def again(self, log: str, stream: UUID) -> Again:
        """Fold the parked facts of a stream in order, each with its removal from what is parked; stop at the first that still
        cannot be digested, and keep the new reason. They are older than what is folded of the log, but nothing later of their
        stream is."""
        async with folding(self.pool, self.build) as (db, _):
            return await self._again(db, log, stream)

    async def drop(self, log: str, position: int) -> Again | None:
        """A person decided that this parked fact will never be folded: its row stays, marked, and what concerns it stays
        incomplete; the later facts of its stream are folded. None if nothing of that position is parked."""
        query: LiteralString = (
            "UPDATE parked SET discarded_at = clock_timestamp()"
            " WHERE topic = %s AND partition = 0 AND position = %s AND discarded_at IS NULL RETURNING stream"
        )
        async with folding(self.pool, self.build) as (db, _):
            await _place(db, log)
            row = await (await db.execute(query, (topic_of(log), position))).fetchone()
            return await self._again(db, log, row[0]) if row else None

    async def _again(self, db: AsyncConnection[Any], log: str, stream: UUID) -> Again:
        _, _, folded, _ = await _place(db, log)
        query: LiteralString = (
            "SELECT headers, body FROM parked WHERE topic = %s AND stream = %s AND discarded_at IS NULL ORDER BY position"
        )
        rows = [row_of(headers, body) for headers, body in await (await db.execute(query, (topic_of(log), stream))).fetchall()]
        told, done, reason = tell(log, [row for row in rows if row]), 0, None
        for row, fact in told:
            reason = await self._late(db, fact, folded) if isinstance(fact, Recorded) else fact
            if reason is not None:
                await db.execute(_REASON, (reason, topic_of(log), row.position))
                break
            await db.execute(
                "DELETE FROM parked WHERE topic = %s AND partition = 0 AND position = %s", (topic_of(log), row.position)
            )
            done += 1
        if done:
            await db.execute("UPDATE heard SET revised = revised + 1 WHERE topic = %s AND partition = 0", (topic_of(log),))
        return Again(done, len(told) - done, reason)

    async def _late(self, db: AsyncConnection[Any], fact: Recorded, folded: Vector) -> str | None:
        """Fold one fact; why it cannot be."""
        if not _cause_folded(fact, folded):
            return "its cause is not folded yet"
        try:
            async with db.transaction():
                await self.fold(db, [fact], Memory(late=True))
        except TRANSIENT:
            raise
        except Exception as problem:  # noqa: BLE001 - whatever it is, it stays parked, with its reason
            return type(problem).__name__
        return None


class _Run(NamedTuple):
    """What of some rows is to be folded and what parked, up to `last`; `done` of them are done with."""

    events: list[Recorded]
    unfit: list[tuple[Row, str]]
    last: int
    done: int


def _next(told: Sequence[Told], start: int, folded: Vector | None, parked: set[UUID], discarded: set[int]) -> _Run:
    """folded: how far each log is; None where causes need not be waited for. parked grows by the streams that are parked now."""
    events: list[Recorded] = []
    unfit: list[tuple[Row, str]] = []
    last, done = start, 0
    for row, fact in told:
        if row.position != last + 1:
            done += 1
            continue
        if row.position in discarded:
            pass
        elif row.stream in parked or isinstance(fact, str):
            unfit.append((row, EARLIER if row.stream in parked else str(fact)))
            parked.add(row.stream)
        elif folded is None or _cause_folded(fact, folded):
            events.append(fact)
        else:
            break
        last, done = row.position, done + 1
    return _Run(events, unfit, last, done)


EARLIER = "an earlier event of this stream is parked"
_REASON: LiteralString = (
    "UPDATE parked SET reason = %s, parked_at = clock_timestamp() WHERE topic = %s AND partition = 0 AND position = %s"
)
_LOCK: LiteralString = "SELECT position, revised FROM heard WHERE topic = %s AND partition = 0 FOR UPDATE"
_PLACES: LiteralString = "SELECT topic, position, EXISTS (SELECT FROM parked p WHERE p.topic = %s) FROM heard WHERE partition = 0"


async def _place(db: AsyncConnection[Any], log: str) -> tuple[int, int, dict[str, int], bool]:
    """Position and revision of a log, locked: a rival folds after us, and finds these rows heard before. Then how far every log is
    folded, and whether anything of this one is parked."""
    async with db.pipeline():
        mine = await db.execute(_LOCK, (topic_of(log),))
        all_ = await db.execute(_PLACES, (topic_of(log),))
    ((start, revised),) = await mine.fetchall()
    rows = await all_.fetchall()
    return start, revised, {topic.split(".")[1]: position for topic, position, _ in rows}, any(parked for *_, parked in rows)


async def _parked(db: AsyncConnection[Any], log: str, told: Sequence[Told]) -> tuple[set[UUID], set[int]]:
    """Of these rows the streams of which something is parked, and the positions that were discarded."""
    query: LiteralString = "SELECT stream, position, discarded_at IS NOT NULL FROM parked WHERE topic = %s AND stream = ANY(%b)"
    rows = await (await db.execute(query, (topic_of(log), list({row.stream for row, _ in told})))).fetchall()
    return {stream for stream, _, discarded in rows if not discarded}, {at for _, at, discarded in rows if discarded}


async def positions(pool: AsyncConnectionPool) -> dict[str, int]:
    """How far each log is folded: an instant that is causally closed, for it is read in one statement."""
    async with reading(pool) as db:
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


def _cause_folded(event: Recorded, folded: Vector) -> bool:
    """Causes are recorded earlier than their effects, so waiting for them cannot come full circle."""
    log, _, position = event.meta.get("cause", "").partition(":")
    return log == event.log or log not in folded or not position.isdecimal() or folded[log] >= int(position)
