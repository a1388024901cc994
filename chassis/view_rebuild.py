"""A view rebuilt beside the live one, and swapped: from the topics' first records into a build of its own, in a process of its own.

It folds only what the live build has folded, so that both come to stand at the same instant. There they are compared, and the one
row that says which is live is changed in the same transaction. Until then every batch is committed: killed, it goes on.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aiokafka import TopicPartition
from psycopg import AsyncConnection, errors, sql

from chassis.failpoints import reach
from chassis.kafka import topic_of
from chassis.transient import TRANSIENT, pauses
from chassis.view import BATCH, Vector, View, positions, positions_in
from chassis.view_builds import LOCKS, POINTER, BuildGoneError
from chassis.view_proof import Difference, Digest, differences, strayed
from chassis.view_rows import Told, rows_in, tell

ONE_REBUILDER = -1  # beside the numbers of builds
NEAR = 500  # facts behind the live build: then it is worth holding that one still
AHEAD = 2  # batches read and parsed while one is folded


class RebuildRunsError(Exception):
    """Somebody else is rebuilding this view."""


class BuildsDifferError(Exception):
    """The new build is not the live one. stray: positions at which they do not even hold the same bytes."""

    def __init__(self, found: Sequence[Difference], stray: int) -> None:
        super().__init__("the builds differ")
        self.found, self.stray = found, stray


@dataclass(frozen=True)
class Tables:
    """What is compared: `once`, rows that name log and position and are written once, every folded one in the first of these
    tables; `whole`, the others."""

    once: Sequence[str]
    whole: Sequence[str]


@dataclass
class Filler:
    """Brings one log of a build up to where it is asked to be, and no further."""

    view: View
    log: str
    position: int = 0
    _read: asyncio.Queue[list[Told]] = field(default_factory=lambda: asyncio.Queue(AHEAD))
    _rest: list[Told] = field(default_factory=list)

    async def to(self, target: int) -> None:
        """Fold up to and with this position."""
        while self.position < target:
            told = self._rest or await self._read.get()
            upto = next((n for n, each in enumerate(told) if each.row.position > target), len(told))
            self._rest = told[max(upto, 1) :]  # one that is too far although something nearer is missing comes again behind that
            if upto:
                await self.view.fold_all(self.log, told[:upto])
                self.position = await self.view.begin(self.log)

    async def read(self) -> None:
        """Until cancelled: the next batches, parsed. What was read before an outage may come again: it is heard before."""
        for pause in pauses(longest=5):
            with contextlib.suppress(*TRANSIENT):
                await (self._read_own() if self.log == self.view.own.name else self._read_topic())
            await asyncio.sleep(pause)

    async def _read_topic(self) -> None:
        topic = TopicPartition(topic_of(self.log), 0)
        async with self.view.topic(self.log) as consumer:
            while True:
                records = (await consumer.getmany(topic, timeout_ms=500, max_records=BATCH)).get(topic, [])
                if told := tell(self.log, rows_in(records)):
                    await self._read.put(told)

    async def _read_own(self) -> None:
        place = self.position
        while True:
            rows = await self.view.own.after(place, BATCH)
            if rows:
                await self._read.put(tell(self.log, rows))
                place = rows[-1].position
            else:
                await self.view.own.grown(place)


Progress = Callable[[int, Mapping[str, int], Vector], None]
"""Is told the number of the build, how far each log of it is, and how far it has to come."""


@dataclass
class Rebuild:
    """source: the live view. recall: as in `View`. quote: an instant as text. accept: why a different fold is wanted."""

    source: View
    tables: Tables
    recall: Callable[[AsyncConnection[Any], str], Any]
    quote: Callable[[Vector], str]
    progress: Progress
    accept: str | None = None

    async def run(self) -> tuple[int, str]:
        """Fill, compare, swap: the build that is live now, and its digest. Goes on where an earlier run was killed.

        Raises RebuildRunsError, BuildGoneError if it was cancelled, BuildsDifferError; the live build is untouched then.
        """
        pool = self.source.pool
        async with pool.connection() as held:
            ((mine,),) = await _rows(held, "SELECT pg_try_advisory_lock(%s, %s)", LOCKS, ONE_REBUILDER)
            if not mine:
                raise RebuildRunsError
            try:
                build = await begun(held)
                view = replace(self.source, build=build, recall=self.recall, _memories={}, _moved=asyncio.Condition())
                async with _reading(view) as fillers:
                    await self._fill(view, build, fillers)
                    return build, await self._swap(build, fillers)
            finally:
                await held.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCKS, ONE_REBUILDER))

    async def _fill(self, view: View, build: int, fillers: Sequence[Filler]) -> None:
        indexed = False
        while True:
            at = await positions(view.pool)
            await self._discarded(view, build)
            await self._all_to(build, fillers, at)
            if not indexed:  # a full table is indexed faster than a growing one
                async with view.pool.connection() as db:
                    await db.execute("SET statement_timeout = 0")
                    await db.execute("SELECT index_build(%s)", (build,))
                    await db.execute("RESET statement_timeout")
                indexed = True
                continue
            now = await positions(view.pool)
            if sum(now.values()) - sum(at.values()) < NEAR:
                return

    async def _all_to(self, build: int, fillers: Sequence[Filler], at: Vector) -> None:
        async def tell_often() -> None:
            while True:
                self.progress(build, {filler.log: filler.position for filler in fillers}, at)
                await asyncio.sleep(1)

        telling = asyncio.create_task(tell_often())
        folding = [asyncio.create_task(filler.to(at.get(filler.log, 0))) for filler in fillers]
        try:
            await asyncio.gather(*folding)
        finally:
            for task in (telling, *folding):
                task.cancel()
        self.progress(build, {filler.log: filler.position for filler in fillers}, at)

    async def _discarded(self, view: View, build: int) -> None:
        """What a person gave up in the live build is given up in this one, unless its code has digested it."""
        async with view.pool.connection() as db:
            ((live,),) = await _rows(db, "SELECT build FROM live")
            sides = {"live": sql.Identifier(f"build_{live}"), "new": sql.Identifier(f"build_{build}")}
            ahead = sql.SQL(
                "INSERT INTO {new}.parked SELECT p.* FROM {live}.parked p JOIN {new}.heard h USING (topic)"
                " WHERE p.discarded_at IS NOT NULL AND p.position > h.position ON CONFLICT DO NOTHING"
            )
            await db.execute(ahead.format(**sides))
            behind = sql.SQL(
                "SELECT split_part(topic, '.', 2), position FROM {live}.parked p JOIN {new}.parked n"
                " USING (topic, partition, position) WHERE p.discarded_at IS NOT NULL AND n.discarded_at IS NULL"
            )
            given_up = await _rows(db, behind.format(**sides))
        for log, position in given_up:
            await view.drop(log, position)

    # -- the swap ------------------------------------------------------------------------------------------------------------

    async def _swap(self, build: int, fillers: Sequence[Filler]) -> str:
        async with self.source.pool.connection() as db:
            ((live,),) = await _rows(db, "SELECT build FROM live")
        old, new = (Digest(of, self.tables.once, self.tables.whole) for of in (live, build))
        for pause in pauses(longest=2):
            try:
                return await self._swapped(old, new, fillers)
            except errors.LockNotAvailable:  # somebody folds a long batch: let them, and ask again
                await asyncio.sleep(pause)
        raise AssertionError

    async def _swapped(self, old: Digest, new: Digest, fillers: Sequence[Filler]) -> str:
        """One transaction that holds both builds still. Reads do not wait for it; the live worker does."""
        async with self.source.pool.connection() as db:
            await db.execute("SET statement_timeout = 0")
            filled = {filler.log: filler.position for filler in fillers}
            await asyncio.gather(*(self._prepared(digest, filled) for digest in (new, old)))
            await self._all_to(new.build, fillers, await positions(self.source.pool))
            async with db.transaction():
                await db.execute("SET LOCAL lock_timeout = '2s'")
                await db.execute("SET LOCAL synchronous_commit = on")
                await db.execute("SET LOCAL idle_in_transaction_session_timeout = '5min'")
                await db.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCKS, POINTER))
                reach("swap.before")
                at = await self._level(db, old, new, fillers)
                digest = await self._compared(db, old, new, at)
                await self._point(db, old, new, at, digest)
                reach("swap.before-commit")
            reach("swap.after-commit")
            await db.execute("RESET statement_timeout")
            return digest

    async def _prepared(self, digest: Digest, at: Vector) -> None:
        """On a connection of its own: of the two builds the server digests one on each core."""
        async with self.source.pool.connection() as db:
            await db.execute("SET statement_timeout = 0")
            await digest.prepare(db, at)
            await db.execute("RESET statement_timeout")

    async def _level(self, db: AsyncConnection[Any], old: Digest, new: Digest, fillers: Sequence[Filler]) -> Vector:
        """Bring the new build to where the live one stands, now that it stands; hold the new one as well."""
        if not await _rows(db, "SELECT FROM build, live WHERE number = %s AND build = %s", new.build, old.build):
            raise BuildGoneError(f"build {new.build} was given up, or another one swapped in")
        path = "SELECT set_config('search_path', %s, true)"
        await db.execute(path, (f"build_{old.build}, public",))
        at = await positions_in(db)
        await self._all_to(new.build, fillers, at)
        await db.execute(path, (f"build_{new.build}, public",))
        await db.execute("SELECT FROM heard FOR UPDATE")
        if await positions_in(db) != at:
            raise BuildGoneError(f"somebody else folds into build {new.build}")
        return at

    async def _compared(self, db: AsyncConnection[Any], old: Digest, new: Digest, at: Vector) -> str:
        digest = await new.finish(db, at)
        if digest != await old.finish(db, at):
            found, stray = await differences(db, old, new), await strayed(db, old, new, self.tables.once[0])
            if stray or self.accept is None:
                raise BuildsDifferError(found, stray)
        return digest

    async def _point(self, db: AsyncConnection[Any], old: Digest, new: Digest, at: Vector, digest: str) -> None:
        """The swap. What was known of the ends of the logs is as true of the new build, which stands at the same instant."""
        reached = sql.SQL(
            "INSERT INTO reached AS r SELECT * FROM {}.reached ON CONFLICT (log) DO UPDATE SET at = greatest(r.at, excluded.at)"
        )
        await db.execute(reached.format(sql.Identifier(f"build_{old.build}")))
        await db.execute("UPDATE live SET build = %s", (new.build,))
        done = "UPDATE build SET swapped_at = clock_timestamp(), instant = %s, digest = %s, accepted = %s WHERE number = %s"
        await db.execute(done, (self.quote(at), digest, self.accept, new.build))


async def begun(db: AsyncConnection[Any]) -> int:
    """The build that is being filled; a new one if there is none. Builds that were live before are dropped then, but for the last
    minute's: somebody may still be reading it."""
    if rows := await _rows(db, "SELECT number FROM build WHERE swapped_at IS NULL"):
        return rows[0][0]
    old = "SELECT number FROM build WHERE number <> (SELECT build FROM live) AND to_regnamespace('build_' || number) IS NOT NULL"
    for (number,) in await _rows(db, old):
        with contextlib.suppress(errors.ObjectInUse):
            await db.execute("SELECT drop_build(%s)", (number,))
    return (await _rows(db, "SELECT begin_build()"))[0][0]


@contextlib.asynccontextmanager
async def _reading(view: View) -> AsyncIterator[list[Filler]]:
    """A filler a log, reading ahead from where the build stands. What fails in one of them is raised here."""
    fillers = [Filler(view, log, await view.begin(log)) for log in (*view.hears, view.own.name)]
    reading = [asyncio.create_task(filler.read()) for filler in fillers]
    try:
        yield fillers
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


async def _rows(db: AsyncConnection[Any], query: Any, *args: object) -> list[tuple[Any, ...]]:
    return await (await db.execute(query, args)).fetchall()
