"""The deed of an approved erasure: the key is destroyed first, and the person is told to be forgotten afterwards."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, LiteralString

import structlog
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from chassis.commands import Call, Commands
from chassis.failpoints import reach
from chassis.follow import Handlers
from chassis.keys import KeyStore
from chassis.mapper import Recorded
from contracts.intake import ErasureApproved, PersonForgotten
from services.intake.domain.erasure import ForgetPerson

log_ = structlog.get_logger("hotline.erasing")
IDLE = 0.2  # seconds
DUE = "SELECT person, position, decision FROM erasure WHERE destroyed_at IS NULL ORDER BY position LIMIT 100"
DONE = "SELECT person, decision, destroyed_at FROM erasure WHERE destroyed_at IS NOT NULL"


async def _approved(db: AsyncConnection[Any], event: Recorded) -> None:
    if isinstance(event.fact, ErasureApproved):
        row = (event.stream, event.position, event.fact.decision)
        await db.execute("INSERT INTO erasure VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", row)


async def _forgotten(db: AsyncConnection[Any], event: Recorded) -> None:
    if isinstance(event.fact, PersonForgotten):
        await db.execute("UPDATE erasure SET destroyed_at = %s WHERE person = %s", (event.fact.destroyed_at, event.stream))


ERASURES: Handlers = {ErasureApproved: _approved, PersonForgotten: _forgotten}
"""How the facts of intake's log move the table `erasure`."""


@dataclass(frozen=True)
class Eraser:
    """A loop of intake's worker. A crash at any instruction repeats both steps, and neither does anything twice."""

    pool: AsyncConnectionPool
    keys: KeyStore
    commands: Commands

    async def run(self, up: Callable[[], None]) -> None:
        """Until cancelled; raises StoreGone while the key store does not answer or its table cannot be swept."""
        await self.again()
        while True:
            await self.step()
            up()
            await asyncio.sleep(IDLE)

    async def step(self) -> int:
        """Destroy the keys of everybody who is due, then tell that they are forgotten; answers how many."""
        due = await self._rows(DUE)
        gone = [(*row, await self.keys.destroy(row[0], row[2], self.commands.log.time.now())) for row in due]
        if gone:
            reach("erasure.after-destroy")
            await self.keys.sweep()
        for person, position, decision, destroyed in gone:
            command = ForgetPerson(decision=decision, destroyed_at=destroyed.since)
            await self.commands.execute(person, command, Call(cause=f"intake:{position}", actor="policy:erasing"))
            reach("erasure.after-command")
        return len(gone)

    async def again(self) -> None:
        """A key store restored from a backup knows keys of the forgotten: they die again before anything else is done."""
        back = [person for person, decision, at in await self._rows(DONE) if (await self.keys.destroy(person, decision, at)).lived]
        if back:
            log_.error("a restored key store knew keys of forgotten persons", persons=len(back))
            await self.keys.sweep()

    async def _rows(self, query: LiteralString) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as db:
            return await (await db.execute(query)).fetchall()
