"""The worker's side of these tests: a view over the real database, and a tape instead of a broker."""

import asyncio

import psycopg

from chassis.view import View
from services.projections.bootstrap import HEARS
from services.projections.views.history import LOGS
from services.projections.views.instants import note_end
from services.projections.views.work import fold
from tests.http import create_databases

TABLES = ("history", "belongs", "work", "clock", "heard", "parked")


async def forget_everything(postgres):
    """Empty the views: the session's database is shared, and its own log goes on."""
    create_databases(postgres)
    async with await psycopg.AsyncConnection.connect(postgres.uri("projections"), autocommit=True) as db:
        await db.execute("TRUNCATE history, belongs, reached, work, clock, heard, parked")


def view_of(parts, kafka="127.0.0.1:1"):
    async def at_end(log, at):
        await note_end(parts.pool, log, at)

    return View(parts.pool, kafka, parts.log, HEARS, fold, at_end)


async def take(view, tape, *logs):
    """Hear what is on the tape, each log in a loop of its own, as the worker does."""
    for log in LOGS:
        await view.begin(log)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for log in logs or LOGS:
            group.create_task(view.take_all(log, tape.rows[log]))


async def rows(parts, query, *args):
    async with parts.pool.connection() as db:
        return await (await db.execute(query, args)).fetchall()


async def everything(parts):
    """All that the views hold, to be compared."""
    return {name: sorted(map(str, await rows(parts, f"SELECT to_jsonb(t) - 'parked_at' FROM {name} t"))) for name in TABLES}
