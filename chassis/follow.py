"""A loop of the worker that follows its own log and folds facts into tables of the same database, both in one transaction."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from chassis.failpoints import reach
from chassis.log import Log, recorded
from chassis.mapper import FactMapper, Recorded
from contracts.kernel import Fact

Handler = Callable[[AsyncConnection[Any], Recorded], Awaitable[None]]
"""Writes what a fact means into tables, inside the caller's transaction."""

Handlers = Mapping[type[Fact], Handler]
BATCH = 500


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
        """Fold the next batch; answers how many rows there were."""
        by_topic = {kind.TOPIC: handler for kind, handler in self.handlers.items()}
        mapper = FactMapper()
        async with self.pool.connection() as db, db.transaction():
            await db.execute("INSERT INTO follower VALUES (%s, 0) ON CONFLICT DO NOTHING", (self.name,))
            cursor = await db.execute("SELECT position FROM follower WHERE name = %s FOR UPDATE", (self.name,))
            ((position,),) = await cursor.fetchall()
            rows = await self.log.after(position, BATCH)
            for row in rows:
                if handler := by_topic.get(row.type):
                    await handler(db, recorded(self.log.name, row, mapper))
            if rows:
                await db.execute("UPDATE follower SET position = %s WHERE name = %s", (rows[-1].position, self.name))
                reach("follower.before-commit")
        if rows:
            reach("follower.after-commit")
        self.position = rows[-1].position if rows else position
        return len(rows)

    async def run(self, up: Callable[[], None]) -> None:
        """Until cancelled."""
        while True:
            found = await self.step()
            up()
            if found < BATCH:
                await self.log.grown(self.position)
