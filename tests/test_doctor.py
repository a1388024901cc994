"""What `hotline doctor` finds in a database and a topic that were really damaged, and what `hotline republish` refuses to delete."""

import asyncio
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from psycopg_pool import AsyncConnectionPool

from chassis.kafka import topic_of
from chassis.log import Log
from deploy.local.postgres import Postgres
from deploy.local.stack import SERVICES, _create_topics
from tests.desk import create_databases
from tests.line import eventually
from tests.topics import Said, Topic, relaying, row, say, until, world_of
from tools.recovery import look_at_databases, look_at_topics, topics
from tools.recovery.running import CannotAsk, Running

pytestmark = [pytest.mark.anyio, pytest.mark.real]
LOG = "cases"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A PostgreSQL of this file's own, to be damaged."""
    with Postgres(tmp_path_factory.mktemp("damaged")) as server:
        create_databases(server)
        yield server


@pytest.fixture
def stack(server, kafka, tmp_path):
    asyncio.run(_create_topics(kafka.bootstrap))
    return Running({"postgres": str(server.home), "kafka": kafka.bootstrap, "clock_file": str(tmp_path / "clock")})


@asynccontextmanager
async def told(stack, *words):
    """The log of cases begun anew with these facts, and its topic that tells them; the topic stays as it is then."""
    with stack.connect(LOG) as db:
        db.execute("ALTER TABLE event DISABLE TRIGGER USER; ALTER TABLE command DISABLE TRIGGER USER; TRUNCATE event, command")
        db.execute("UPDATE head SET position = 0, recorded_at = '-infinity'")
        db.execute("ALTER TABLE event ENABLE TRIGGER USER; ALTER TABLE command ENABLE TRIGGER USER")
    pool = AsyncConnectionPool(stack.uri(LOG), min_size=1, open=False, kwargs={"autocommit": True})
    async with world_of(stack.kafka, None) as world, pool:
        topic, log = Topic(LOG, stack.kafka, world.admin, world.producer, world.reader), Log(LOG, pool)
        await until(lambda: _emptied(topic))
        await say(log, *words)
        async with relaying(log, topic):
            await topic.holds(len(words))
        yield log, topic


async def _emptied(topic):
    """A topic that was made just now has no leader yet."""
    with suppress(KafkaError):
        await topic.empty()
        return True


async def found(stack, deep=True):
    """What is wrong with the log of cases and its topic."""
    of, tells = look_at_databases.measured(stack, LOG), await topics.told(stack, LOG)
    findings = [*look_at_databases.look_at_log(stack, LOG, of, deep), *look_at_topics.look_at_told(LOG, of.head, tells)]
    if deep and not findings:
        findings += await look_at_topics.look_deep(stack, LOG, of.head)
    return [(each.page, each.wrong) for each in findings]


async def test_nothing_is_wrong_with_a_log_and_the_topic_that_tells_it(stack):
    async with told(stack, "one", "two", "three"):
        lies = await topics.told(stack, LOG)
        assert (3, 1, 3) == (lies.end - lies.begin, lies.first, lies.last)
        assert [] == await found(stack)


async def test_a_row_that_was_removed_is_a_hole_and_nothing_is_deleted_from_the_topic(stack):
    async with told(stack, "one", "two", "three") as (_, topic):
        for gone, deep in ((3, False), (2, True)):
            with stack.connect(LOG) as db:
                db.execute("ALTER TABLE event DISABLE TRIGGER USER")
                db.execute("DELETE FROM event WHERE position = %s", [gone])
                db.execute("ALTER TABLE event ENABLE TRIGGER USER")
            assert ["hole-in-the-log"] == [page for page, _ in await found(stack, deep)]
        with pytest.raises(CannotAsk, match="the log of cases has a hole"):
            await topics.republish(stack, LOG, str)
        assert [1, 2, 3] == await topic.positions()


