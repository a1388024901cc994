"""Keeping time: a table of due clocks folded from the service's own log, and the timer that breaches what is due."""

import asyncio
from collections.abc import Callable
from types import ModuleType
from typing import Any

import structlog
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from chassis.commands import Call, Commands
from chassis.failpoints import reach
from chassis.follow import Handler
from chassis.mapper import Recorded
from contracts.clocks import BreachClock, Breached, Met, Recomputed, Started, Waived
from contracts.kernel import Fact, Refused

log_ = structlog.get_logger("hotline.clocks")
IDLE = 0.1  # seconds
DUE = "SELECT stream, clock, started, due_at FROM clock_due WHERE due_at <= %s ORDER BY due_at LIMIT 100"


def clock_handlers(contracts: ModuleType) -> dict[type[Fact], Handler]:
    """How the clock facts of one log move the table `clock_due`."""
    return {
        contracts.ClockStarted: _started,
        contracts.ClockRecomputed: _recomputed,
        contracts.ClockMet: _ended,
        contracts.ClockBreached: _ended,
        contracts.ClockWaived: _ended,
    }


async def _started(db: AsyncConnection[Any], event: Recorded) -> None:
    if isinstance(event.fact, Started):
        await db.execute(
            "INSERT INTO clock_due VALUES (%s, %s, %s, %s) ON CONFLICT (stream, clock)"
            " DO UPDATE SET started = excluded.started, due_at = excluded.due_at",
            (event.stream, event.fact.clock, event.version, event.fact.due_at),
        )


async def _recomputed(db: AsyncConnection[Any], event: Recorded) -> None:
    if isinstance(event.fact, Recomputed):
        await db.execute(
            "UPDATE clock_due SET due_at = %s WHERE stream = %s AND clock = %s",
            (event.fact.due_at, event.stream, event.fact.clock),
        )


async def _ended(db: AsyncConnection[Any], event: Recorded) -> None:
    if isinstance(event.fact, Met | Breached | Waived):
        await db.execute("DELETE FROM clock_due WHERE stream = %s AND clock = %s", (event.stream, event.fact.clock))


async def timer(pool: AsyncConnectionPool, commands: Commands, up: Callable[[], None]) -> None:
    """Breach each clock once its due time has passed, in order of due time. Two timers do no harm: the command id is the same."""
    while True:
        async with pool.connection() as db:
            due = await (await db.execute(DUE, (commands.log.time.now(),))).fetchall()
        up()
        for stream, clock, started, due_at in due:
            call = Call(cause=f"clock:{clock}@{started}", actor="policy:timer")
            reach("timer.before-breach")
            try:
                await commands.execute(stream, BreachClock(clock=clock, occurred_at=due_at), call)
            except Refused as why:  # nothing may refuse a passing of time; if it does, say so and go on with the others
                log_.warning("a due clock was refused", clock=clock, stream=str(stream), code=why.code)
            reach("timer.after-breach")
        await asyncio.sleep(IDLE)
