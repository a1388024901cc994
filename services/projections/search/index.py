"""What can be searched for, in the memory of one process: names of children, and numbers of those who told us.

No table holds them in plain text, so they are opened here, from the bytes that were heard, and follow what is heard. Whoever is
restricted or forgotten is not in here.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import Context
from typing import LiteralString, NamedTuple
from uuid import UUID

import structlog
from opentelemetry import metrics
from psycopg_pool import AsyncConnectionPool

from chassis.kafka import topic_of
from chassis.keys import KeyStore
from chassis.log import Row
from chassis.mapper import FactMapper, clear_fact, people_in
from chassis.view_builds import reading
from contracts.intake import ContactReceived, PersonForgotten, PersonRestricted, ReportReceived, RestrictionLifted
from contracts.kernel import Fact
from services.projections.search.folding import Words
from services.projections.search.names import Found, Names, Numbers
from services.projections.views.history import Heard, Reader, opened
from services.projections.views.instants import PATIENCE, not_caught_up, now

log_ = structlog.get_logger("hotline.search")
held_ = metrics.get_meter("hotline").create_gauge("hotline.search.persons", description="children whose name can be searched for")
LOG = "intake"
AT_ONCE = 500  # rows
AGAIN = 5.0  # seconds between two looks at what was heard, while nobody searches
SAYS = frozenset(kind.TOPIC for kind in (PersonRestricted, RestrictionLifted, PersonForgotten))
TELLS = [ReportReceived.TOPIC, *SAYS]
_ROW: LiteralString = "h.stream, h.version, h.type, h.state, h.position, h.recorded_at"
_HEARD: LiteralString = "SELECT l.build, h.revised, h.position FROM live l JOIN heard h ON h.topic = %s AND h.partition = 0"
_NEXT: LiteralString = (
    f"SELECT {_ROW} FROM history h WHERE h.log = %s AND h.type = ANY(%s) AND h.position > %s AND h.position <= %s"  # noqa: S608
    " ORDER BY h.position LIMIT %s"
)
_CONTACTS: LiteralString = (
    f"SELECT {_ROW} FROM belongs b JOIN history h ON h.stream = b.stream AND h.log = %s AND h.version = 1"  # noqa: S608
    " WHERE b.kind = 'contact' AND b.to_stream = ANY(%s)"
)
_NAMING: LiteralString = (
    f"SELECT {_ROW} FROM belongs b JOIN history h ON h.log = b.log AND h.position = b.position"  # noqa: S608
    " WHERE b.to_stream = ANY(%s) AND (b.kind IN ('record:child', 'record:informant') OR b.kind = 'contact:caller'"
    " AND EXISTS (SELECT FROM belongs c WHERE c.stream = b.stream AND c.kind = 'contact'))"
)
"""Of a caller only those contacts that a record names: nine of ten are over in a minute, and nobody looks for them."""


class Said(NamedTuple):
    """A name or a number of a person, as a fact tells it; text is None where it was not opened."""

    person: UUID
    into: str
    text: str | None


class Index:
    """Names and numbers, to be found by words. `run` follows from the start of the process; a search waits for it."""

    def __init__(self, pool: AsyncConnectionPool, keys: KeyStore) -> None:
        self._pool, self._keys = pool, keys
        self._names, self._numbers = Names(), Numbers()
        self._place, self._at = (0, 0), 0  # build and revision; the last position of the log that is in here
        self._read = set[int]()  # positions of the reports that were opened
        self._hidden = set[UUID]()  # those of whom nothing is in here, for they are restricted today
        self._using = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def run(self, up: Callable[[], None]) -> None:
        """Follow until cancelled. What fails is tried again: without an index nobody searches, and everything else goes on."""
        try:
            while True:
                try:
                    await self._wait(self._working())
                    up()
                except Exception as problem:  # noqa: BLE001 - whatever it is, reads do not end with it; every search says 503
                    log_.warning("the search index is behind", error=type(problem).__name__, seconds=AGAIN)
                await asyncio.sleep(AGAIN)
        finally:
            if self._task:
                self._task.cancel()

    async def named(self, asked: Words) -> list[Found]:
        """Children whose name is like these words. Off the loop: a frequent name is judged some ten thousand times."""
        async with self._using:
            return await asyncio.to_thread(self._names.find, asked)

    async def numbered(self, asked: str) -> Sequence[UUID]:
        """Those who told us from this number."""
        async with self._using:
            return self._numbers.find(asked)

    # -- following -------------------------------------------------------------------------------------------------------------

    async def caught_up(self) -> None:
        """Returns once everything is in here that was heard when this was asked. Raises Problem 503 if that takes too long."""
        until = time.monotonic() + PATIENCE
        if self._task and not self._task.done():  # it began before this was asked
            await self._wait(self._task, until)
        await self._wait(self._working(), until)

    def _working(self) -> asyncio.Task[None]:
        if self._task is None or self._task.done():  # in a context of its own: this work for many belongs into nobody's trace
            self._task = asyncio.get_running_loop().create_task(self._catch_up(), context=Context())
        return self._task

    async def _wait(self, task: asyncio.Task[None], until: float | None = None) -> None:
        """The task goes on, whoever gives up waiting for it."""
        left = None if until is None else max(0.0, until - time.monotonic())
        done, _ = await asyncio.wait([task], timeout=left)
        if not done:
            raise not_caught_up({**await now(self._pool), LOG: self._at})
        task.result()

    async def _catch_up(self) -> None:
        async with reading(self._pool) as db:
            row = await (await db.execute(_HEARD, (topic_of(LOG),))).fetchone()
        build, revised, upto = row or (0, 0, 0)
        if (build, revised) != self._place:  # other tables, or older facts were folded late: look through all again
            self._place, self._at = (build, revised), 0
        while self._at < upto:
            rows = await self._rows(_NEXT, LOG, TELLS, self._at, upto, AT_ONCE)
            await self._take(rows)
            self._at = rows[-1].position if len(rows) == AT_ONCE else upto
        if self._hidden and (back := await self._seen(self._hidden)):
            await self._open(await self._rows(_NAMING, list(back)))
            self._hidden -= back
        held_.set(len(self._names))

    async def _take(self, rows: Sequence[Row]) -> None:
        reports = [row for row in rows if row.type == ReportReceived.TOPIC and row.position not in self._read]
        if reports:
            await self._open(reports + await self._rows(_CONTACTS, LOG, [row.stream for row in reports]))
            self._read.update(row.position for row in reports)
        async with self._using:
            for row in rows:
                if row.type != ReportReceived.TOPIC:
                    self._hide(row.stream, for_ever=row.type == PersonForgotten.TOPIC)

    def _hide(self, person: UUID, for_ever: bool) -> None:
        """Nothing of this person is in here any more; unless for ever, it is looked again whether they may be shown."""
        self._names.drop(person)
        self._numbers.drop(person)
        (self._hidden.discard if for_ever else self._hidden.add)(person)

    async def _open(self, rows: Sequence[Row]) -> None:
        """Put in what these facts say of those who may be shown today; nobody else's part is opened."""
        wanted = await asyncio.to_thread(_persons_in, rows)
        seen = await self._seen(wanted) if wanted else wanted
        self._hidden |= wanted - seen
        keys: Mapping[UUID, bytes] = await self._keys.get(seen) if seen else {}
        said = await asyncio.to_thread(_opened, rows, keys) if keys else []
        async with self._using:
            for person, into, text in said:
                (self._names if into == "name" else self._numbers).put(person, text or "")

    async def _seen(self, persons: set[UUID]) -> set[UUID]:
        return await Reader(self._pool, self._keys, {}).seen(persons)

    async def _rows(self, query: LiteralString, *args: object) -> list[Row]:
        async with reading(self._pool) as db:
            return [Row(*row) for row in await (await db.execute(query, args)).fetchall()]


def _persons_in(rows: Iterable[Row]) -> set[UUID]:
    """Whose name or number is sealed in these facts."""
    told = ((clear_fact(row.type, row.state)[0], people_in(row.state)) for row in rows)
    return {said.person for fact, people in told for said in _said(fact) if said.person in people}


def _opened(rows: Iterable[Row], keys: Mapping[UUID, bytes]) -> list[Said]:
    mapper = FactMapper(keys.get)
    return [said for row in rows for said in _said(opened(Heard(LOG, row), mapper).fact) if said.text]


def _said(fact: Fact) -> Iterator[Said]:
    match fact:
        case ReportReceived():
            yield from (Said(child.child_id, "name", child.name) for child in fact.children)
            if fact.informant:
                yield Said(fact.informant.person_id, "number", fact.informant.phone)
        case ContactReceived():
            yield Said(fact.caller_id, "number", fact.handle)
        case _:
            return
