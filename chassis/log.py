"""One service's log: append whole commands, load a stream, read on after a position. PostgreSQL decides.

Appends are group-committed, and so are the looks that precede them: whatever queued up during the last round trip goes out in the
next one; nothing else knows it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from itertools import groupby
from typing import Any, LiteralString, NamedTuple, cast
from uuid import UUID, uuid4

from eventsourcing.persistence import IntegrityError, Notification, StoredEvent
from psycopg import DataError, Error
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from chassis import sealing, wire
from chassis.batches import Asked, Batches
from chassis.failpoints import reach
from chassis.keys import KeyStore
from chassis.mapper import FactMapper, Meta, Recorded, clear_fact, people_in
from chassis.timing import Time
from chassis.transient import LogClosed, StoreGone
from chassis.wire import Value, Wire
from contracts.kernel import Fact

GONE = (Error, PoolTimeout, TooManyRequests, TimeoutError, OSError)
CLOSED = "H1C01"
"""The SQLSTATE with which `append()` refuses a log that was written on another server."""
LOOK_EVERY, PATIENCE = 0.01, 1.0  # seconds
LAST_VERSION = 2**31 - 1
LAST_POSITION = 2**62
_APPEND = "SELECT n, first, last, fingerprint, stamp FROM append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
_LOOK = """
SELECT a.n, k.first, k.last, k.fingerprint, e.originator_version, e.topic, e.state, e.position, e.recorded_at
FROM unnest($1::uuid[], $2::uuid[], $3::int[]) WITH ORDINALITY AS a(stream, command, known, n)
LEFT JOIN command k ON k.id = a.command
LEFT JOIN event e ON e.originator_id = a.stream AND e.originator_version >= a.known
ORDER BY a.n, e.originator_version"""


class Row(NamedTuple):
    """A stored event with its place in the log: what a relay tells and a follower reads."""

    stream: UUID
    version: int
    type: str
    state: bytes
    position: int
    recorded_at: datetime


class History(NamedTuple):
    """A folded stream; `correlation` is that of its first event, `position` that of its last."""

    state: Any
    version: int
    correlation: str
    position: int


NOTHING = History(None, 0, "", 0)


class Written(NamedTuple):
    """Where a command stands, and its rows; none for one that had been recorded before."""

    positions: range
    fingerprint: bytes
    rows: Sequence[Row] = ()


class Look(NamedTuple):
    """Of one instant: where a command stands, if it was recorded, and a stream's rows from a version on."""

    done: Written | None
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class _Command:
    id: UUID
    events: Sequence[StoredEvent]
    not_before: datetime | None
    fingerprint: bytes


