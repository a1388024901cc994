"""One service's log: append whole commands, load a stream, read on after a position. PostgreSQL decides.

The append is group-committed: whatever queued up during the last round trip goes out in the next one; nothing else knows it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any, LiteralString, NamedTuple
from uuid import UUID, uuid4

from eventsourcing.persistence import IntegrityError, Notification, StoredEvent
from psycopg import DataError, Error
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from chassis import sealing
from chassis.failpoints import reach
from chassis.keys import KeyStore
from chassis.mapper import FactMapper, Meta, Recorded, people_in
from chassis.timing import Time
from chassis.transient import StoreGone
from contracts.kernel import Fact

GONE = (Error, PoolTimeout, TooManyRequests)
LOOK_EVERY, PATIENCE = 0.01, 1.0  # seconds
LAST_VERSION = 2**31 - 1
LAST_POSITION = 2**62


class Row(NamedTuple):
    """A stored event with its place in the log: what a relay tells and a follower reads."""

    stream: UUID
    version: int
    type: str
    state: bytes
    position: int
    recorded_at: datetime


class History(NamedTuple):
    """A folded stream; `correlation` is that of its first event."""

    state: Any
    version: int
    correlation: str


class Written(NamedTuple):
    """Where a command stands that was recorded before."""

    positions: range
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class _Command:
    id: UUID
    events: Sequence[StoredEvent]
    not_before: datetime | None
    fingerprint: bytes
    keys: frozenset[Any]
    written: asyncio.Future[Written]


class Log:
    """The log of the database behind `pool` (autocommit: the head is never held across a round trip)."""

    def __init__(self, name: str, pool: AsyncConnectionPool, keys: KeyStore | None = None, time: Time | None = None) -> None:
        self.name, self.keys, self.time = name, keys, time or Time()
        self._pool, self._batch = pool, 512
        self._queue: list[_Command] = []
        self._writer: asyncio.Task[None] | None = None
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._watcher: asyncio.Task[None] | None = None

    # -- writing -----------------------------------------------------------------------------------------------------------

    async def record(  # noqa: PLR0917 - an append has these parts
        self,
        stream: UUID,
        version: int,
        facts: Iterable[Fact],
        command: UUID,
        meta: Meta,
        not_before: datetime | None = None,
        fingerprint: bytes = b"",
    ) -> Written:
        """Append what a command decided, as one unit after `version`. The same command again answers the same positions.

        Raises IntegrityError if the stream moved on, StoreGone if the outcome is unknown, Refused `person-forgotten`.
        """
        new = [Recorded(stream, n, fact, meta) for n, fact in enumerate(facts, version + 1)]
        persons = set().union(*(sealing.people(event.fact) for event in new))
        keys = await self.keys.create(persons) if self.keys and persons else {}  # durable before the first event that uses it
        mapper = FactMapper(keys.get)
        return await self.append([mapper.to_stored_event(event) for event in new], command, not_before, fingerprint)

    async def append(
        self,
        events: Sequence[StoredEvent],
        command: UUID | None = None,
        not_before: datetime | None = None,
        fingerprint: bytes = b"",
    ) -> Written:
        """Append stored events as one command; see `record`."""
        places = frozenset((event.originator_id, event.originator_version) for event in events)
        if len(places) < len(events):
            raise IntegrityError("one command writes a version twice")
        own = command or uuid4()
        future: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        self._queue.append(_Command(own, events, not_before, fingerprint, places | {own}, future))
        if self._writer is None:
            self._writer = asyncio.create_task(self._drain())
        return await asyncio.shield(future)

    async def close(self) -> None:
        """Finish what is queued."""
        if self._writer:
            await asyncio.wait([self._writer])
        if self._watcher:
            self._watcher.cancel()

    async def _drain(self) -> None:
        try:
            while self._queue:
                batch: list[_Command] = []
                rest: list[_Command] = []
                taken: set[Any] = set()
                for command in self._queue:  # rivals for a version, and twins of a command, wait for the next round
                    fits = len(batch) < self._batch and taken.isdisjoint(command.keys)
                    (batch if fits else rest).append(command)
                    taken |= command.keys if fits else set()
                self._queue = rest
                await self._write(batch)
        finally:
            self._writer = None

    async def _write(self, batch: Sequence[_Command]) -> None:
        try:
            reach("append.before-commit")
            written = await self._call_append(batch)
            reach("append.after-commit")
        except DataError:
            if len(batch) == 1:
                _fail(batch, ValueError("the database cannot hold these bytes"))
                return
            for command in batch:  # one bad command must not fail its batch-mates
                await self._write([command])
        except GONE as problem:
            _fail(batch, StoreGone(f"{self.name}: outcome unknown ({type(problem).__name__})"))
        except BaseException:
            _fail(batch, StoreGone(f"{self.name}: the writer was stopped"))
            raise
        else:
            _settle(batch, written)

    async def _call_append(self, batch: Sequence[_Command]) -> dict[int, Written]:
        rows = [(n, event) for n, command in enumerate(batch, 1) for event in command.events]
        arguments = (
            [command.id for command in batch],
            [command.fingerprint for command in batch],
            max((command.not_before for command in batch if command.not_before), default=None),
            self.time.shift(),
            [n for n, _ in rows],
            [event.originator_id for _, event in rows],
            [event.originator_version for _, event in rows],
            [event.topic for _, event in rows],
            [event.state for _, event in rows],
        )
        async with self._pool.connection() as db:
            cursor = await db.execute(
                "SELECT * FROM append(%b::uuid[], %b::bytea[], %s::timestamptz, %s::interval,"
                " %b::int[], %b::uuid[], %b::int[], %t::text[], %b::bytea[])",
                arguments,
            )
            return {n: Written(range(first, last + 1), mark) for n, first, last, mark in await cursor.fetchall()}

    # -- reading -----------------------------------------------------------------------------------------------------------

    async def load(self, stream: UUID, evolve: Callable[[Any, Any], Any], version: int = LAST_VERSION) -> History:
        """Fold a stream, up to `version`; sealed fields stay None: domains decide on clear ones."""
        mapper = FactMapper()
        past = [mapper.to_domain_event(event) for event in await self.events(stream, lte=version)]
        state = reduce(lambda state, event: evolve(event.fact, state), past, None)
        return History(state, past[-1].version if past else 0, past[0].meta.get("correlation", "") if past else "")

    async def open(self, rows: Sequence[Row]) -> list[Recorded]:
        """Facts with their sealed fields, as far as keys exist. Raises StoreGone if the key store does not answer."""
        persons = {person for row in rows for person in people_in(row.state)}
        keys = await self.keys.get(persons) if self.keys and persons else {}
        return [recorded(self.name, row, FactMapper(keys.get)) for row in rows]

    async def events(
        self, stream: UUID, gt: int = -1, lte: int = LAST_VERSION, desc: bool = False, limit: int | None = None
    ) -> list[StoredEvent]:
        """Stored events of a stream between two versions."""
        query: LiteralString = (
            "SELECT originator_id, originator_version, topic, state FROM event WHERE originator_id = %s"
            " AND originator_version > %s AND originator_version <= %s ORDER BY originator_version"
        )
        query += " DESC LIMIT %s" if desc else " LIMIT %s"
        return [StoredEvent(*row) for row in await self.fetch(query, stream, gt, lte, limit)]

    async def rows_of(self, stream: UUID, gt: int = 0) -> list[Row]:
        """A stream's rows with position and stamp."""
        query: LiteralString = (
            "SELECT originator_id, originator_version, topic, state, position, recorded_at FROM event"
            " WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version"
        )
        return [Row(*row) for row in await self.fetch(query, stream, gt)]

    async def after(self, position: int, limit: int, stop: int = LAST_POSITION) -> list[Row]:
        """The next rows of the whole log, in order."""
        query: LiteralString = (
            "SELECT originator_id, originator_version, topic, state, position, recorded_at FROM event"
            " WHERE position > %s AND position <= %s ORDER BY position LIMIT %s"
        )
        return [Row(*row) for row in await self.fetch(query, position, stop, limit)]

    async def notifications(self, position: int, limit: int | None, stop: int, topics: Sequence[str]) -> list[Notification]:
        """The same for the library's readers, optionally of some topics only."""
        query: LiteralString = (
            "SELECT originator_id, originator_version, topic, state, position FROM event WHERE position > %s AND position <= %s"
            " AND (%s::text[] = '{}' OR topic = ANY (%s::text[])) ORDER BY position LIMIT %s"
        )
        return [Notification(*row) for row in await self.fetch(query, position, stop, list(topics), list(topics), limit)]

    async def written(self, command: UUID) -> Written | None:
        """Where a command was recorded, if it was."""
        rows = await self.fetch("SELECT first, last, fingerprint FROM command WHERE id = %s", command)
        return Written(range(rows[0][0], rows[0][1] + 1), rows[0][2]) if rows else None

    async def head(self) -> int:
        """The last position; 0 for an empty log."""
        return int((await self.fetch("SELECT position FROM head"))[0][0])

    async def grown(self, beyond: int) -> None:
        """Returns once the log reaches beyond this position, or after a second: what followers wait for when they are at its end.

        However many wait, the head is asked for once every 10 ms.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = beyond
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await future
        finally:
            self._waiting.pop(future, None)

    async def _watch(self) -> None:
        try:
            while self._waiting:
                head = await self.head()
                for future, beyond in self._waiting.items():
                    if head > beyond and not future.done():
                        future.set_result(None)
                await asyncio.sleep(LOOK_EVERY)
        except StoreGone as problem:
            for future in self._waiting:
                if not future.done():
                    future.set_exception(problem)
        finally:
            self._watcher = None

    async def fetch(self, query: LiteralString, *args: object) -> list[tuple[Any, ...]]:
        """Rows of one statement. Raises StoreGone if the database does not answer."""
        try:
            async with self._pool.connection() as db:
                return await (await db.execute(query, args)).fetchall()
        except GONE as problem:
            raise StoreGone(f"{self.name}: {type(problem).__name__}") from problem


def recorded(log: str, row: Row, mapper: FactMapper) -> Recorded:
    """A row as a fact in its envelope, with its place."""
    event = mapper.to_domain_event(StoredEvent(row.stream, row.version, row.type, row.state))
    return Recorded(row.stream, row.version, event.fact, event.meta, log, row.position, row.recorded_at, row.state)


def _settle(batch: Sequence[_Command], written: dict[int, Written]) -> None:
    for n, command in enumerate(batch, 1):
        if command.written.done():
            continue  # its caller went away
        if n in written:
            command.written.set_result(written[n])
        else:
            command.written.set_exception(IntegrityError("the stream has moved on"))


def _fail(batch: Sequence[_Command], problem: Exception) -> None:
    for command in batch:
        if not command.written.done():
            command.written.set_exception(problem)