async def test_a_topic_ahead_of_its_log_is_named_and_nothing_is_deleted_from_it(stack):
    async with told(stack, "one", "two") as (_, topic):
        await topic.send(row(3, Said(word="later", to=uuid4()), stream=uuid4()))
        (finding,) = await found(stack)
        assert ("log-behind-topic", True) == (finding[0], "the topic is at 3 but the log at 2" in finding[1])
        with pytest.raises(CannotAsk, match="the only copy of 3 and later"):
            await topics.republish(stack, LOG, str)
        assert [1, 2, 3] == await topic.positions()


async def test_a_topic_that_begins_late_lacks_something_or_tells_other_bytes_is_damaged_and_told_anew(stack):
    async with told(stack, "one", "two", "three") as (log, topic):
        rows = await log.after(0, 10)
        for records, wrong in (
            (rows[1:], "the topic begins at position 2"),
            ([rows[0], rows[2]], "the topic lacks position 2, of 3"),
            ([rows[0], rows[1]._replace(state=b"{}"), *rows[1:]], "the topic tells other bytes at position 2 than the log"),
        ):
            await topic.empty()
            for each in records:
                await topic.send(each)
            assert [("topic-damaged", wrong)] == await found(stack)
        said = []
        await _told_anew(stack, log, topic, said.append)
        assert [("deleting 4 records of the topic of cases, whose log holds 3 facts")] == said[:1]
        assert ([], [1, 2, 3]) == (await found(stack), await topic.positions())


async def _told_anew(stack, log, topic, say):
    """A relay begins once the topic is empty, as one that runs does when it notices."""

    async def emptied():
        begin, end = await topic.ends()
        return begin == end

    async with asyncio.TaskGroup() as group:
        group.create_task(topics.republish(stack, LOG, say))
        await until(emptied)
        async with relaying(log, topic):
            await topic.tells(3)


async def test_the_same_position_told_twice_is_nothing_wrong(stack):
    async with told(stack, "one", "two") as (log, topic):
        for each in await log.after(0, 10):
            await topic.send(each)
        await topic.stranger(ce_id="seven")
        assert [] == await found(stack)


async def test_stamps_that_lie_ahead_and_clocks_that_nobody_breaches_are_found(stack):
    async with told(stack, "one"):
        with stack.connect(LOG) as db:
            db.execute("UPDATE head SET recorded_at = now() + interval '1 hour'")
            db.execute("INSERT INTO clock_due VALUES (gen_random_uuid(), 'handover', 1, now() - interval '1 minute')")
        pages = [page for page, _ in await found(stack)]
        with stack.connect(LOG) as db:
            db.execute("TRUNCATE clock_due")
    assert ["clock-wrong", "worker-keeps-ending"] == pages


def test_a_server_that_is_not_durable_is_found_wherever_it_was_switched_off(stack):
    assert [] == list(look_at_databases.look_at_server(stack))
    with stack.connect("postgres") as db:
        for where in ("ROLE cases_api", "DATABASE cases"):
            db.execute(f"ALTER {where} SET synchronous_commit = off")
            (finding,) = look_at_databases.look_at_server(stack)
            assert ("settings-changed", True) == (finding.page, finding.wrong.endswith("synchronous_commit=off"))
            db.execute(f"ALTER {where} RESET synchronous_commit")
        db.execute("ALTER SYSTEM SET full_page_writes = off")
        db.execute("SELECT pg_reload_conf()")
    try:
        assert eventually(lambda: list(look_at_databases.look_at_server(stack)))[0].wrong.endswith("full_page_writes")
    finally:
        with stack.connect("postgres") as db:
            db.execute("ALTER SYSTEM RESET full_page_writes")
            db.execute("SELECT pg_reload_conf()")