class Log:
    """The log of the database behind `pool` (autocommit: the head is never held across a round trip)."""

    def __init__(self, name: str, pool: AsyncConnectionPool, keys: KeyStore | None = None, time: Time | None = None) -> None:
        self.name, self.keys, self.time = name, keys, time or Time()
        self._pool, self._writing, self._looking, self._watching = pool, Wire(pool), Wire(pool), Wire(pool)
        self._appends: Batches[_Command, Written] = Batches(name, self._write)
        self._looks: Batches[tuple[UUID, UUID, int], Look] = Batches(name, self._look)
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
        return await self._appends.ask(_Command(own, events, not_before, fingerprint), places | {own})

    async def close(self) -> None:
        """Finish what is queued."""
        for queue in (self._appends, self._looks):
            await queue.close()
        if self._watcher:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
        for connection in (self._writing, self._looking, self._watching):
            await connection.close()

    async def _write(self, batch: Sequence[Asked[_Command, Written]]) -> None:
        try:
            reach("append.before-commit")
            written = await self._call_append([asked.what for asked in batch])
            reach("append.after-commit")
        except DataError:
            if len(batch) == 1:
                raise ValueError("the database cannot hold these bytes") from None
            for asked in batch:  # one bad command must not fail its batch-mates
                await self._appends.serve([asked])
        except GONE as problem:
            if isinstance(problem, Error) and problem.sqlstate == CLOSED:
                raise LogClosed(f"{self.name}: restored or promoted, and not compared with its topic yet") from problem
            raise StoreGone(f"{self.name}: outcome unknown ({type(problem).__name__})") from problem
        else:
            for n, asked in enumerate(batch, 1):
                asked.settle(written.get(n) or IntegrityError("the stream has moved on"))

    async def _call_append(self, batch: Sequence[_Command]) -> dict[int, Written]:
        rows = [(n, event) for n, command in enumerate(batch, 1) for event in command.events]
        found = await self._writing.call(
            _APPEND,
            wire.uuids(command.id for command in batch),
            wire.byteas(command.fingerprint for command in batch),
            wire.int4s(len(command.events) for command in batch),
            wire.timestamp(max((command.not_before for command in batch if command.not_before), default=None)),
            wire.interval(self.time.shift()),
            wire.int4s(n for n, _ in rows),
            wire.uuids(_stream(event) for _, event in rows),
            wire.int4s(event.originator_version for _, event in rows),
            wire.texts(event.topic for _, event in rows),
            wire.byteas(event.state for _, event in rows),
        )
        answers: dict[int, Written] = {}
        for n, first, last, mark, stamp in found:
            positions = _positions(first, last)
            events, at = batch[wire.number(n) - 1].events, wire.moment(stamp) if stamp else None
            rows = [_row(event, position, at) for event, position in zip(events, positions, strict=True)] if at else []
            answers[wire.number(n)] = Written(positions, mark or b"", rows)
        return answers

    # -- reading -----------------------------------------------------------------------------------------------------------

    async def look(self, stream: UUID, command: UUID, version: int) -> Look:
        """Whether a command was recorded, and the rows of a stream from `version` on, both as of one instant."""
        return await self._looks.ask((stream, command, version))

    async def _look(self, batch: Sequence[Asked[tuple[UUID, UUID, int], Look]]) -> None:
        streams, commands, versions = zip(*(asked.what for asked in batch), strict=True)
        try:
            found = await self._looking.call(_LOOK, wire.uuids(streams), wire.uuids(commands), wire.int4s(versions))
        except GONE as problem:
            raise StoreGone(f"{self.name}: {type(problem).__name__}") from problem
        for n, rows in groupby(found, key=lambda row: wire.number(row[0])):
            asked = batch[n - 1]
            asked.settle(_looked(asked.what[0], list(rows)))

    async def load(self, stream: UUID, evolve: Callable[[Any, Any], Any], version: int = LAST_VERSION) -> History:
        """Fold a stream, up to `version`; sealed fields stay None: domains decide on clear ones."""
        return folded(NOTHING, [row for row in await self.rows_of(stream) if row.version <= version], evolve)

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

    async def head(self) -> int:
        """The last position; 0 for an empty log."""
        return int((await self.fetch("SELECT position FROM head"))[0][0])

    async def is_open(self) -> bool:
        """Was it written on this very server last? Else nothing is appended."""
        return bool((await self.fetch("SELECT incarnation = incarnation_here() FROM head"))[0][0])

    async def open_here(self) -> None:
        """It has been compared with its topic and with what was signed: it goes on on this server. For the worker."""
        await self.fetch("SELECT open_log()")

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
                ((position,),) = await self._watching.call("SELECT position FROM head")
                head = wire.number(position)
                for future, beyond in self._waiting.items():
                    if head > beyond and not future.done():
                        future.set_result(None)
                await asyncio.sleep(LOOK_EVERY)
        except GONE as problem:
            for future in self._waiting:
                if not future.done():
                    future.set_exception(StoreGone(f"{self.name}: {type(problem).__name__}"))
        finally:
            self._watcher = None

    async def fetch(self, query: LiteralString, *args: object) -> list[tuple[Any, ...]]:
        """Rows of one statement. Raises StoreGone if the database does not answer."""
        try:
            async with self._pool.connection() as db:
                return await (await db.execute(query, args)).fetchall()
        except GONE as problem:
            raise StoreGone(f"{self.name}: {type(problem).__name__}") from problem


def folded(past: History, rows: Sequence[Row], evolve: Callable[[Any, Any], Any]) -> History:
    """The history after these further rows of the stream; sealed fields stay None."""
    if not rows:
        return past
    read = [clear_fact(row.type, row.state) for row in rows]
    return told(past, [fact for fact, _ in read], read[0][1], rows[-1].position, evolve)


def told(past: History, facts: Sequence[Fact], meta: Meta, position: int, evolve: Callable[[Any, Any], Any]) -> History:
    """The history after these further facts, sealed fields None, of which the last stands at `position`."""
    state = reduce(lambda state, fact: evolve(fact, state), facts, past.state)
    return History(state, past.version + len(facts), past.correlation or meta.get("correlation", ""), position)


def recorded(log: str, row: Row, mapper: FactMapper) -> Recorded:
    """A row as a fact in its envelope, with its place."""
    event = mapper.to_domain_event(StoredEvent(row.stream, row.version, row.type, row.state))
    return Recorded(row.stream, row.version, event.fact, event.meta, log, row.position, row.recorded_at, row.state)


def _row(event: StoredEvent, position: int, at: datetime) -> Row:
    return Row(_stream(event), event.originator_version, event.topic, event.state, position, at)


def _stream(event: StoredEvent) -> UUID:
    return cast("UUID", event.originator_id)  # the library also knows streams named by text; ours never are


def _positions(first: Value, last: Value) -> range:
    return range(wire.number(first), wire.number(last) + 1)


def _looked(stream: UUID, found: Sequence[Sequence[Value]]) -> Look:
    _, first, last, fingerprint, *_ = found[0]
    rows = [
        Row(stream, wire.number(version), (topic or b"").decode(), state or b"", wire.number(position), wire.moment(at))
        for *_, version, topic, state, position, at in found
        if version is not None
    ]
    return Look(Written(_positions(first, last), fingerprint or b"") if first else None, rows)
