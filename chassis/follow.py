"""A loop of the worker that follows its own log and folds facts into tables of the same database, both in one transaction.

A fact that it cannot fold is put aside, and the later ones of its stream behind it: one damaged fact, or one told by newer code
that runs beside this, must not stop the clocks of everybody. Each start tries again, in order.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from eventsourcing.persistence import MapperDeserialisationError
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from chassis.failpoints import reach
from chassis.log import Log, Row, recorded
from chassis.mapper import FactMapper, Recorded
from chassis.transient import TRANSIENT
from contracts.kernel import Fact

Db = AsyncConnection[Any]
Handler = Callable[[Db, Recorded], Awaitable[None]]
"""Writes what a fact means into tables, inside the caller's transaction."""

Handlers = Mapping[type[Fact], Handler]
BATCH = 500
BEHIND = "an earlier fact of this stream is put aside"
log_ = structlog.get_logger("hotline.follow")


@dataclass
class Follower:
    """`handlers` by fact type; sealed fields are not opened here."""

    name: str
    log: Log
    pool: AsyncConnectionPool
    handlers: Handlers
    position: int = 0
    """How far this process knows it to be folded; what counts is the row in the database."""

    async def step(self) -> int:
        """Fold the next batch; answers how many rows there were. Raises what is transient, and
        what is wrong with the loop itself and no fact."""
        try:
            return await self._step(self._fold)
        except TRANSIENT:
            raise
        except Exception:  # noqa: BLE001 - one of them cannot be folded: once more, each with a way back
            return await self._step(self._fold_or_put_aside)

    async def _step(self, fold: Callable[[Db, Sequence[Row]], Awaitable[None]]) -> int:
        async with self.pool.connection() as db, db.transaction():
            position = await self._place(db)
            rows = await self.log.after(position, BATCH)
            await fold(db, rows)
            if rows:
                await db.execute("UPDATE follower SET position = %s WHERE name = %s", (rows[-1].position, self.name))
                reach("follower.before-commit")
        if rows:
            reach("follower.after-commit")
        self.position = rows[-1].position if rows else position
        return len(rows)

    async def again(self) -> int:
        """Fold what was put aside, each stream up to the first that still cannot be; answers how many are left."""
        query, left, stuck = "SELECT position FROM put_aside WHERE follower = %s ORDER BY position", 0, set[UUID]()
        async with self.pool.connection() as db, db.transaction():
            await self._place(db)
            for (position,) in await (await db.execute(query, (self.name,))).fetchall():
                (row,) = await self.log.after(position - 1, 1)
                reason = BEHIND if row.stream in stuck else await self._reason_not(db, row)
                if reason:
                    stuck.add(row.stream)
                    left += 1
                    change = "UPDATE put_aside SET reason = %s WHERE follower = %s AND position = %s"
                    await db.execute(change, (reason, self.name, position))
                else:
                    await db.execute("DELETE FROM put_aside WHERE follower = %s AND position = %s", (self.name, position))
        return left

    async def run(self, up: Callable[[], None]) -> None:
        """Until cancelled."""
        await self.again()
        while True:
            found = await self.step()
            up()
            if found < BATCH:
                await self.log.grown(self.position)

    async def _place(self, db: Db) -> int:
        """How far it is folded. Nobody else folds, or puts aside, before the transaction ends."""
        await db.execute("INSERT INTO follower VALUES (%s, 0) ON CONFLICT DO NOTHING", (self.name,))
        cursor = await db.execute("SELECT position FROM follower WHERE name = %s FOR UPDATE", (self.name,))
        ((position,),) = await cursor.fetchall()
        return int(position)

    async def _fold(self, db: Db, rows: Sequence[Row]) -> None:
        """Those that somebody handles. Raises what is wrong with the first that cannot be folded."""
        mapper, concern = FactMapper(), self._concerning(rows)
        if await self._put_aside(db, concern):
            raise MapperDeserialisationError(BEHIND)
        for row, handler in concern:
            await handler(db, recorded(self.log.name, row, mapper))

    async def _fold_or_put_aside(self, db: Db, rows: Sequence[Row]) -> None:
        concern = self._concerning(rows)
        aside = await self._put_aside(db, concern)
        for row, _ in concern:
            reason = BEHIND if row.stream in aside else await self._reason_not(db, row)
            if reason:
                log_.error("put aside", follower=self.name, position=row.position, type=row.type, reason=reason)
                aside.add(row.stream)
                add = "INSERT INTO put_aside (follower, position, stream, reason) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
                await db.execute(add, (self.name, row.position, row.stream, reason))

    async def _reason_not(self, db: Db, row: Row) -> str | None:
        """Fold one fact; why it cannot be, and then nothing is written."""
        ((_, handler),) = self._concerning([row]) or [(row, _of_nobody)]
        try:
            async with db.transaction():
                await handler(db, recorded(self.log.name, row, FactMapper()))
        except TRANSIENT:
            raise
        except MapperDeserialisationError as problem:
            return str(problem)
        except Exception as problem:  # noqa: BLE001 - whatever it is, it is put aside, with its reason
            return type(problem).__name__
        return None

    def _concerning(self, rows: Sequence[Row]) -> list[tuple[Row, Handler]]:
        by_topic = {kind.TOPIC: handler for kind, handler in self.handlers.items()}
        return [(row, by_topic[row.type]) for row in rows if row.type in by_topic]

    async def _put_aside(self, db: Db, concern: Sequence[tuple[Row, Handler]]) -> set[UUID]:
        """Of these facts the streams of which something is put aside."""
        if not concern:
            return set()
        query = "SELECT DISTINCT stream FROM put_aside WHERE follower = %s AND stream = ANY(%s)"
        rows = await (await db.execute(query, (self.name, list({row.stream for row, _ in concern})))).fetchall()
        return {stream for (stream,) in rows}


async def _of_nobody(_: Db, __: Recorded) -> None:
    """A type that this version of the code has no use for any more."""
