"""Builds of the views: how they are rebuilt and compared, and that a swap is told once, after it happened."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Any, ClassVar, LiteralString
from uuid import uuid5

from psycopg_pool import AsyncConnectionPool

from chassis.commands import Call, Commands
from chassis.log import Log
from chassis.service import Loop
from chassis.view import View
from chassis.view_rebuild import Progress, Rebuild, Tables
from contracts.kernel import NS, Command
from contracts.projections import ViewSwapped
from contracts.shapes import Line, told
from services.projections.reads import ReadBefore, decide
from services.projections.views.instants import note_end, text
from services.projections.views.work import fold, recall

HEARS = ("intake", "cases", "referrals", "notifications")
TABLES = Tables(once=("history", "belongs"), whole=("work", "clock", "parked"))
NAME = "files-and-boards"
STREAM = uuid5(NS, f"view:{NAME}")
LOOK_EVERY = 1.0  # seconds


class RecordSwap(Command):
    """A build was compared and is read since then; the loop tells it."""

    creates: ClassVar[bool] = True
    view: Line
    build: int
    digest: Line
    instant: Line


@decide.register
def record_swap(command: RecordSwap, _: ReadBefore | None) -> Iterator[ViewSwapped]:
    yield ViewSwapped(**told(command))


def view_of(pool: AsyncConnectionPool, kafka: str, own: Log) -> View:
    """The view of this service, over whichever build is live."""

    def at_end(log: str, at: datetime) -> Awaitable[None]:
        return note_end(pool, log, at)

    return View(pool, kafka, own, HEARS, fold, at_end)


def rebuild_of(view: View, progress: Progress, accept: str | None = None) -> Rebuild:
    """How this view is rebuilt beside the live build."""
    return Rebuild(view, TABLES, recall, text, progress, accept)


def told_of_swaps(pool: AsyncConnectionPool, commands: Commands) -> Loop:
    """Tells what was swapped and not told yet, whoever died in between: the command's id comes from the build."""
    untold: LiteralString = (
        "SELECT number, digest, instant FROM build WHERE swapped_at IS NOT NULL AND told_at IS NULL ORDER BY number"
    )

    async def run(up: Callable[[], None]) -> None:
        while True:
            async with pool.connection() as db:
                rows: list[tuple[Any, ...]] = await (await db.execute(untold)).fetchall()
            for build, digest, instant in rows:
                command = RecordSwap(view=NAME, build=build, digest=digest, instant=instant)
                await commands.execute(STREAM, command, Call(f"build:{build}", "policy:swap view", correlation=str(STREAM)))
                async with pool.connection() as db:
                    await db.execute("UPDATE build SET told_at = clock_timestamp() WHERE number = %s", (build,))
            up()
            await asyncio.sleep(LOOK_EVERY)

    return run
