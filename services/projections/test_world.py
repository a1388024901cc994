"""The world of these tests: a worker over the real database with a tape instead of a broker, and who asks the API."""

import asyncio
from uuid import uuid4

import psycopg

from chassis.view import View
from chassis.view_builds import reading
from contracts.projections import CaseRead
from services.projections.bootstrap import HEARS
from services.projections.test_samples import CAU, TINH, XA, Ids, Tape, tell_story
from services.projections.views.history import LOGS
from services.projections.views.instants import note_end
from services.projections.views.work import fold
from tests.desk import create_databases

BASE = "/projections/v1"
CHAIR, OFFICER, ELSEWHERE = (f"commune_chair:{XA}",), (f"commune_officer:{XA}",), (f"commune_chair:{CAU}",)
PROVINCE, POLICE, AUDITOR, SUPERVISOR = (f"provincial_officer:{TINH}",), (f"agency:police@{XA}",), ("auditor",), ("supervisor",)
DATA = ("data_officer",)
TABLES = ("history", "belongs", "work", "clock", "heard", "parked")


async def forget_everything(postgres):
    """Empty the views: the session's database is shared, and its own log goes on."""
    create_databases(postgres)
    async with await psycopg.AsyncConnection.connect(postgres.uri("projections"), autocommit=True) as db:
        ((live,),) = await (await db.execute("SELECT build FROM live")).fetchall()
        await db.execute(f"SET search_path = build_{live}")
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
    async with reading(parts.pool) as db:
        return await (await db.execute(query, args)).fetchall()


async def everything(parts):
    """All that the views hold, to be compared."""
    return {name: sorted(map(str, await rows(parts, f"SELECT to_jsonb(t) - 'parked_at' FROM {name} t"))) for name in TABLES}


class World:
    """The story told to a worker, its ids and the instants worth going back to."""

    def __init__(self, worker, view):
        self.worker, self.view, self.ids = worker, view, Ids(uuid4().int)
        self.keys = {}
        self.tape = Tape(self.keys.get)
        self.marks = {}

    async def tell(self):
        ids = self.ids
        persons = {ids.child, ids.sibling, ids.caller, ids.informant, ids.alleged, ids.taker}
        self.keys |= await self.worker.keys.create(persons)
        self.marks = tell_story(self.tape, ids)
        await self.hear()
        return self

    async def hear(self):
        await take(self.view, self.tape)

    async def reads_of(self, stream):
        """The reads in projections' own log, oldest first."""
        log = self.worker.log
        return [event.fact for event in await log.open(await log.rows_of(stream)) if isinstance(event.fact, CaseRead)]


def problem(answer, status, code):
    """The answer is this problem; its body."""
    assert (status, f"urn:hotline111:{code}") == (answer.status_code, answer.json().get("type")), answer.text
    return answer.json()
