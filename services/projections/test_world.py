"""The world of these tests: a worker over the real database with a tape instead of a broker, and who asks the API."""

import asyncio
from uuid import uuid4

import psycopg
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from chassis.kafka import headers_of, topic_of
from chassis.view_builds import reading
from chassis.view_rows import tell
from contracts.projections import CaseRead, ReadRefused
from services.projections import swaps
from services.projections.test_samples import CAU, TINH, XA, Ids, Tape, tell_story
from services.projections.views.history import LOGS
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
        for (number,) in await (await db.execute("SELECT number FROM build WHERE number <> %s", (live,))).fetchall():
            await db.execute(f"DROP SCHEMA IF EXISTS build_{number} CASCADE")
        await db.execute("DELETE FROM build WHERE number <> %s", (live,))
        await db.execute("UPDATE build SET told_at = clock_timestamp()")
        await db.execute(f"SET search_path = build_{live}")
        await db.execute("TRUNCATE history, belongs, reached, work, clock, heard, parked")


def view_of(parts, kafka="127.0.0.1:1"):
    return swaps.view_of(parts.pool, kafka, parts.log)


async def take(view, tape, *logs):
    """Hear what is on the tape, each log in a loop of its own, as the worker does."""
    for log in LOGS:
        await view.begin(log)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for log in logs or LOGS:
            group.create_task(view.take_all(log, tape.rows[log]))


async def take_as_before(view, tape, *streams):
    """Hear what is on the tape as an older reader would, which cannot read these streams."""
    for log in LOGS:
        await view.begin(log)
    told = {
        log: [each._replace(fact="too new") if each.row.stream in streams else each for each in tell(log, told)]
        for log, told in tape.rows.items()
    }
    await asyncio.gather(*(view.fold_all(log, each) for log, each in told.items()))


async def told_to(kafka, tape, zombie=0):
    """Put the tape into emptied topics of a real broker, as relays do: a zombie tells so many old rows once more; then a stranger."""
    admin, producer = AIOKafkaAdminClient(bootstrap_servers=kafka), AIOKafkaProducer(bootstrap_servers=kafka, acks="all")
    await admin.start()
    await producer.start()
    try:
        there = set(await admin.list_topics())
        await admin.create_topics([NewTopic(topic_of(log), 1, 1) for log in swaps.HEARS if topic_of(log) not in there])
        old = [TopicPartition(topic_of(log), 0) for log in swaps.HEARS if topic_of(log) in there]
        await admin.delete_records({partition: RecordsToDelete(before_offset=-1) for partition in old})
        await send(producer, {log: [*tape.rows[log][:zombie], *tape.rows[log]] for log in swaps.HEARS})
        await producer.send_and_wait(topic_of("cases"), b"from nobody we know", partition=0, headers=[("ce_id", None)])
    finally:
        await producer.stop()
        await admin.close()


async def send(producer, rows_of):
    """Tell these rows, log by log."""
    for log, told in rows_of.items():
        sent = [
            await producer.send(topic_of(log), row.state, key=row.stream.bytes, headers=headers_of(log, row), partition=0)
            for row in told
        ]
        await asyncio.gather(*sent)


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

    async def hear_reads(self):
        """What was read so far reaches the views, as the worker takes it from its own log."""
        self.tape.rows["projections"] = await self.worker.log.after(0, 10_000)
        await self.hear()

    async def refusals_of(self, stream):
        """The refusals in projections' own log, oldest first, in their envelopes."""
        log = self.worker.log
        return [event for event in await log.open(await log.rows_of(stream)) if isinstance(event.fact, ReadRefused)]

    async def reads_of(self, stream):
        """The reads in projections' own log, oldest first."""
        log = self.worker.log
        return [event.fact for event in await log.open(await log.rows_of(stream)) if isinstance(event.fact, CaseRead)]


def problem(answer, status, code):
    """The answer is this problem; its body."""
    assert (status, f"urn:hotline111:{code}") == (answer.status_code, answer.json().get("type")), answer.text
    return answer.json()
