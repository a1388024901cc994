"""Children of whom a report waits: until somebody decides about it, and then until the case that was decided holds them itself."""

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from chassis.follow import Handlers
from chassis.mapper import Recorded
from contracts.intake import HoldPlaced, ReportReceived, ReportScreened
from services.intake.domain.persons import OPEN_CASE


async def _reported(db: AsyncConnection[Any], event: Recorded) -> None:
    if isinstance(event.fact, ReportReceived):
        for child in event.fact.children:
            await db.execute("INSERT INTO undecided VALUES (%s, %s) ON CONFLICT DO NOTHING", (child.child_id, event.stream))


async def _screened(db: AsyncConnection[Any], event: Recorded) -> None:
    if isinstance(event.fact, ReportScreened) and event.fact.decision != OPEN_CASE:
        children = [child.child_id for child in event.fact.children]
        await db.execute("DELETE FROM undecided WHERE record = %s AND child = ANY(%s)", (event.stream, children))


async def _held(db: AsyncConnection[Any], event: Recorded) -> None:
    if isinstance(event.fact, HoldPlaced) and event.fact.hold == OPEN_CASE:
        await db.execute("DELETE FROM undecided WHERE child = %s", (event.stream,))


UNDECIDED: Handlers = {ReportReceived: _reported, ReportScreened: _screened, HoldPlaced: _held}
"""How the facts of intake's log move the table `undecided`."""


async def records_of(pool: AsyncConnectionPool, child: UUID) -> tuple[UUID, ...]:
    """The records in which this child waits. Raises a transient error if the database is gone."""
    async with pool.connection() as db:
        rows = await (await db.execute("SELECT record FROM undecided WHERE child = %s ORDER BY record", (child,))).fetchall()
    return tuple(record for (record,) in rows)