RIGHTS = {
    "the API writes into the log": ("GRANT DELETE ON event TO cases_api", "REVOKE DELETE ON event FROM cases_api"),
    "the worker writes into the log": ("GRANT INSERT ON head TO cases_worker", "REVOKE INSERT ON head FROM cases_worker"),
    "everybody moves places": ("GRANT UPDATE ON heard TO PUBLIC", "REVOKE UPDATE ON heard FROM PUBLIC"),
    "no trigger stands in the way": ("ALTER TABLE event DISABLE TRIGGER USER", "ALTER TABLE event ENABLE TRIGGER USER"),
}


@pytest.mark.parametrize("changed", RIGHTS)
def test_a_right_too_many_is_found(stack, changed):
    assert [] == list(look_at_databases.look_at_grants(stack, LOG))
    change, back = RIGHTS[changed]
    with stack.connect(LOG) as db:
        db.execute(change)
        assert ["settings-changed"] == [each.page for each in look_at_databases.look_at_grants(stack, LOG)]
        db.execute(back)


def test_a_right_to_the_table_of_keys_is_found(stack):
    assert [] == list(look_at_databases.look_at_keys(stack))
    with stack.connect("keys") as db:
        db.execute("GRANT SELECT ON person_key TO cases_keys")
        assert ["cases_keys may reach into the table of keys"] == [each.wrong for each in look_at_databases.look_at_keys(stack)]
        db.execute("REVOKE SELECT ON person_key FROM cases_keys")


async def test_a_topic_that_forgets_is_found(stack):
    assert [] == await _settings(stack)
    for retention, wanted in (("604800000", ["its topic has retention.ms=604800000, so records will vanish"]), ("-1", [])):
        admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
        await admin.start()
        keep = {"retention.ms": retention, "cleanup.policy": "delete"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic_of(LOG), keep)])
        await admin.close()
        await until(lambda wanted=wanted: _same(stack, wanted))


async def _same(stack, wanted):
    return wanted == [each.wrong for each in await _settings(stack)]


async def _settings(stack):
    return [each async for each in look_at_topics.look_at_settings(stack, list(SERVICES))]


def test_a_database_that_does_not_answer_is_an_error_that_the_doctor_knows(stack, tmp_path):
    (tmp_path / "ports.json").write_text('{"postgres": 1}')
    with pytest.raises(psycopg.OperationalError):
        Running(stack.state | {"postgres": str(tmp_path)}).rows("cases", "SELECT 1")


async def test_a_log_that_was_written_on_another_server_is_found_closed(stack):
    def pages():
        of = look_at_databases.measured(stack, LOG)
        return [each.page for each in look_at_databases.look_at_log(stack, LOG, of, deep=False)]

    with stack.connect(LOG) as db:
        db.execute("UPDATE head SET incarnation = '7000000000000000000:1'")
        try:
            assert "log-closed" in pages()
        finally:
            db.execute("UPDATE head SET incarnation = incarnation_here()")
    assert "log-closed" not in pages()


@pytest.mark.parametrize(
    ("size", "age", "told", "wrong"),
    [
        (3, "1 minute", 3, []),
        (3, "59 seconds", 4, []),
        (3, "61 seconds", 4, ["its newest checkpoint covers 3 of 4 entries that its topic tells"]),
        (3, "16 minutes", 3, ["its newest checkpoint is 16 minutes old"]),
        (None, "", 1, ["nothing of its log was ever signed"]),
        (None, "", 0, []),
    ],
)
async def test_a_checkpoint_that_is_late_is_found(stack, size, age, told, wrong):
    with stack.connect(LOG) as db:
        db.execute("ALTER TABLE checkpoint DISABLE TRIGGER USER; TRUNCATE checkpoint; ALTER TABLE checkpoint ENABLE TRIGGER USER")
        if size:
            db.execute("INSERT INTO checkpoint VALUES (%s, 'a note', clock_timestamp() - %s::interval)", [size, age])
    of = look_at_databases.measured(stack, LOG)
    assert wrong == [each.wrong for each in look_at_databases.look_at_checkpoint(LOG, of, told)]
